/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/facts.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/text.h"
#include "train/dataset-split.h"
#include "train/picture-list.h"

#define FORMAT "2" /* of the facts; 1: a fingerprint of the settings alone */
#define MAX_NETWORK ((gsize) 64 << 20)
#define MAX_TOLD 4 /* differences that a message names */
#define DIGITS 16 /* of a digest of pictures */

#define SETTING "setting."
#define PICTURES "pictures."
#define UNREADABLE "unreadable"

/* --- making ------------------------------------------------------------------------ */

static void G_GNUC_PRINTF (3, 4)
add (GString *text, const char *name, const char *format, ...)
{
  g_autofree char *value = NULL, *key = g_strescape (name, NULL), *escaped = NULL;
  va_list args;

  va_start (args, format);
  value = g_strdup_vprintf (format, args);
  va_end (args);
  escaped = g_strescape (value, NULL);
  g_strdelimit (key, "=", '-');
  g_string_append_printf (text, "%s=%s\n", key, escaped);
}

/* of the JSON's content: how it is laid out does not count */
static gboolean
add_network (GString *text, const char *path, GError **error)
{
  gsize size;
  g_autofree char *json = nn_file_read (path, MAX_NETWORK, "a network JSON", &size, error);
  g_autofree char *plain = NULL, *checksum = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();

  if (!json)
    return FALSE;
  if (json_parser_load_from_data (parser, json, (gssize) size, NULL))
    plain = json_to_string (json_parser_get_root (parser), FALSE);
  checksum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, plain ? plain : json, -1);
  add (text, "network", "%s", checksum);
  return TRUE;
}

static void
add_init (GString *text, const FactsSource *source)
{
  g_autoptr (GMappedFile) file = NULL;
  g_autofree char *checksum = NULL;

  if (!source->init) {
    add (text, "init", "none");
    return;
  }
  if (g_file_test (source->init, G_FILE_TEST_IS_REGULAR))
    file = g_mapped_file_new (source->init, FALSE, NULL);
  if (file)
    checksum = g_compute_checksum_for_data (G_CHECKSUM_SHA256,
        (const guchar *) g_mapped_file_get_contents (file), g_mapped_file_get_length (file));
  add (text, "init", "%s %s", source->init_match == NN_WEIGHTS_BY_NAME ? "name" : "order",
      checksum ? checksum : UNREADABLE);
}

static void
add_digest (GChecksum *checksum, const Dataset *data, guint i)
{
  g_checksum_update (checksum, data->digests[i].sha256, sizeof data->digests[i].sha256);
  if (data->targets)
    g_checksum_update (checksum, (const guchar *) (data->targets + (gsize) i * data->n_classes),
        (gssize) (data->n_classes * sizeof (float)));
}

/* @name: training, validation, unlabelled. Content and labels of all in their order, and of
 * each class by itself, to tell where the change is. */
static void
add_pictures (GString *text, const char *name, const Dataset *data)
{
  g_autoptr (GChecksum) all = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *key = g_strconcat (PICTURES, name, NULL);
  const guint n_classes = data->classes ? data->n_classes : 0;
  g_autofree GChecksum **classes = g_new0 (GChecksum *, n_classes + 1);
  g_autofree guint *counts = g_new0 (guint, n_classes + 1);

  for (guint c = 0; c < n_classes; c++)
    classes[c] = g_checksum_new (G_CHECKSUM_SHA256);
  for (guint i = 0; i < data->n; i++) {
    const guint32 label = GUINT32_TO_LE (data->labels[i]);

    g_checksum_update (all, (const guchar *) &label, sizeof label);
    add_digest (all, data, i);
    if (n_classes) {
      add_digest (classes[label], data, i);
      counts[label]++;
    }
  }
  for (guint c = 0; c < n_classes; c++) {
    g_autofree char *own = g_strconcat (key, ".", data->classes[c], NULL);

    add (text, own, "%u %.*s", counts[c], DIGITS, g_checksum_get_string (classes[c]));
    g_checksum_free (classes[c]);
  }
  add (text, key, "%u %s", data->n, g_checksum_get_string (all));
}

static void
add_names (GString *text, const char *name, const char *dir, const Dataset *data)
{
  g_autoptr (GChecksum) all = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *key = g_strconcat ("names.", name, NULL);
  g_autofree char *folder = g_strconcat ("folder.", name, NULL);
  g_autofree char *full = g_canonicalize_filename (dir, NULL);

  for (guint i = 0; i < data->n - data->n_listed; i++) {
    g_autofree char *own = picture_list_name (dir, data->paths[i]);

    g_checksum_update (all, (const guchar *) own, (gssize) strlen (own) + 1);
  }
  add (text, key, "%s", g_checksum_get_string (all));
  add (text, folder, "%s", full);
}

