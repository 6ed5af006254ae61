/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What videoclassify dumps of the network's input: that it is the frame's, and that
 * the command makes the same of it. */

#include <gst/check/gstharness.h>
#include <string.h>
#include <unistd.h>

#include "nn/file.h"
#include "nn/input-dump.h"
#include "tests/pictures.h"
#include "tests/two-colors.h"

static char *dir, *model_path;
static const char *classify_exe;

/* what the command prints of the only region of @path */
static double
predict_tensor (const char *path, char label[8])
{
  const char *argv[] = { classify_exe, "predict", "--device", "cpu", "--format", "csv", "--tensor",
    model_path, path, NULL };
  g_autofree char *out = NULL, *err = NULL;
  const char *fields;
  int status;

  g_assert_true (g_spawn_sync (
      NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL));
  if (status != 0)
    g_error ("classify predict --tensor: %s", err);
  fields = strstr (out, path);
  g_assert_nonnull (fields);
  fields += strlen (path) + 1;
  g_strlcpy (label, fields, strcspn (fields, ",") + 1);
  return g_ascii_strtod (fields + strcspn (fields, ",") + 1, NULL);
}

/* the dump of frame 1 that is not @other; (nullable) */
static char *
find_dump (const char *folder, const char *other)
{
  g_autoptr (GDir) files = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (files))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    if (g_str_has_prefix (name, "c.2") && g_str_has_suffix (name, ".frame-000001.h5")
        && g_strcmp0 (path, other) != 0)
      return g_steal_pointer (&path);
  }
  return NULL;
}

/* The values are those of the frame, and the command says of them what the element said. */
static void
test_dump (void)
{
  static const char *const views[] = { "none", "crops10:0.5", "scales:1,2+logits", "features:8" };

  for (guint v = 0; v < G_N_ELEMENTS (views); v++) {
    g_autofree char *name = g_strdup_printf ("dump%u", v);
    g_autofree char *folder = g_build_filename (dir, name, NULL);
    g_autofree char *path = NULL;
    g_autofree char *line = g_strdup_printf (
        "videoclassify name=c device=cpu threads=1 model=\"%s\" tta=\"%s\" dump-input=\"%s\" "
        "dump-limit=2",
        model_path, views[v], folder);
    GstHarness *h = gst_harness_new_parse (line);
    g_autoptr (NnInputDump) dump = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (GDir) files = NULL;
    const GstStructure *result;
    GstBuffer *out;
    double expected, got;
    char label[8];
    guint n = 0;

    gst_harness_set_src_caps_str (h, CAPS);
    out = gst_harness_push_and_pull (h, frame_of (RED, 0x004000, 3 * FRAME));
    for (guint i = 0; i < 3; i++) /* one more than the limit */
      gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (BLUE, BLUE, (4 + i) * FRAME)));
    path = find_dump (folder, NULL);
    g_assert_nonnull (path);
    result
        = gst_custom_meta_get_structure (gst_buffer_get_custom_meta (out, "GstVideoClassifyMeta"));
    gst_structure_get_double (result, "probability", &expected);
    got = predict_tensor (path, label);
    g_assert_cmpstr (label, ==, gst_structure_get_string (result, "label"));
    g_assert_cmpfloat_with_epsilon (got, expected, 2e-6);
    gst_buffer_unref (out);
    gst_harness_teardown (h);

    dump = nn_input_dump_read (path, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (dump->pts, ==, 3 * FRAME);
    g_assert_cmpstr (dump->model, ==, "color.h5");
    g_assert_cmpuint (dump->n_regions, ==, 1);
    g_assert_cmpfloat (dump->regions[0].width, ==, 32);
    if (v == 0) {
      g_assert_cmpuint (dump->n_views, ==, 1);
      for (guint i = 0; i < 32; i++) {
        g_assert_cmpfloat (dump->values[3 * i], ==, i % 8 < 4 ? 1 : 0);
        g_assert_cmpfloat_with_epsilon (dump->values[3 * i + 1], i % 8 < 4 ? 0 : 64 / 255., 1e-6);
      }
    } else if (v == 1) {
      g_assert_cmpuint (dump->n_views, ==, 10);
    }
    files = g_dir_open (folder, 0, NULL);
    while (g_dir_read_name (files))
      n++;
    g_assert_cmpuint (n, ==, 2);
  }
}

/* files that are none, and a dump of another network */
static void
test_dump_refused (void)
{
  g_autofree char *broken = g_build_filename (dir, "broken.h5", NULL);
  g_autofree char *cut = g_build_filename (dir, "cut.h5", NULL);
  g_autofree char *dumps = g_build_filename (dir, "dump0", NULL), *data = NULL;
  g_autofree char *good = find_dump (dumps, NULL);
  const char *const paths[] = { broken, cut, model_path, "/nonexistent.h5" };
  gsize size;

  g_assert_true (g_file_set_contents (broken, "no HDF5", -1, NULL));
  g_assert_true (g_file_get_contents (good, &data, &size, NULL));
  g_assert_true (g_file_set_contents (cut, data, (gssize)size / 2, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (nn_input_dump_read (paths[i], &error));
    g_assert_nonnull (strstr (error->message, paths[i]));
  }
}

/* A run leaves what earlier ones wrote; nothing is written through a link, or over a file. */
static void
test_dump_is_new (void)
{
  g_autofree char *folder = g_build_filename (dir, "again", NULL), *first = NULL, *second = NULL;
  g_autofree char *before = NULL, *after = NULL, *victim = g_build_filename (dir, "victim", NULL);
  g_autofree char *link = g_build_filename (dir, "link.h5", NULL), *text = NULL;
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" dump-input=\"%s\"", model_path,
      folder);
  const char *const taken[] = { link, victim };
  gsize n_before, n_after;

  for (guint run = 0; run < 2; run++) {
    GstHarness *h = gst_harness_new_parse (line);

    gst_harness_set_src_caps_str (h, CAPS);
    gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (run ? RED : BLUE, BLUE, 0)));
    gst_harness_teardown (h);
    if (run == 0) {
      first = find_dump (folder, NULL);
      g_assert_true (g_file_get_contents (first, &before, &n_before, NULL));
    }
  }
  second = find_dump (folder, first);
  g_assert_nonnull (second);
  g_assert_true (g_file_get_contents (first, &after, &n_after, NULL));
  g_assert_cmpmem (before, n_before, after, n_after);

  g_assert_true (g_file_set_contents (victim, "mine", -1, NULL));
  g_assert_cmpint (symlink (victim, link), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (taken); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (nn_file_create (taken[i], FALSE, "x", 1, &error));
    g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST);
  }
  g_assert_true (g_file_get_contents (victim, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "mine");
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  classify_exe = argv[1];
  dir = make_dir ();
  model_path = g_build_filename (dir, "color.h5", NULL);
  write_color_model (model_path, labels);
  g_test_add_func ("/dump/values", test_dump);
  g_test_add_func ("/dump/refused", test_dump_refused);
  g_test_add_func ("/dump/is-new", test_dump_is_new);
  status = g_test_run ();
  remove_dir (dir);
  g_free (model_path);
  g_free (dir);
  return status;
}
