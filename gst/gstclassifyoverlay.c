/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-classifyoverlay
 * @title: classifyoverlay
 * @short_description: draws the results of videoclassify on the video
 *
 * Draws what each `GstVideoClassifyMeta` of a buffer tells: the best label with
 * its probability, a bar as long as it is probable, the next labels. A result
 * that is about a part of the frame is drawn there, with an outline around it.
 * Buffers without a result pass untouched. With `explain=cam` of videoclassify
 * the map of what speaks for the label lies below them.
 *
 * The element takes every raw format (but RGB8P) as it is and changes only the pixels that
 * it draws on. Where downstream takes overlays (as GStreamer's GL and Wayland
 * sinks do) they are attached to the buffers instead, and the frames stay as
 * they came.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 v4l2src ! decodebin ! videoclassify model=cats-dogs.h5 ! \
 *   classifyoverlay ! videoconvert ! autovideosink
 * ]| Shows a camera with its labels.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 ! \
 *   classifyoverlay position=bottom-right top-k=1 colors="cat=#ff8800;dog=#0066cc" ! \
 *   x264enc ! mp4mux ! filesink location=labelled.mp4
 * ]| Writes a video with its labels drawn in.
 *
 * Since: 0.1
 */

#include "gst/gstclassifyoverlay.h"

#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "gst/gstclassifymeta.h"
#include "gst/overlay-image.h"
#include "gst/overlay-painter.h"

GST_DEBUG_CATEGORY_STATIC (classify_overlay_debug);
#define GST_CAT_DEFAULT classify_overlay_debug

#define COMPOSITION_FEATURE GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION

#define MIN_TEXT 12.0      /* pixels */
#define LINES 28.0         /* texts of one line that are as high as the frame */
#define HEAT_SLOTS 1       /* the heat map's, before those of the results */
#define SLOTS 5            /* images of a result: the panel and four lines */
#define UNKNOWN_COLOR 0xbbbbbb

/* Okabe and Ito's, told apart with any kind of colour vision, without the black */
static const guint32 palette[]
    = { 0xe69f00, 0x56b4e9, 0x009e73, 0xf0e442, 0x0072b2, 0xd55e00, 0xcc79a7 };

typedef enum
{
  POSITION_TOP_LEFT,
  POSITION_TOP_RIGHT,
  POSITION_BOTTOM_LEFT,
  POSITION_BOTTOM_RIGHT,
} GstClassifyOverlayPosition;

#define IS_RIGHT(position) ((position) == POSITION_TOP_RIGHT || (position) == POSITION_BOTTOM_RIGHT)
#define IS_BOTTOM(position) ((position) >= POSITION_BOTTOM_LEFT)

#define DEFAULT_TOP_K 3
#define DEFAULT_POSITION POSITION_TOP_LEFT
#define DEFAULT_SHOW_BAR TRUE
#define DEFAULT_FONT "Sans"
#define DEFAULT_SCALE 1.0
#define DEFAULT_HOLD 0
#define DEFAULT_COLORS NULL
#define DEFAULT_OPACITY 1.0
#define DEFAULT_HEAT_MAP 0.5

enum
{
  PROP_0,
  PROP_TOP_K,
  PROP_POSITION,
  PROP_SHOW_BAR,
  PROP_FONT,
  PROP_SCALE,
  PROP_HOLD,
  PROP_COLORS,
  PROP_OPACITY,
  PROP_HEAT_MAP,
};

typedef struct
{
  guint top_k, hold;
  GstClassifyOverlayPosition position;
  gboolean show_bar;
  double scale, opacity, heat_map;
  const char *font;  /* interned */
  GHashTable *colors; /* label: GUINT_TO_POINTER (0xRRGGBB); never changed, only replaced */
} Settings;

typedef struct
{
  OverlayResult shown;
  gboolean has_region;
  GstVideoRectangle region;
} Result;

struct _GstClassifyOverlay
{
  GstBaseTransform parent;

  /* under the object lock */
  Settings settings;
  char *colors;    /* as set */
  char *complaint; /* about them, not yet posted */

  /* streaming thread only */
  OverlayPainter *painter;
  GstVideoInfo info;
  gboolean attach; /* or else blend */
  GArray *results; /* of Result: the last ones */
  GstClockTime results_time;
  GArray *images; /* of OverlayImage, their pixels the painter's */
  /* what was attached last and what it was made of */
  GstVideoOverlayComposition *composition, *below;
  GArray *composed;
};

