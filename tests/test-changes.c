/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changes while the element runs: properties, streams and models; and what must not be
 * heard of any more afterwards. */

#include <glib/gstdio.h>
#include <gst/base/gstbasetransform.h>
#include <gst/check/gstharness.h>
#include <string.h>

#include "tests/two-colors.h"

#define META "GstVideoClassifyMeta"

static char *dir, *model_path;

static char *
path_of (const char *name)
{
  return g_build_filename (dir, name, NULL);
}

static GstHarness *
harness_new (const char *properties)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" %s", model_path, properties);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_set_src_caps_str (h, CAPS);
  return h;
}

static GstElement *
element_of (GstHarness *h)
{
  return GST_IS_BIN (h->element) ? gst_bin_get_by_name (GST_BIN (h->element), "c")
                                 : gst_object_ref (h->element);
}

static GstBus *
bus_of (GstElement *element)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (element, bus);
  return bus;
}

static void
clear (GstHarness *h, GstElement *element, GstBus *bus)
{
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static char *
label_of (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, META);
  const GstStructure *s = meta ? gst_custom_meta_get_structure (meta) : NULL;
  char *label = s ? g_strdup (gst_structure_get_string (s, "label")) : NULL;

  gst_buffer_unref (buffer);
  return label;
}

static void
expect_label (GstHarness *h, guint n, const char *expected)
{
  g_autofree char *label
      = label_of (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));

  g_assert_cmpstr (label, ==, expected);
}

/* The text of the next warning or error; NULL: there is none. */
static char *
pop_text (GstBus *bus, GstMessageType type)
{
  GstMessage *message = gst_bus_pop_filtered (bus, type);
  g_autoptr (GError) error = NULL;

  if (!message)
    return NULL;
  if (type == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, NULL);
  else
    gst_message_parse_error (message, &error, NULL);
  gst_message_unref (message);
  return g_strdup (error->message);
}

static void
expect_text (GstBus *bus, GstMessageType type, const char *a, const char *b)
{
  g_autofree char *text = pop_text (bus, type), *more = NULL;

  g_assert_nonnull (text);
  g_assert_nonnull (strstr (text, a));
  g_assert_nonnull (strstr (text, b));
  more = pop_text (bus, type);
  g_assert_cmpstr (more, ==, NULL);
}

/* --- properties ------------------------------------------------------------------------------ */

static const struct {
  const char *name, *good, *wrong, *complaint;
} texts[] = {
  { "tta", "flip", "flop", "\"flop\" is no test-time augmentation" },
  { "tta", "none", "random:1000", "random:1000" },
  { "crop", "0,0,8,8", "1,2,3", "expected x,y,width,height" },
};

/* A wrong text ends the start, unless a right one has come in the meantime. */
static void
test_wrong_at_start (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    GstElement *element = gst_element_factory_make ("videoclassify", NULL);
    g_autofree char *name = g_strdup_printf ("property \"%s\": ", texts[i].name);
    GstBus *bus = bus_of (gst_object_ref_sink (element));

    g_object_set (element, "model", model_path, "device", "cpu", texts[i].name, texts[i].wrong,
        NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    expect_text (bus, GST_MESSAGE_ERROR, name, texts[i].complaint);
    gst_element_set_state (element, GST_STATE_NULL);
    g_object_set (element, texts[i].name, texts[i].good, NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), !=,
        GST_STATE_CHANGE_FAILURE);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (element);
  }
}

/* While frames pass it is a warning and nothing changes, at the next start neither. */
static void
test_wrong_while_playing (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    GstHarness *h = harness_new ("");
    GstElement *element = element_of (h);
    GstBus *bus = bus_of (element);
    g_autofree char *before = NULL, *after = NULL;

    expect_label (h, 0, "red");
    g_object_get (element, texts[i].name, &before, NULL);
    g_object_set (element, texts[i].name, texts[i].wrong, NULL);
    expect_text (bus, GST_MESSAGE_WARNING, texts[i].complaint, "the value before it stays in use");
    g_object_get (element, texts[i].name, &after, NULL);
    g_assert_cmpstr (before, ==, after);
    expect_label (h, 1, "red");
    gst_element_set_state (element, GST_STATE_NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PLAYING), !=,
        GST_STATE_CHANGE_FAILURE);
    clear (h, element, bus);
  }
}