gboolean
facts_make (Facts *facts, const FactsSource *source, GError **error)
{
  const Recipe *recipe = source->recipe;
  g_autoptr (GString) deciding = g_string_new (NULL), others = g_string_new (NULL);
  g_autofree char *classes = g_strjoinv ("\n", source->data->classes);
  g_auto (GStrv) settings = g_strsplit (recipe->fingerprint, "\n", -1);
  const char *tail = strstr (source->description, " processor");

  while (tail && tail > source->description && *tail != ',')
    tail--;
  add (deciding, "format", FORMAT);
  if (!add_network (deciding, recipe->network, error))
    return FALSE;
  add_init (deciding, source);
  add (deciding, "device", "%.*s", (int) strcspn (source->device, ":"), source->device);
  for (guint i = 0; settings[i] && *settings[i]; i++) {
    char *equals = strchr (settings[i], '=');
    g_autofree char *name
        = g_strdup_printf (SETTING "%.*s", (int) (equals - settings[i]), settings[i]);

    add (deciding, name, "%s", equals + 1);
  }
  add (deciding, "classes", "%s", classes);
  add_pictures (deciding, "training", source->data);
  if (source->validation)
    add_pictures (deciding, "validation", source->validation);
  if (source->unlabelled)
    add_pictures (deciding, "unlabelled", source->unlabelled);

  add_names (others, "training", recipe->train_dir, source->data);
  if (source->validation)
    add_names (others, "validation",
        recipe->validate_dir ? recipe->validate_dir : recipe->train_dir, source->validation);
  if (source->unlabelled)
    add_names (others, "unlabelled", recipe->unlabelled_dir, source->unlabelled);
  /* how many processors there are does not change the bits */
  add (others, "description", "%.*s", (int) (tail ? tail - source->description : G_MAXINT16),
      source->description);
  add (others, "version", CLASSIFY_VERSION);
  facts->deciding = g_strdup (deciding->str);
  facts->others = g_strdup (others->str);
  return TRUE;
}

void
facts_clear (Facts *facts)
{
  g_clear_pointer (&facts->deciding, g_free);
  g_clear_pointer (&facts->others, g_free);
}

/* --- comparing ----------------------------------------------------------------------- */

/* A damaged text may end within an escape, of which GLib would warn. */
static char *
unescape (char *text)
{
  gsize n = strlen (text), n_slashes = 0;

  while (n_slashes < n && text[n - 1 - n_slashes] == '\\')
    n_slashes++;
  if (n_slashes % 2)
    text[n - 1] = '\0';
  return g_strcompress (text);
}

/* name -> value, both without escapes; @order (nullable): the names as they come */
static GHashTable *
parse (const char *text, GPtrArray *order)
{
  GHashTable *table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i]; i++) {
    char *equals = strchr (lines[i], '=');
    char *name;

    if (!equals)
      continue;
    *equals = '\0';
    name = unescape (lines[i]);
    if (order && !g_hash_table_contains (table, name))
      g_ptr_array_add (order, g_strdup (name));
    g_hash_table_replace (table, name, unescape (equals + 1));
  }
  return table;
}

static char *
list_classes (const char *joined)
{
  g_auto (GStrv) classes = g_strsplit (joined ? joined : "", "\n", -1);

  return dataset_describe_classes ((const char *const *) classes);
}

static const char *
find_dir (const Recipe *recipe, const char *set)
{
  if (g_str_has_prefix (set, "unlabelled"))
    return recipe->unlabelled_dir ? recipe->unlabelled_dir : "the unlabelled pictures";
  if (g_str_has_prefix (set, "validation") && recipe->validate_dir)
    return recipe->validate_dir;
  return recipe->train_dir;
}

/* @set: training, validation or unlabelled, and perhaps ".CLASS"; @then, @now: numbers first */
static char *
tell_pictures (const Recipe *recipe, const char *set, const char *then, const char *now)
{
  const char *dir = find_dir (recipe, set), *dot = strchr (set, '.');
  guint64 before, after;
  g_autofree char *what = dot ? g_strdup_printf ("class \"%s\" of %s", dot + 1, dir)
                              : g_strdup (dir);

  if (!then || !now)
    return g_strdup_printf ("%s pictures were %sgiven, are %sgiven now", set, then ? "" : "not ",
        now ? "" : "not ");
  before = g_ascii_strtoull (then, NULL, 10);
  after = g_ascii_strtoull (now, NULL, 10);
  if (before != after)
    return g_strdup_printf ("%s had %" G_GUINT64_FORMAT " pictures, has %" G_GUINT64_FORMAT " now",
        what, before, after);
  if (dot)
    return g_strdup_printf ("%s: some of its %" G_GUINT64_FORMAT " pictures are not those that "
                            "were there",
        what, after);
  return g_strdup_printf ("%s: its pictures are others, or in another order", what);
}