G_DEFINE_TYPE (GstClassifyOverlay, gst_classify_overlay, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (
    classifyoverlay, "classifyoverlay", GST_RANK_NONE, GST_TYPE_CLASSIFY_OVERLAY)

static GType
position_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
    { POSITION_TOP_LEFT, "Top left corner", "top-left" },
    { POSITION_TOP_RIGHT, "Top right corner", "top-right" },
    { POSITION_BOTTOM_LEFT, "Bottom left corner", "bottom-left" },
    { POSITION_BOTTOM_RIGHT, "Bottom right corner", "bottom-right" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstClassifyOverlayPosition", values));
  return type;
}

/* --- properties ---------------------------------------------------------------------- */

static gboolean
parse_color (const char *string, guint32 *color)
{
  char *end;

  if (*string++ != '#' || strspn (string, "0123456789abcdefABCDEF") != 6)
    return FALSE;
  *color = (guint32) g_ascii_strtoull (string, &end, 16);
  return *end == '\0';
}

/* "cat=#ff8800;dog=#0066cc": what can be read; the first that cannot in *@wrong. */
static GHashTable *
parse_colors (const char *string, char **wrong)
{
  GHashTable *colors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (GStrv) parts = g_strsplit (string ? string : "", ";", -1);

  for (guint i = 0; parts[i]; i++) {
    char *equals = strrchr (g_strstrip (parts[i]), '=');
    guint32 color;

    if (!*parts[i])
      continue;
    if (!equals || !parse_color (g_strstrip (equals + 1), &color)) {
      if (wrong && !*wrong)
        *wrong = g_strdup (parts[i]);
      continue;
    }
    *equals = '\0';
    g_hash_table_replace (
        colors, g_strdup (g_strstrip (parts[i])), GUINT_TO_POINTER ((guint) color));
  }
  return colors;
}

/* with the object lock */
static void
set_colors (GstClassifyOverlay *self, const char *string)
{
  g_autofree char *wrong = NULL;

  g_hash_table_unref (self->settings.colors);
  self->settings.colors = parse_colors (string, &wrong);
  g_free (self->colors);
  self->colors = g_strdup (string);
  g_clear_pointer (&self->complaint, g_free);
  if (wrong)
    self->complaint = g_strdup_printf (
        "colors: expected LABEL=#RRGGBB, as in \"cat=#ff8800;dog=#0066cc\", found \"%s\"", wrong);
}

static void
gst_classify_overlay_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (object);
  Settings *settings = &self->settings;
  const char *font;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TOP_K:
      settings->top_k = g_value_get_uint (value);
      break;
    case PROP_POSITION:
      settings->position = g_value_get_enum (value);
      break;
    case PROP_SHOW_BAR:
      settings->show_bar = g_value_get_boolean (value);
      break;
    case PROP_FONT:
      font = g_value_get_string (value);
      settings->font = g_intern_string (font && *font ? font : DEFAULT_FONT);
      break;
    case PROP_SCALE:
      settings->scale = g_value_get_double (value);
      break;
    case PROP_HOLD:
      settings->hold = g_value_get_uint (value);
      break;
    case PROP_COLORS:
      set_colors (self, g_value_get_string (value));
      break;
    case PROP_OPACITY:
      settings->opacity = g_value_get_double (value);
      break;
    case PROP_HEAT_MAP:
      settings->heat_map = g_value_get_double (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_classify_overlay_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (object);
  const Settings *settings = &self->settings;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TOP_K:
      g_value_set_uint (value, settings->top_k);
      break;
    case PROP_POSITION:
      g_value_set_enum (value, settings->position);
      break;
    case PROP_SHOW_BAR:
      g_value_set_boolean (value, settings->show_bar);
      break;
    case PROP_FONT:
      g_value_set_static_string (value, settings->font);
      break;
    case PROP_SCALE:
      g_value_set_double (value, settings->scale);
      break;
    case PROP_HOLD:
      g_value_set_uint (value, settings->hold);
      break;
    case PROP_COLORS:
      g_value_set_string (value, self->colors);
      break;
    case PROP_OPACITY:
      g_value_set_double (value, settings->opacity);
      break;
    case PROP_HEAT_MAP:
      g_value_set_double (value, settings->heat_map);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- start and stop ------------------------------------------------------------------ */

static void
clear_result (gpointer data)
{
  Result *result = data;

  g_free (result->shown.label);
  g_strfreev (result->shown.labels);
  g_free (result->shown.probabilities);
}

static void
forget_composition (GstClassifyOverlay *self)
{
  g_clear_pointer (&self->composition, gst_video_overlay_composition_unref);
  g_clear_pointer (&self->below, gst_video_overlay_composition_unref);
  g_array_set_size (self->composed, 0);
}

static void
forget_results (GstClassifyOverlay *self)
{
  g_array_set_size (self->results, 0);
  self->results_time = GST_CLOCK_TIME_NONE;
}

static gboolean
gst_classify_overlay_start (GstBaseTransform *trans)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);
  g_autoptr (GError) error = NULL;

  self->painter = overlay_painter_new (&error);
  if (!self->painter) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL));
    return FALSE;
  }
  forget_results (self);
  return TRUE;
}