/* Another value than the present one. */
static void
set_other (GObject *object, GParamSpec *spec)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, spec->value_type);
  g_object_get_property (object, spec->name, &value);
  switch (G_TYPE_FUNDAMENTAL (spec->value_type)) {
    case G_TYPE_STRING:
      g_value_set_string (&value, g_str_equal (spec->name, "tta") ? "flip" : "0,0,8,8");
      break;
    case G_TYPE_BOOLEAN:
      g_value_set_boolean (&value, !g_value_get_boolean (&value));
      break;
    case G_TYPE_ENUM:
      g_value_set_enum (&value, !g_value_get_enum (&value));
      break;
    case G_TYPE_UINT:
      g_value_set_uint (&value, g_value_get_uint (&value) + 1);
      break;
    case G_TYPE_UINT64:
      g_value_set_uint64 (&value, g_value_get_uint64 (&value) + 1);
      break;
    case G_TYPE_DOUBLE:
      g_value_set_double (&value, g_value_get_double (&value) > 0.25 ? 0.25 : 0.5);
      break;
    default:
      g_assert_not_reached ();
  }
  g_object_set_property (object, spec->name, &value);
  g_value_unset (&value);
}

/* What gst-inspect-1.0 calls changeable in NULL or READY is told, once, where it is changed later,
 * the rest takes effect at once: nothing is said. */
static void
test_next_start (void)
{
  static const char *const special[] = { "model", "weights", "labels-file", "qos", NULL };
  GstHarness *h = harness_new ("");
  GstElement *element = element_of (h);
  GstBus *bus = bus_of (element);
  g_autofree GParamSpec **specs = NULL;
  guint n, n_late = 0;

  expect_label (h, 0, "red");
  specs = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  for (guint i = 0; i < n; i++) {
    const gboolean is_late = specs[i]->flags & GST_PARAM_MUTABLE_READY;

    if (specs[i]->owner_type != G_OBJECT_TYPE (element) || !(specs[i]->flags & G_PARAM_WRITABLE)
        || g_strv_contains (special, specs[i]->name))
      continue;
    set_other (G_OBJECT (element), specs[i]);
    if (is_late) {
      g_autofree char *name = g_strdup_printf ("\"%s\"", specs[i]->name);

      expect_text (bus, GST_MESSAGE_WARNING, name, "takes effect at the next start");
      set_other (G_OBJECT (element), specs[i]);
    }
    g_assert_null (pop_text (bus, GST_MESSAGE_WARNING));
    n_late += is_late;
  }
  g_assert_cmpuint (n_late, >=, 14);

  /* as it is: nothing to tell; stopped: it does take effect; started again: told again */
  gst_element_set_state (element, GST_STATE_NULL);
  g_object_set (element, "device", "cpu", "mode", 0, "dump-input", NULL, "collect", NULL,
      "inference-region", 0, "explain", 0, "crop", NULL, NULL);
  gst_element_set_state (element, GST_STATE_PLAYING);
  g_object_set (element, "device", "cpu", "mode", 0, NULL);
  g_assert_null (pop_text (bus, GST_MESSAGE_WARNING));
  g_object_set (element, "mode", 1, NULL);
  expect_text (bus, GST_MESSAGE_WARNING, "\"mode\"", "takes effect at the next start");
  clear (h, element, bus);
}