static char *
tell (const char *name, const char *then, const char *now, const FactsSource *source)
{
  const Recipe *recipe = source->recipe;

  if (strcmp (name, "classes") == 0) {
    g_autofree char *before = list_classes (then), *after = list_classes (now);

    return g_strdup_printf ("was trained for the classes %s; %s has %s", before,
        recipe->train_dir, after);
  }
  if (strcmp (name, "network") == 0)
    return g_strdup_printf ("%s holds another network now", recipe->network);
  if (strcmp (name, "init") == 0)
    return g_strdup_printf ("%s: not the weights that it began with",
        source->init ? source->init : "no --init");
  if (strcmp (name, "device") == 0)
    return g_strdup_printf ("was trained on %s, this is %s: give --device %s", then, now, then);
  if (g_str_has_prefix (name, PICTURES))
    return tell_pictures (recipe, name + strlen (PICTURES), then, now);
  if (g_str_has_prefix (name, SETTING "data.list"))
    return g_strdup_printf ("another list of pictures, or other content in it (%s)",
        name + strlen (SETTING));
  if (g_str_has_prefix (name, SETTING))
    return g_strdup_printf ("%s was %s, is %s now", name + strlen (SETTING),
        !then ? "not known" : *then ? then : "not set",
        !now ? "not known" : *now ? now : "not set");
  return g_strdup_printf ("%s was %s, is %s now", name, then ? then : "not known",
      now ? now : "not known");
}

/* a line more; names in it may have line breaks */
static void G_GNUC_PRINTF (2, 3)
say (GString *said, const char *format, ...)
{
  g_autofree char *text = NULL, *printable = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  printable = nn_text_printable (text, -1);
  g_string_append (said, printable);
  g_string_append_c (said, '\n');
}

/* Whether the run can go on all the same: its weights are in the checkpoint. */
static gboolean
is_harmless (const char *name, const char *then, const char *now, const FactsSource *source,
    GString *said)
{
  if (!said || strcmp (name, "init") != 0 || !then || !now)
    return FALSE;
  if (strcmp (now, "none") == 0) {
    say (said,
        "goes on with the checkpoint's weights, which began with those of a file (--init)");
    return TRUE;
  }
  if (!g_str_has_suffix (now, UNREADABLE))
    return FALSE;
  say (said, "%s cannot be read, and is not needed: the checkpoint has its own weights",
      source->init);
  return TRUE;
}

/* Whether a row of pictures says what another one says better: the classes, a class of the
 * same set, or the set that is not given. @sets: of which a class was told. */
static gboolean
is_told (const char *name, GHashTable *before, GHashTable *after, GHashTable *sets)
{
  const char *set = name + strlen (PICTURES), *dot;
  g_autofree char *whole = NULL;

  if (!g_str_has_prefix (name, PICTURES))
    return FALSE;
  dot = strchr (set, '.');
  whole = dot ? g_strndup (name, (gsize) (dot - name)) : g_strdup (name);
  if (g_strcmp0 (g_hash_table_lookup (before, "classes"), g_hash_table_lookup (after, "classes"))
      != 0)
    return TRUE;
  if (!dot)
    return g_hash_table_contains (sets, name);
  if (!g_hash_table_contains (before, whole) || !g_hash_table_contains (after, whole))
    return TRUE;
  g_hash_table_add (sets, g_steal_pointer (&whole));
  return FALSE;
}

gboolean
facts_compare (const char *then, const char *now, const FactsSource *source, const char *path,
    GString *said, GError **error)
{
  g_autoptr (GPtrArray) order = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) before = parse (then, order), after = parse (now, order);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) sets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GString) told = g_string_new (NULL);
  gboolean only_settings = TRUE;
  guint n = 0;

  for (guint i = 0; i < order->len; i++) {
    const char *name = g_ptr_array_index (order, i);
    const char *a = g_hash_table_lookup (before, name), *b = g_hash_table_lookup (after, name);
    g_autofree char *text = NULL;

    if (!g_hash_table_add (seen, (gpointer) name) || g_strcmp0 (a, b) == 0
        || is_harmless (name, a, b, source, said) || is_told (name, before, after, sets))
      continue;
    only_settings = only_settings && g_str_has_prefix (name, SETTING);
    text = tell (name, a, b, source);
    if (n++ < MAX_TOLD)
      g_string_append_printf (told, "%s%s", told->len ? "; " : "", text);
  }
  if (n > MAX_TOLD)
    g_string_append_printf (told, "; and %u more", n - MAX_TOLD);
  if (n > 0)
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: belongs to %s: %s (%s)", path,
        only_settings ? "a run with other settings" : "another run", told->str,
        said ? "restore that, or start anew with --overwrite"
             : "restore that, or remove the file");
  return n == 0;
}

void
facts_compare_others (const char *then, const char *now, GString *said)
{
  g_autoptr (GPtrArray) order = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) before = parse (then, NULL), after = parse (now, order);

  for (guint i = 0; i < order->len; i++) {
    const char *name = g_ptr_array_index (order, i);
    const char *a = g_hash_table_lookup (before, name), *b = g_hash_table_lookup (after, name);

    if (!a || strcmp (a, b) == 0)
      continue;
    if (g_str_has_prefix (name, "folder."))
      say (said, "the %s pictures are read from %s now, before from %s",
          name + strlen ("folder."), b, a);
    else if (g_str_has_prefix (name, "names."))
      say (said, "some %s pictures have other names than before: what is in them is the same",
          name + strlen ("names."));
    else if (strcmp (name, "description") == 0)
      say (said, "goes on on %s, before it was %s: results may differ in the last digits", b, a);
    else
      say (said, "goes on with classify %s, was begun by %s", b, a);
  }
}