static gboolean
gst_classify_overlay_stop (GstBaseTransform *trans)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);

  forget_results (self);
  forget_composition (self);
  g_array_set_size (self->images, 0);
  g_clear_pointer (&self->painter, overlay_painter_free);
  return TRUE;
}

/* --- negotiation --------------------------------------------------------------------- */

static gboolean
has_composition (GstCaps *caps, guint i)
{
  return gst_caps_features_contains (gst_caps_get_features (caps, i), COMPOSITION_FEATURE);
}

/* Blending needs frames in memory, one picture in each. */
static gboolean
can_blend (const GstCapsFeatures *features)
{
  g_autoptr (GstCapsFeatures) others = NULL;

  if (gst_caps_features_is_any (features))
    return TRUE;
  others = gst_caps_features_copy (features);
  gst_caps_features_remove (others, COMPOSITION_FEATURE);
  return gst_caps_features_is_equal (others, GST_CAPS_FEATURES_MEMORY_SYSTEM_MEMORY);
}

static void
append (GstCaps *caps, const GstStructure *structure, const GstCapsFeatures *features,
    gboolean composition)
{
  GstCapsFeatures *copy = gst_caps_features_copy (features);

  if (composition)
    gst_caps_features_add (copy, COMPOSITION_FEATURE);
  else
    gst_caps_features_remove (copy, COMPOSITION_FEATURE);
  gst_caps_append_structure_full (caps, gst_structure_copy (structure), copy);
}

/* Downstream gets overlays attached if it likes, and must take those that are on the
 * buffers already; so nothing comes without the feature from what came with it. */
static GstCaps *
gst_classify_overlay_transform_caps (
    GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  GstCaps *result = gst_caps_new_empty ();

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    const GstStructure *structure = gst_caps_get_structure (caps, i);
    const GstCapsFeatures *features = gst_caps_get_features (caps, i);

    if (gst_caps_features_is_any (features)) {
      gst_caps_append_structure_full (
          result, gst_structure_copy (structure), gst_caps_features_copy (features));
    } else if (direction == GST_PAD_SINK) {
      append (result, structure, features, TRUE);
      if (!has_composition (caps, i) && can_blend (features))
        append (result, structure, features, FALSE);
    } else if (has_composition (caps, i)) {
      append (result, structure, features, TRUE);
      append (result, structure, features, FALSE);
    } else if (can_blend (features)) {
      append (result, structure, features, FALSE);
    }
  }
  if (filter) {
    GstCaps *intersection = gst_caps_intersect_full (filter, result, GST_CAPS_INTERSECT_FIRST);

    gst_caps_unref (result);
    result = intersection;
  }
  return result;
}

/* Sinks without wishes take caps with any feature; only one that answers the allocation
 * query so does draw what is attached. GstBaseTransform downstream needs the
 * caps first. */
static gboolean
draws_compositions (GstClassifyOverlay *self, GstCaps *caps)
{
  GstPad *pad = GST_BASE_TRANSFORM_SRC_PAD (self);
  GstQuery *query;
  gboolean draws;

  gst_pad_set_caps (pad, caps);
  query = gst_query_new_allocation (caps, FALSE);
  draws = gst_pad_peer_query (pad, query)
      && gst_query_find_allocation_meta (query, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_query_unref (query);
  if (GST_PAD_IS_FLUSHING (pad)) /* that was no answer */
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
  return draws;
}

static GstCaps *
gst_classify_overlay_fixate_caps (
    GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps, GstCaps *othercaps)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);
  GstCaps *attached = NULL, *blended = NULL;

  if (direction != GST_PAD_SINK)
    return gst_caps_fixate (othercaps);
  for (guint i = 0; i < gst_caps_get_size (othercaps); i++) {
    GstCaps **slot = has_composition (othercaps, i) ? &attached : &blended;

    if (!*slot)
      *slot = gst_caps_fixate (gst_caps_copy_nth (othercaps, i));
  }
  gst_caps_unref (othercaps);
  self->attach = attached && (!blended || draws_compositions (self, attached));
  if (self->attach)
    gst_clear_caps (&blended);
  else
    gst_clear_caps (&attached);
  return attached ? attached : blended;
}