/* The base class would drop frames that are late: it never does, whoever asks for it. */
static void
test_qos (void)
{
  GstHarness *h = harness_new ("");
  GstElement *element = element_of (h);
  GstBus *bus = bus_of (element);
  gboolean qos = TRUE;

  g_object_set (element, "qos", TRUE, NULL);
  expect_text (bus, GST_MESSAGE_WARNING, "property \"qos\"", "never dropped");
  g_object_get (element, "qos", &qos, NULL);
  g_assert_false (qos);
  gst_base_transform_set_qos_enabled (GST_BASE_TRANSFORM (element), TRUE);
  expect_label (h, 0, "red");
  gst_harness_push_upstream_event (h,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, 10 * GST_SECOND, 10 * GST_SECOND));
  for (guint n = 1; n < 20; n++)
    g_assert_cmpint (gst_harness_push (h, frame_of (RED, RED, n * FRAME)), ==, GST_FLOW_OK);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 20);
  clear (h, element, bus);
}

/* What is reported is the time measured, with 5 % of room; who asked is told when it changes. */
static void
test_latency (void)
{
  GstHarness *h = harness_new ("report-latency=true");
  GstElement *element = element_of (h);
  GstBus *bus = bus_of (element);
  GstClockTime reported = 0;

  gst_harness_set_upstream_latency (h, 10 * GST_MSECOND);
  for (guint n = 0; n < 20; n++) {
    GstMessage *message;
    guint64 measured;
    gboolean is_new;

    expect_label (h, n, "red");
    g_object_get (element, "inference-time", &measured, NULL);
    measured += measured / 20;
    is_new = measured > reported + reported / 4 || measured < reported - reported / 4;
    if (is_new)
      reported = measured;
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_LATENCY);
    g_assert_true (is_new == (message != NULL));
    if (message)
      gst_message_unref (message);
    g_assert_cmpuint (gst_harness_query_latency (h), ==, 10 * GST_MSECOND + reported);
  }
  clear (h, element, bus);
}

/* One model, but each element has the labels that it was told; of these only what is told of a
 * result stays in the process for ever. */
static void
test_labels_files (void)
{
  static const char *const words[] = { "rot\ngruen\nblau\n", "rouge\nvert-jamais-dit\nbleu\n" };
  static const char *const expected[] = { "rot", "rouge" };
  char *paths[2] = { path_of ("a.txt"), path_of ("b.txt") };
  GstHarness *h[2];

  for (guint i = 0; i < 2; i++) {
    g_autofree char *property
        = g_strdup_printf ("labels-file=\"%s\" batch-size=2 top-k=1", paths[i]);

    g_assert_true (g_file_set_contents (paths[i], words[i], -1, NULL));
    h[i] = harness_new (property);
  }
  for (guint n = 0; n < 4; n++)
    expect_label (h[n % 2], n, expected[n % 2]);
  gst_harness_teardown (h[0]);
  expect_label (h[1], 4, "rouge");
  gst_harness_teardown (h[1]);
  g_assert_cmpuint (g_quark_try_string ("rouge"), !=, 0);
  g_assert_cmpuint (g_quark_try_string ("vert-jamais-dit"), ==, 0);
  for (guint i = 0; i < 2; i++)
    g_free (paths[i]);
}

/* --- what comes too late ---------------------------------------------------------------------- */

/* Results of two elements that share an engine, which passes them on one after the other: it is
 * stopped within the one, so that the other's has been run and is not delivered yet. */
typedef struct {
  GMutex lock;
  GCond cond;
  guint n, allowed;     /* results so far; that need not wait */
  GstElement *last;     /* whose the last was */
  GstElement *watched;  /* its results of the model are counted from then on */
  guint n_watched;
} Gate;