static gboolean
gst_classify_overlay_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);

  if (!gst_video_info_from_caps (&self->info, incaps)) {
    GST_ERROR_OBJECT (self, "cannot work with caps %" GST_PTR_FORMAT, incaps);
    return FALSE;
  }
  GST_DEBUG_OBJECT (self, "caps %" GST_PTR_FORMAT ", results are %s", incaps,
      self->attach ? "attached" : "blended");
  return TRUE;
}

static gboolean
gst_classify_overlay_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_STOP:
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
      forget_results (self);
      break;
    default:
      break;
  }
  return GST_BASE_TRANSFORM_CLASS (gst_classify_overlay_parent_class)->sink_event (trans, event);
}

/* --- what the buffer tells ----------------------------------------------------------- */

static double
to_probability (double value)
{
  return value > 0 ? MIN (value, 1) : 0; /* NaN: 0 */
}

static gboolean
get_region (const GstStructure *structure, GstVideoRectangle *region)
{
  return gst_structure_get_int (structure, "x", &region->x)
      && gst_structure_get_int (structure, "y", &region->y)
      && gst_structure_get_int (structure, "width", &region->w)
      && gst_structure_get_int (structure, "height", &region->h);
}

/* The metas count in pixels of the picture in the buffer; drawn is on what @crop shows. */
static void
move_into_view (GstVideoRectangle *region, const GstVideoCropMeta *crop)
{
  if (!crop)
    return;
  region->x = (int) MAX ((gint64) region->x - crop->x, G_MININT);
  region->y = (int) MAX ((gint64) region->y - crop->y, G_MININT);
}

static void
read_list (const GstStructure *structure, OverlayResult *result)
{
  const GValue *labels = gst_structure_get_value (structure, "labels");
  const GValue *probabilities = gst_structure_get_value (structure, "probabilities");
  GPtrArray *names;

  if (!labels || !GST_VALUE_HOLDS_ARRAY (labels) || !probabilities
      || !GST_VALUE_HOLDS_ARRAY (probabilities))
    return;
  names = g_ptr_array_new ();
  result->n
      = MIN (gst_value_array_get_size (labels), gst_value_array_get_size (probabilities));
  result->probabilities = g_new0 (double, result->n);
  for (guint i = 0; i < result->n; i++) {
    const GValue *label = gst_value_array_get_value (labels, i);
    const GValue *probability = gst_value_array_get_value (probabilities, i);

    g_ptr_array_add (names, g_strdup (G_VALUE_HOLDS_STRING (label) && g_value_get_string (label)
                                ? g_value_get_string (label)
                                : ""));
    if (G_VALUE_HOLDS_DOUBLE (probability))
      result->probabilities[i] = to_probability (g_value_get_double (probability));
  }
  g_ptr_array_add (names, NULL);
  result->labels = (char **) g_ptr_array_free (names, FALSE);
}

static void
read_results (GstClassifyOverlay *self, GstBuffer *buffer)
{
  const GstStructure *structure;
  gpointer state = NULL;

  forget_results (self);
  self->results_time = GST_BUFFER_PTS (buffer);
  while ((structure = gst_buffer_iterate_video_classify (buffer, &state))) {
    const char *label = gst_structure_get_string (structure, "label");
    double probability = 0;
    Result result = { .shown.index = -1 };

    if (!label)
      continue;
    gst_structure_get_double (structure, "probability", &probability);
    gst_structure_get_int (structure, "index", &result.shown.index);
    result.shown.label = g_strdup (label);
    result.shown.probability = to_probability (probability);
    result.has_region = get_region (structure, &result.region);
    read_list (structure, &result.shown);
    g_array_append_val (self->results, result);
  }
}

/* Whether the results from before still hold for a buffer without one. */
static gboolean
is_held (GstClassifyOverlay *self, GstBuffer *buffer, guint hold)
{
  const GstClockTime time = GST_BUFFER_PTS (buffer);

  return hold > 0 && GST_CLOCK_TIME_IS_VALID (time) && GST_CLOCK_TIME_IS_VALID (self->results_time)
      && time >= self->results_time && time - self->results_time <= hold * GST_MSECOND;
}

/* --- where it is drawn --------------------------------------------------------------- */

/* Multiples of four keep clear of chroma samples that are half outside, in any format. */
#define ALIGN(value) ((value) & ~3)

/* Sizes that go into a picture of @side pixels with @margin. */
static int
room_of (int side, int margin)
{
  const int room = ALIGN (side - 2 * margin - (margin > 0 ? 3 : 0));

  return room > 0 ? room : side;
}

static void
add_image (GstClassifyOverlay *self, GstBuffer *pixels, int x, int y)
{
  const GstVideoMeta *meta = gst_buffer_get_video_meta (pixels);
  const OverlayImage image = { pixels, x, y, (int) meta->width, (int) meta->height };

  g_array_append_val (self->images, image);
}

/* Lines along the inner side of the region's edge. */
static void
add_outline (GstClassifyOverlay *self, guint slot, const GstVideoRectangle *region,
    const OverlayStyle *style, guint32 color)
{
  const int thick = MIN (MAX (2, (int) (style->em / 8) & ~1), MIN (region->w, region->h));
  const GstVideoRectangle lines[] = {
    { region->x, region->y, region->w, thick },
    { region->x, region->y + region->h - thick, region->w, thick },
    { region->x, region->y + thick, thick, region->h - 2 * thick },
    { region->x + region->w - thick, region->y + thick, thick, region->h - 2 * thick },
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    if (lines[i].w > 0 && lines[i].h > 0)
      add_image (self,
          overlay_painter_fill (
              self->painter, slot + i, lines[i].w, lines[i].h, color, style->opacity),
          lines[i].x, lines[i].y);
}

/* Outside of the region where there is room, as its title, else in it. */
static void
add_at_region (GstClassifyOverlay *self, guint slot, const Result *result,
    const OverlayStyle *style, GstClassifyOverlayPosition position)
{
  const int width = GST_VIDEO_INFO_WIDTH (&self->info);
  const int height = GST_VIDEO_INFO_HEIGHT (&self->info);
  const int left = MAX (result->region.x, 0), top = MAX (result->region.y, 0);
  const int right = (int) MIN ((gint64) result->region.x + result->region.w, width);
  const int bottom = (int) MIN ((gint64) result->region.y + result->region.h, height);
  const GstVideoRectangle region = { left, top, right - left, bottom - top };
  const GstVideoMeta *meta;
  GstBuffer *pixels;
  int x, y;

  if (result->region.w <= 0 || result->region.h <= 0 || region.w <= 0 || region.h <= 0)
    return; /* out of the picture */
  add_outline (self, slot + 1, &region, style, result->shown.color);
  pixels = overlay_painter_panel (self->painter, slot, style, &result->shown);
  if (!pixels)
    return;
  meta = gst_buffer_get_video_meta (pixels);
  x = IS_RIGHT (position) ? right - (int) meta->width : left;
  if (IS_BOTTOM (position))
    y = bottom + (int) meta->height <= height ? bottom : bottom - (int) meta->height;
  else
    y = top >= (int) meta->height ? top - (int) meta->height : top;
  x = ALIGN (CLAMP (x, 0, width - (int) meta->width));
  y = ALIGN (CLAMP (y, 0, height - (int) meta->height));
  add_image (self, pixels, x, y);
}

/* In the corner, one after the other towards the middle; *@used: height that is taken. */
static void
add_in_corner (GstClassifyOverlay *self, guint slot, const Result *result,
    const OverlayStyle *corner_style, GstClassifyOverlayPosition position, int margin, int *used)
{
  const int width = GST_VIDEO_INFO_WIDTH (&self->info);
  const int height = GST_VIDEO_INFO_HEIGHT (&self->info);
  OverlayStyle style = *corner_style;
  const GstVideoMeta *meta;
  GstBuffer *pixels;
  int x, y;

  style.max_height -= *used;
  if (style.max_height <= 0)
    return;
  pixels = overlay_painter_panel (self->painter, slot, &style, &result->shown);
  if (!pixels)
    return;
  meta = gst_buffer_get_video_meta (pixels);
  x = IS_RIGHT (position) ? width - margin - (int) meta->width : GST_ROUND_UP_4 (margin);
  y = IS_BOTTOM (position) ? height - margin - *used - (int) meta->height
                           : GST_ROUND_UP_4 (margin) + *used;
  add_image (self, pixels, ALIGN (MAX (x, 0)), ALIGN (MAX (y, 0)));
  *used += GST_ROUND_UP_4 ((int) meta->height + MAX (margin / 2, 2));
}

static guint32
color_of (const Settings *settings, const OverlayResult *result)
{
  gpointer color;

  if (g_hash_table_lookup_extended (settings->colors, result->label, NULL, &color))
    return GPOINTER_TO_UINT (color);
  return result->index < 0 ? UNKNOWN_COLOR : palette[result->index % G_N_ELEMENTS (palette)];
}

/* Clipped to the picture: with a letterbox the map reaches beyond it. */
static void
add_heat_map (GstClassifyOverlay *self, const GstStructure *structure,
    const GstVideoCropMeta *crop, double opacity)
{
  const int width = GST_VIDEO_INFO_WIDTH (&self->info);
  const int height = GST_VIDEO_INFO_HEIGHT (&self->info);
  const GValue *map = gst_structure_get_value (structure, "map");
  GstVideoRectangle area = { 0, 0, width, height };
  NnHeat heat = { 0 };
  int left, top, right, bottom;
  gsize size;

  if (!map || !G_VALUE_HOLDS (map, G_TYPE_BYTES) || !g_value_get_boxed (map)
      || !gst_structure_get_uint (structure, "rows", &heat.rows)
      || !gst_structure_get_uint (structure, "columns", &heat.columns))
    return;
  heat.values = g_bytes_get_data (g_value_get_boxed (map), &size);
  if (get_region (structure, &area))
    move_into_view (&area, crop);
  if (heat.rows == 0 || heat.columns == 0 || size / heat.rows != heat.columns || area.w <= 0
      || area.h <= 0 || area.w > G_MAXINT16 || area.h > G_MAXINT16)
    return;
  left = CLAMP (area.x, 0, width);
  top = CLAMP (area.y, 0, height);
  right = (int) CLAMP ((gint64) area.x + area.w, left, width);
  bottom = (int) CLAMP ((gint64) area.y + area.h, top, height);
  if (right == left || bottom == top)
    return;
  heat.x = area.x - left;
  heat.y = area.y - top;
  heat.width = area.w;
  heat.height = area.h;
  add_image (self,
      overlay_painter_heat (self->painter, 0, right - left, bottom - top, &heat, opacity), left,
      top);
}

static void
make_images (GstClassifyOverlay *self, const Settings *settings, GstBuffer *buffer)
{
  const GstStructure *heat = gst_buffer_get_video_classify_heat_map (buffer);
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const GstVideoInfo *info = &self->info;
  const int width = GST_VIDEO_INFO_WIDTH (info), height = GST_VIDEO_INFO_HEIGHT (info);
  const double em = MAX (MIN_TEXT, round (settings->scale * height / LINES));
  const int margin = (int) MIN (em / 2, MIN (width, height) / 40.);
  const OverlayStyle style = {
    .font = settings->font,
    .em = em,
    .aspect = (double) GST_VIDEO_INFO_PAR_N (info) / GST_VIDEO_INFO_PAR_D (info),
    .opacity = settings->opacity,
    .top_k = settings->top_k,
    .show_bar = settings->show_bar,
    .max_width = room_of (width, margin),
    .max_height = room_of (height, margin),
  };
  int used = 0;

  g_array_set_size (self->images, 0);
  if (heat && settings->heat_map > 0)
    add_heat_map (self, heat, crop, settings->heat_map * settings->opacity);
  for (guint i = 0; i < self->results->len; i++) {
    Result *result = &g_array_index (self->results, Result, i);

    result->shown.color = color_of (settings, &result->shown);
    if (result->has_region) {
      Result seen = *result;

      move_into_view (&seen.region, crop);
      add_at_region (self, HEAT_SLOTS + i * SLOTS, &seen, &style, settings->position);
    } else {
      add_in_corner (self, HEAT_SLOTS + i * SLOTS, result, &style, settings->position, margin,
          &used);
    }
  }
  overlay_painter_trim (self->painter, HEAT_SLOTS + self->results->len * SLOTS);
}

/* --- a frame ------------------------------------------------------------------------- */

static gboolean
is_composed (GstClassifyOverlay *self, GstVideoOverlayComposition *below)
{
  return self->composition && self->below == below && self->composed->len == self->images->len
      && memcmp (self->composed->data, self->images->data,
             self->images->len * sizeof (OverlayImage))
      == 0;
}

/* What upstream attached stays below; the same content stays the same object, for
 * sinks that keep textures of it. */
static void
attach (GstClassifyOverlay *self, GstBuffer *buffer)
{
  GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta (buffer);

  if (!is_composed (self, meta ? meta->overlay : NULL)) {
    forget_composition (self);
    self->below = meta ? gst_video_overlay_composition_ref (meta->overlay) : NULL;
    self->composition = overlay_images_compose (
        (const OverlayImage *) self->images->data, self->images->len, self->below);
    g_array_append_vals (self->composed, self->images->data, self->images->len);
  }
  if (meta) {
    gst_video_overlay_composition_unref (meta->overlay);
    meta->overlay = gst_video_overlay_composition_ref (self->composition);
  } else {
    gst_buffer_add_video_overlay_composition_meta (buffer, self->composition);
  }
}

static gboolean
blend (GstClassifyOverlay *self, GstBuffer *buffer)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  GstVideoFrame frame;

  if (!gst_video_frame_map (
          &frame, &self->info, buffer, GST_MAP_READWRITE | GST_VIDEO_FRAME_MAP_FLAG_NO_REF)) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE,
        ("cannot draw on the frame: its memory does not hold a %s picture of %dx%d pixels",
            GST_VIDEO_INFO_NAME (&self->info), GST_VIDEO_INFO_WIDTH (&self->info),
            GST_VIDEO_INFO_HEIGHT (&self->info)),
        ("%" GST_PTR_FORMAT, buffer));
    return FALSE;
  }
  if (!overlay_images_blend ((const OverlayImage *) self->images->data, self->images->len, &frame,
          crop ? (int) crop->x : 0, crop ? (int) crop->y : 0))
    GST_WARNING_OBJECT (self, "GStreamer cannot blend into %s", GST_VIDEO_INFO_NAME (&self->info));
  gst_video_frame_unmap (&frame);
  return TRUE;
}