static void
on_classified (GstElement *element, const GstStructure *result, Gate *gate)
{
  g_mutex_lock (&gate->lock);
  gate->n++;
  gate->last = element;
  if (element == gate->watched
      && g_str_equal (gst_structure_get_string (result, "model"), "color.h5"))
    gate->n_watched++;
  g_cond_broadcast (&gate->cond);
  while (gate->n > gate->allowed)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

static void
gate_wait (Gate *gate, guint n)
{
  g_mutex_lock (&gate->lock);
  while (gate->n < n)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

static void
gate_allow (Gate *gate, guint n)
{
  g_mutex_lock (&gate->lock);
  gate->allowed = n;
  g_cond_broadcast (&gate->cond);
  g_mutex_unlock (&gate->lock);
}

static void
flush (GstHarness *h, GstElement *element)
{
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
}

/* Until frames are classified by the new model. */
static void
exchange (GstHarness *h, GstElement *element)
{
  static const char *const labels[] = { "rouge", "vert", "bleu", NULL };
  g_autofree char *path = path_of ("other.h5"), *label = NULL;

  write_color_model (path, labels);
  g_object_set (element, "model", path, NULL);
  for (guint n = 3; g_strcmp0 (label, "rouge") != 0; n++) {
    g_free (label);
    label = label_of (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));
    g_usleep (1000);
  }
}

static void
test_too_late (gconstpointer data)
{
  void (*const change) (GstHarness *h, GstElement *element)
      = *(void (*const *) (GstHarness *, GstElement *)) data;
  GstHarness *h[2];
  GstElement *elements[2];
  Gate gate = { .allowed = 0 };
  guint other;

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.cond);
  for (guint i = 0; i < 2; i++) {
    h[i] = harness_new ("mode=async batch-size=2");
    elements[i] = element_of (h[i]);
    g_signal_connect (elements[i], "classified", G_CALLBACK (on_classified), &gate);
  }
  /* the engine is in the first result: what comes now is run together */
  gst_buffer_unref (gst_harness_push_and_pull (h[0], frame_of (RED, RED, 0)));
  gate_wait (&gate, 1);
  gst_buffer_unref (gst_harness_push_and_pull (h[0], frame_of (GREEN, GREEN, FRAME)));
  gst_buffer_unref (gst_harness_push_and_pull (h[1], frame_of (GREEN, GREEN, FRAME)));
  gate_allow (&gate, 1);
  gate_wait (&gate, 2);
  g_mutex_lock (&gate.lock);
  other = gate.last == elements[0];
  gate.watched = elements[other];
  g_mutex_unlock (&gate.lock);
  if (change == exchange) { /* its own results need not wait */
    g_signal_handlers_disconnect_by_func (elements[other], on_classified, &gate);
    exchange (h[other], elements[other]);
    g_signal_connect (elements[other], "classified", G_CALLBACK (on_classified), &gate);
  } else {
    change (h[other], elements[other]);
  }
  gate_allow (&gate, G_MAXUINT);
  /* stopped, it has heard of all that was under way */
  gst_element_set_state (elements[other], GST_STATE_NULL);
  g_assert_cmpuint (gate.n_watched, ==, 0);
  for (guint i = 0; i < 2; i++) {
    gst_object_unref (elements[i]);
    gst_harness_teardown (h[i]);
  }
  g_mutex_clear (&gate.lock);
  g_cond_clear (&gate.cond);
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  static void (*const changes[]) (GstHarness *, GstElement *) = { flush, exchange };
  g_autoptr (GDir) handle = NULL;
  const char *name;
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-changes-XXXXXX", NULL);
  model_path = path_of ("color.h5");
  write_color_model (model_path, labels);
  g_test_add_func ("/changes/wrong-at-start", test_wrong_at_start);
  g_test_add_func ("/changes/wrong-while-playing", test_wrong_while_playing);
  g_test_add_func ("/changes/next-start", test_next_start);
  g_test_add_func ("/changes/qos", test_qos);
  g_test_add_func ("/changes/latency", test_latency);
  g_test_add_func ("/changes/labels-files", test_labels_files);
  g_test_add_data_func ("/changes/too-late/flush", &changes[0], test_too_late);
  g_test_add_data_func ("/changes/too-late/model", &changes[1], test_too_late);
  status = g_test_run ();

  handle = g_dir_open (dir, 0, NULL);
  while (handle && (name = g_dir_read_name (handle))) {
    g_autofree char *path = path_of (name);

    g_unlink (path);
  }
  g_rmdir (dir);
  return status;
}