static GstFlowReturn
gst_classify_overlay_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (trans);
  g_autoptr (GHashTable) colors = NULL;
  g_autofree char *complaint = NULL;
  Settings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  colors = g_hash_table_ref (settings.colors);
  complaint = g_steal_pointer (&self->complaint);
  GST_OBJECT_UNLOCK (self);
  if (complaint)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS, ("%s", complaint), (NULL));

  if (gst_buffer_get_video_classify (buffer))
    read_results (self, buffer);
  else if (!is_held (self, buffer, settings.hold))
    return GST_FLOW_OK;
  make_images (self, &settings, buffer);
  if (self->images->len == 0)
    return GST_FLOW_OK;
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_GAP); /* there is something to see now */
  if (self->attach)
    attach (self, buffer);
  else if (!blend (self, buffer))
    return GST_FLOW_ERROR;
  return GST_FLOW_OK;
}

/* --- class --------------------------------------------------------------------------- */

static void
gst_classify_overlay_finalize (GObject *object)
{
  GstClassifyOverlay *self = GST_CLASSIFY_OVERLAY (object);

  g_array_unref (self->results);
  g_array_unref (self->images);
  g_array_unref (self->composed);
  g_hash_table_unref (self->settings.colors);
  g_free (self->colors);
  g_free (self->complaint);
  G_OBJECT_CLASS (gst_classify_overlay_parent_class)->finalize (object);
}

static void
gst_classify_overlay_init (GstClassifyOverlay *self)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);

  self->settings = (Settings) {
    .top_k = DEFAULT_TOP_K,
    .hold = DEFAULT_HOLD,
    .position = DEFAULT_POSITION,
    .show_bar = DEFAULT_SHOW_BAR,
    .scale = DEFAULT_SCALE,
    .opacity = DEFAULT_OPACITY,
    .heat_map = DEFAULT_HEAT_MAP,
    .font = g_intern_static_string (DEFAULT_FONT),
    .colors = parse_colors (DEFAULT_COLORS, NULL),
  };
  self->results = g_array_new (FALSE, FALSE, sizeof (Result));
  g_array_set_clear_func (self->results, clear_result);
  self->results_time = GST_CLOCK_TIME_NONE;
  self->images = g_array_new (FALSE, FALSE, sizeof (OverlayImage));
  self->composed = g_array_new (FALSE, FALSE, sizeof (OverlayImage));
  gst_base_transform_set_in_place (trans, TRUE);
}

#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

static void
install_properties (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_TOP_K,
      g_param_spec_uint ("top-k", "Top K",
          "How many labels are shown, best first: 1 = the best alone, with its bar (no more than "
          "videoclassify's own top-k, and than there is room for)",
          1, 1000, DEFAULT_TOP_K, PLAYING));
  g_object_class_install_property (klass, PROP_POSITION,
      g_param_spec_enum ("position", "Position",
          "Corner of the frame that results are shown in, or, for a result about a part of the "
          "frame, corner of that part",
          position_get_type (), DEFAULT_POSITION, PLAYING));
  g_object_class_install_property (klass, PROP_SHOW_BAR,
      g_param_spec_boolean ("show-bar", "Show bar",
          "Show the probability of the best label as a bar too", DEFAULT_SHOW_BAR, PLAYING));
  g_object_class_install_property (klass, PROP_FONT,
      g_param_spec_string ("font", "Font",
          "Family and style of the font as Pango describes it, as in \"DejaVu Sans Condensed\"; a "
          "size in it is ignored, see scale",
          DEFAULT_FONT, PLAYING));
  g_object_class_install_property (klass, PROP_SCALE,
      g_param_spec_double ("scale", "Scale",
          "Multiplies the size of the text, which is 1/28 of the frame's height and never less "
          "than 12 pixels",
          0.1, 10, DEFAULT_SCALE, PLAYING));
  g_object_class_install_property (klass, PROP_HOLD,
      g_param_spec_uint ("hold", "Hold",
          "How long a result is shown on the buffers after it that have none, in milliseconds "
          "(0 = only on its own buffer)",
          0, G_MAXUINT, DEFAULT_HOLD, PLAYING));
  g_object_class_install_property (klass, PROP_COLORS,
      g_param_spec_string ("colors", "Colors",
          "Colours of labels instead of the built-in ones, as in \"cat=#ff8800;dog=#0066cc\"; a "
          "label with a semicolon cannot be named (NULL = none)",
          DEFAULT_COLORS, PLAYING));
  g_object_class_install_property (klass, PROP_OPACITY,
      g_param_spec_double ("opacity", "Opacity",
          "Opacity of all that is drawn; the background lets a third of the video through at 1",
          0, 1, DEFAULT_OPACITY, PLAYING));
  g_object_class_install_property (klass, PROP_HEAT_MAP,
      g_param_spec_double ("heat-map", "Heat map",
          "Opacity of the map of what speaks for the label, where videoclassify made one "
          "(explain=cam): clear through yellow to red (0 = not drawn)",
          0, 1, DEFAULT_HEAT_MAP, PLAYING));
}

/* What GStreamer blends, but for frames with a palette: it would put another one in its
 * place for the whole frame. */
static GstCaps *
make_caps (void)
{
  static const char *const all
      = GST_VIDEO_CAPS_MAKE (GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS) ";"
        GST_VIDEO_CAPS_MAKE_WITH_FEATURES ("ANY", GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS);
  GstCaps *caps = gst_caps_from_string (all);

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    GstStructure *structure = gst_caps_get_structure (caps, i);
    const GValue *formats = gst_structure_get_value (structure, "format");
    GValue kept = G_VALUE_INIT;

    g_value_init (&kept, GST_TYPE_LIST);
    for (guint f = 0; f < gst_value_list_get_size (formats); f++) {
      const GValue *format = gst_value_list_get_value (formats, f);

      if (!g_str_equal (g_value_get_string (format), "RGB8P"))
        gst_value_list_append_value (&kept, format);
    }
    gst_structure_take_value (structure, "format", &kept);
  }
  return caps;
}

static void
gst_classify_overlay_class_init (GstClassifyOverlayClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstCaps *caps = make_caps ();

  GST_DEBUG_CATEGORY_INIT (classify_overlay_debug, "classifyoverlay", 0, "classifier's overlay");
  object_class->set_property = gst_classify_overlay_set_property;
  object_class->get_property = gst_classify_overlay_get_property;
  object_class->finalize = gst_classify_overlay_finalize;
  install_properties (object_class);

  gst_element_class_set_static_metadata (element_class, "Classifier's overlay",
      "Filter/Editor/Video",
      "Draws on the video what videoclassify found, as in: gst-launch-1.0 v4l2src ! decodebin ! "
      "videoclassify model=cats-dogs.h5 ! classifyoverlay ! videoconvert ! autovideosink",
      "the classify authors");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref (caps);

  trans_class->start = GST_DEBUG_FUNCPTR (gst_classify_overlay_start);
  trans_class->stop = GST_DEBUG_FUNCPTR (gst_classify_overlay_stop);
  trans_class->transform_caps = GST_DEBUG_FUNCPTR (gst_classify_overlay_transform_caps);
  trans_class->fixate_caps = GST_DEBUG_FUNCPTR (gst_classify_overlay_fixate_caps);
  trans_class->set_caps = GST_DEBUG_FUNCPTR (gst_classify_overlay_set_caps);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_classify_overlay_sink_event);
  trans_class->transform_ip = GST_DEBUG_FUNCPTR (gst_classify_overlay_transform_ip);
  trans_class->transform_ip_on_passthrough = FALSE;

  gst_type_mark_as_plugin_api (position_get_type (), 0);
}
