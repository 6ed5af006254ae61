/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Folders as people have them: their names, links, what lies between the pictures; splits;
 * limits; memory. */

#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/log.h"
#include "tests/command.h"
#include "tests/pictures.h"
#include "train/dataset-split.h"
#include "train/picture-list.h"
#include "train/recipe.h"

static GPtrArray *warnings;

static void
collect_warning (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_WARNING)
    g_ptr_array_add (warnings, g_strdup (message));
}

static gboolean
was_warned (const char *word)
{
  for (guint i = 0; i < warnings->len; i++)
    if (strstr (g_ptr_array_index (warnings, i), word))
      return TRUE;
  return FALSE;
}

/* DIR/NAME/0.png to n - 1 */
static void
fill (const char *dir, const char *name, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autofree char *file = g_strdup_printf ("%s/%u.png", name, i);

    g_free (make_picture (dir, file, 6, 5, 0x203040, i * 977 + g_str_hash (name) % 1000));
  }
}

static void
make_link (const char *target, const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_cmpint (symlink (target, path), ==, 0);
}

static void
write_text (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static Dataset *
load_with (const char *dir, const DatasetOptions *options, GError **error)
{
  NnPreprocess pre;

  nn_preprocess_init (&pre, 4, 4);
  g_ptr_array_set_size (warnings, 0);
  return dataset_load (dir, options, &pre, error);
}

static Dataset *
load (const char *dir, GError **error)
{
  return load_with (dir, &(DatasetOptions) { .threads = 2 }, error);
}

/* --- parts of a data set ---------------------------------------------------------- */

static void
test_parts (void)
{
  static const struct
  {
    const char *train, *validate; /* folders that there are */
    const char *found;            /* of the latter, or NULL */
  } cases[] = { { "train", "validate", "validate" }, { "Train", "Val", "Val" },
    { "training", "validation", "validation" }, { "TRAIN", "valid", "valid" },
    { "train", "test", "test" }, { "train", "Testing", "Testing" }, { "train", NULL, NULL } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *dir = make_dir (), *train = g_build_filename (dir, cases[i].train, NULL);
    g_autofree char *inner = g_strconcat (cases[i].train, "/a", NULL);
    g_autofree char *validate
        = cases[i].found ? g_build_filename (dir, cases[i].found, NULL) : NULL;
    g_auto (FolderParts) parts = { NULL };

    fill (dir, inner, 1);
    if (cases[i].validate) {
      g_autofree char *other = g_strconcat (cases[i].validate, "/a", NULL);

      fill (dir, other, 1);
    }
    fill (dir, "unlabelled", 1);
    folder_parts_find (dir, FALSE, &parts);
    g_assert_cmpstr (parts.root, ==, dir);
    g_assert_cmpstr (parts.train, ==, train);
    g_assert_cmpstr (parts.validate, ==, validate);
    remove_dir (dir);
  }
}

/* a folder alone in another, as zip files in zip files leave it */
static void
test_nested (void)
{
  g_autofree char *dir = make_dir (), *root = g_build_filename (dir, "x", "PetImages", NULL);
  g_autofree char *junk = g_build_filename (dir, "__MACOSX", NULL);
  g_auto (FolderParts) parts = { NULL };

  fill (dir, "x/PetImages/cat", 1);
  fill (dir, "x/PetImages/dog", 1);
  g_assert_cmpint (g_mkdir (junk, 0755), ==, 0);
  folder_parts_find (dir, FALSE, &parts);
  g_assert_cmpstr (parts.root, ==, root);
  g_assert_null (parts.train);
  folder_parts_clear (&parts);
  /* one class is not taken for such a folder */
  remove_dir (root);
  fill (dir, "x/cat", 1);
  folder_parts_find (dir, FALSE, &parts);
  g_assert_true (g_str_has_suffix (parts.root, "/x") || g_str_equal (parts.root, dir));
  remove_dir (dir);
}

/* never classes "Train" and "Val" */
static void
test_parts_are_no_classes (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;

  fill (dir, "Train/a", 1);
  fill (dir, "Val/a", 1);
  g_assert_null (load (dir, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "its folder \"Train\" is no class"));
  g_assert_nonnull (strstr (error->message, "/Train"));
  g_clear_error (&error);
  remove_dir (dir);

  g_free (dir); /* but a class may be called so */
  dir = make_dir ();
  fill (dir, "test", 1);
  fill (dir, "train", 1);
  {
    g_autoptr (Dataset) data = load (dir, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (data->n_classes, ==, 2);
  }
  remove_dir (dir);
}

/* --- what lies in folders --------------------------------------------------------- */

static void
test_skipped (void)
{
  static const char *const names[] = { ".ipynb_checkpoints", "@eaDir", "__MACOSX", ".hidden" };
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;

  fill (dir, "a", 2);
  fill (dir, "b", 2);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *inner = g_build_filename ("a", names[i], NULL);
    g_autofree char *deep = g_build_filename ("b", "sub", names[i], NULL);

    fill (dir, names[i], 3); /* at any depth */
    fill (dir, inner, 3);
    fill (dir, deep, 3);
  }
  data = load (dir, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n, ==, 4);
  g_assert_cmpuint (data->n_classes, ==, 2);
  g_assert_null (data->left_out);
  remove_dir (dir);
}

static void
test_left_out (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;

  fill (dir, "a", 2);
  fill (dir, "b", 2);
  write_text (dir, "a/1.txt", "x");
  write_text (dir, "a/2.TXT", "x");
  write_text (dir, "b/labels.csv", "x");
  write_text (dir, "b/noext", "x");
  write_text (dir, "README.md", "x");
  g_free (make_picture (dir, "loose.png", 4, 4, 0, 0));
  write_text (dir, "a/Thumbs.db", "x");
  data = load (dir, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (data->left_out, ==, "2 .txt, 1 without a suffix, 1 .csv, 1 .md");
  g_assert_cmpuint (warnings->len, ==, 1);
  g_assert_true (was_warned (": left out: 1 picture in no folder of a class"));
  remove_dir (dir);
}

static void
test_links (void)
{
  g_autofree char *dir = make_dir (), *disk = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;

  fill (dir, "a", 1);
  fill (dir, "b", 1);
  fill (disk, "more", 3);
  {
    g_autofree char *more = g_build_filename (disk, "more", NULL);
    g_autofree char *one = g_build_filename (disk, "more", "0.png", NULL);

    make_link (more, dir, "a/external");
    make_link (more, dir, "c"); /* a class */
    make_link (one, dir, "b/linked.png");
    make_link ("..", dir, "a/up"); /* circles */
    make_link (".", dir, "a/self");
    make_link ("external", dir, "a/twice");
    make_link ("/nowhere.png", dir, "b/dangling.png");
  }
  data = load (dir, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n_classes, ==, 3);
  g_assert_cmpuint (data->n, ==, 1 + 3 + 2 + 3);
  g_assert_cmpuint (data->n_unreadable, ==, 1);
  remove_dir (dir);
  remove_dir (disk);
}

/* names that Windows and scripts give */
static void
test_prefix (void)
{
  static const char *const names[] = { "cat (1).png", "cat (12).png", "cat.png", "dog1.png",
    "dog22.png", "dog 3.png", "dog-4 (2).png", "type2.7.png", "type2.8.png" };
  static const char *const classes[] = { "cat", "dog", "type2" };
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;
  const DatasetOptions options = { .layout = LAYOUT_PREFIX, .threads = 1 };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_free (make_picture (dir, names[i], 4, 4, 0, i));
  data = load_with (dir, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n_classes, ==, G_N_ELEMENTS (classes));
  for (guint c = 0; c < data->n_classes; c++)
    g_assert_cmpstr (data->classes[c], ==, classes[c]);
  for (guint i = 0; i < data->n; i++) {
    guint index;

    g_assert_true (
        picture_find_class (data->paths[i], (const char *const *) data->classes, &index));
    g_assert_cmpuint (index, ==, data->labels[i]);
  }
  remove_dir (dir);

  g_free (dir);
  dir = make_dir ();
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf ("%c.png", 'x' + i);

    g_free (make_picture (dir, name, 4, 4, 0, i));
  }
  g_assert_null (load_with (dir, &options, &error));
  g_assert_nonnull (strstr (error->message, "every picture is of a class of its own"));
  remove_dir (dir);
}

/* --- limits ----------------------------------------------------------------------- */

static void
check_counts (const char *dir, guint limit, guint per_class, guint a, guint b, guint c)
{
  const DatasetOptions options
      = { .limit = limit, .limit_per_class = per_class, .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = load_with (dir, &options, &error);
  guint counts[3] = { 0 };

  g_assert_no_error (error);
  for (guint i = 0; i < data->n; i++)
    counts[data->labels[i]]++;
  g_assert_cmpuint (counts[0], ==, a);
  g_assert_cmpuint (counts[1], ==, b);
  g_assert_cmpuint (counts[2], ==, c);
}

static void
test_limits (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;

  fill (dir, "a", 9);
  fill (dir, "b", 2);
  fill (dir, "c", 5);
  check_counts (dir, 0, 0, 9, 2, 5);
  check_counts (dir, 5, 0, 2, 2, 1);
  check_counts (dir, 9, 0, 4, 2, 3);
  check_counts (dir, 15, 0, 8, 2, 5);
  check_counts (dir, 100, 0, 9, 2, 5);
  check_counts (dir, 0, 3, 3, 2, 3);
  check_counts (dir, 4, 1, 1, 1, 1);
  g_assert_null (load_with (dir, &(DatasetOptions) { .limit = 2, .threads = 1 }, &error));
  g_assert_nonnull (strstr (error->message, "a limit of 2 pictures leaves none"));
  remove_dir (dir);
}

/* --- a part held back ------------------------------------------------------------- */

static gboolean
load_split (const char *dir, double fraction, guint64 seed, Dataset **train, Dataset **held)
{
  const DatasetOptions options = { .threads = 2, .held_fraction = fraction, .seed = seed };
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;
  gboolean ok;

  nn_preprocess_init (&pre, 4, 4);
  ok = dataset_load_split (dir, &options, &pre, &pre, train, held, &error);
  g_assert_no_error (error);
  return ok;
}

/* the digests of what is held back, sorted, as text */
static char *
describe_held (const Dataset *held)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (g_free);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < held->n; i++)
    g_ptr_array_add (
        all, g_compute_checksum_for_data (G_CHECKSUM_MD5, held->digests[i].sha256, 32));
  for (guint i = 0; i < all->len; i++)
    for (guint k = i + 1; k < all->len; k++)
      if (strcmp (all->pdata[k], all->pdata[i]) < 0) {
        gpointer other = all->pdata[i];

        all->pdata[i] = all->pdata[k];
        all->pdata[k] = other;
      }
  for (guint i = 0; i < all->len; i++)
    g_string_append (text, all->pdata[i]);
  g_ptr_array_unref (all);
  return g_string_free (text, FALSE);
}

static void
test_split (void)
{
  g_autofree char *dir = make_dir (), *first = NULL, *again = NULL, *other = NULL, *moved = NULL;
  guint counts[3] = { 0 };

  fill (dir, "a", 20);
  fill (dir, "b", 10);
  fill (dir, "c", 2);
  for (guint pass = 0; pass < 4; pass++) {
    g_autoptr (Dataset) train = NULL, held = NULL, only = NULL;
    g_autoptr (GError) error = NULL;

    if (pass == 3) { /* other names, in another order */
      for (guint i = 0; i < 20; i++) {
        g_autofree char *from = g_strdup_printf ("%s/a/%u.png", dir, i);
        g_autofree char *to = g_strdup_printf ("%s/a/%c%u", dir, 'z' - i, i);

        g_assert_cmpint (g_rename (from, to), ==, 0);
      }
    }
    load_split (dir, 0.25, pass == 2 ? 8 : 7, &train, &held);
    g_assert_cmpuint (train->n + held->n, ==, 32);
    *(pass == 0 ? &first : pass == 1 ? &again : pass == 2 ? &other : &moved) = describe_held (held);
    for (guint i = 0; i < held->n && pass == 0; i++)
      counts[held->labels[i]]++;
    /* what calibrates after the training gets the same */
    only = load_with (dir,
        &(DatasetOptions) { .threads = 1, .held_fraction = 0.25, .seed = pass == 2 ? 8 : 7 },
        &error);
    g_assert_no_error (error);
    g_assert_cmpuint (only->n, ==, held->n);
    g_assert_cmpmem (
        only->bytes, only->n * only->sample_size, held->bytes, held->n * held->sample_size);
  }
  g_assert_cmpuint (counts[0], ==, 5);
  g_assert_cmpuint (counts[1], ==, 3);
  g_assert_cmpuint (counts[2], ==, 1);
  g_assert_cmpstr (first, ==, again);
  g_assert_cmpstr (first, ==, moved);
  g_assert_cmpstr (first, !=, other);
  remove_dir (dir);
}

/* the same bytes are never on both sides, in one class or in two */
static void
test_split_twins (void)
{
  g_autofree char *dir = make_dir ();

  fill (dir, "a", 10);
  fill (dir, "b", 10);
  for (guint i = 0; i < 10; i += 2) {
    g_autofree char *from = g_strdup_printf ("%s/a/%u.png", dir, i), *data = NULL;
    g_autofree char *twin = g_strdup_printf ("%s/a/twin%u.png", dir, i);
    g_autofree char *wrong = g_strdup_printf ("%s/b/wrong%u.png", dir, i);
    gsize size;

    g_assert_true (g_file_get_contents (from, &data, &size, NULL));
    g_assert_true (g_file_set_contents (twin, data, (gssize) size, NULL));
    if (i % 4 == 0)
      g_assert_true (g_file_set_contents (wrong, data, (gssize) size, NULL));
  }
  for (guint i = 0; i < 3; i++) { /* a class of one picture, three times */
    g_autofree char *name = g_strdup_printf ("c/%u.png", i);

    g_free (make_picture (dir, name, 6, 5, 0x99aabb, 4711));
  }
  for (guint64 seed = 0; seed < 20; seed++) {
    g_autoptr (Dataset) train = NULL, held = NULL;
    guint n_alike = 0;

    load_split (dir, 0.4, seed, &train, &held);
    g_assert_cmpuint (held->n, >, 2);
    for (guint i = 0; i < train->n; i++)
      n_alike += train->labels[i] == 2;
    g_assert_cmpuint (n_alike, ==, 3);
    for (guint i = 0; i < held->n; i++)
      for (guint k = 0; k < train->n; k++)
        g_assert_false (picture_digest_equal (&held->digests[i], &train->digests[k]));
  }
  remove_dir (dir);
}

static void
test_few (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;
  g_autofree char *counts = NULL;

  fill (dir, "a", 30);
  fill (dir, "b", 3);
  data = load (dir, &error);
  g_assert_no_error (error);
  counts = dataset_describe_counts (data);
  g_assert_cmpstr (counts, ==, "30 of a, 3 of b");
  dataset_warn_of_few (data, "D", FALSE);
  g_assert_true (was_warned ("D: few pictures to learn from: 3 of class \"b\": "));
  g_assert_true (was_warned ("30 pictures of class \"a\", 3 of \"b\""));
  g_ptr_array_set_size (warnings, 0);
  dataset_warn_of_few (data, "D", TRUE);
  g_assert_cmpuint (warnings->len, ==, 1);
  remove_dir (dir);
}

/* a line stays one that can be read, however many classes there are */
static void
test_describe_classes (void)
{
  static const struct
  {
    guint n;
    const char *told;
  } rows[] = {
    { 0, "" },
    { 1, "c0" },
    { 20, "c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, "
          "c19" },
    { 21, "c0, c1, c2, c3, c4 and 16 more" },
    { 1500, "c0, c1, c2, c3, c4 and 1495 more" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_auto (GStrv) classes = g_new0 (char *, rows[i].n + 1);
    g_autofree char *told = NULL;

    for (guint c = 0; c < rows[i].n; c++)
      classes[c] = g_strdup_printf ("c%u", c);
    told = dataset_describe_classes ((const char *const *) classes);
    g_assert_cmpstr (told, ==, rows[i].told);
  }
}

/* --- memory ----------------------------------------------------------------------- */

static void
test_mapped (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) memory = NULL, file = NULL;

  fill (dir, "a", 5);
  fill (dir, "b", 5);
  write_text (dir, "a/bad.png", "x");
  memory = load (dir, &error);
  g_assert_no_error (error);
  g_assert_false (memory->store.is_mapped);
  g_setenv ("CLASSIFY_MEMORY", "0", TRUE);
  file = load (dir, &error);
  g_assert_no_error (error);
  g_assert_true (file->store.is_mapped);
  g_assert_true (was_warned ("11 pictures of 4x4 pixels take 528 bytes, 0 bytes of memory are "));
  g_assert_cmpuint (file->n, ==, memory->n);
  g_assert_cmpmem (
      file->bytes, file->n * file->sample_size, memory->bytes, memory->n * memory->sample_size);
  { /* neither here nor there */
    g_autofree char *tmp = g_strdup (g_getenv ("TMPDIR"));

    g_setenv ("TMPDIR", "/nowhere/at/all", TRUE);
    g_assert_null (load (dir, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_NO_MEMORY);
    g_assert_nonnull (strstr (error->message, "/nowhere/at/all has no room"));
    if (tmp)
      g_setenv ("TMPDIR", tmp, TRUE);
    else
      g_unsetenv ("TMPDIR");
  }
  g_unsetenv ("CLASSIFY_MEMORY");
  remove_dir (dir);
}

/* a part is copied, not read again, where it is wanted in the same size */
static void
test_part (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL, part = NULL, large = NULL;
  gboolean keep[6] = { FALSE, TRUE, FALSE, TRUE, TRUE, FALSE };
  NnPreprocess pre;

  fill (dir, "a", 3);
  fill (dir, "b", 3);
  data = load (dir, &error);
  g_assert_no_error (error);
  nn_preprocess_init (&pre, 8, 8);
  large = dataset_load_part (data, keep, dir, 1, &pre, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (large->sample_size, ==, 192);
  remove_dir (dir);
  part = dataset_load_part (data, keep, dir, 1, &data->pre, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (part->n, ==, 3);
  g_assert_cmpuint (part->labels[2], ==, 1);
  for (guint i = 0; i < 3; i++) {
    const guint from = i == 0 ? 1 : i + 2;

    g_assert_cmpstr (part->paths[i], ==, data->paths[from]);
    g_assert_true (picture_digest_equal (&part->digests[i], &data->digests[from]));
    g_assert_cmpmem (part->bytes + i * 48, 48, data->bytes + from * 48, 48);
  }
}

/* --- lists ------------------------------------------------------------------------ */

/* Rows are looked at before rows times columns are taken: 20,000 by 200,000 floats would be
 * 16 GB for a file of half a megabyte. */
static void
test_wide_list (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "l.csv", NULL);
  g_autoptr (GString) text = g_string_new ("file");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 20000; i++)
    g_string_append_printf (text, ",probability:c%u", i);
  for (guint i = 0; i < 200000; i++)
    g_string_append (text, "\na");
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  g_assert_null (picture_list_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "l.csv:2: expected 20001 fields"));
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (path, "file,probability:a,probability:b,probability:a\n", -1,
      NULL));
  g_assert_null (picture_list_load (path, &error));
  g_assert_nonnull (strstr (error->message, "two columns \"probability:a\""));
  remove_dir (dir);
}

/* --- the command ------------------------------------------------------------------ */

#define NETWORK \
  "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"t\",\"layers\":[" \
  "{\"class_name\":\"Conv2D\",\"config\":{\"name\":\"c\",\"batch_input_shape\":[null,8,8,3]," \
  "\"filters\":4,\"kernel_size\":[3,3],\"strides\":[1,1],\"padding\":\"same\"," \
  "\"activation\":\"relu\",\"use_bias\":true,\"data_format\":\"channels_last\"}}," \
  "{\"class_name\":\"GlobalAveragePooling2D\",\"config\":{\"name\":\"g\"}}," \
  "{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"units\":2," \
  "\"activation\":\"softmax\",\"use_bias\":true}}]}}"
#define RECIPE \
  "[network]\nfile=net.json\n[schedule]\nepochs=2\nlearning_rate=1e-2\n[training]\n" \
  "batch_size=8\nseed=1\n"
#define TRAIN "train r.ini --device cpu --overwrite "

static char *
make_run (void)
{
  char *dir = make_dir ();

  write_text (dir, "net.json", NETWORK);
  write_text (dir, "r.ini", RECIPE);
  fill (dir, "D/Train/a", 8);
  fill (dir, "D/Train/b", 6);
  fill (dir, "D/Valid/a", 3);
  fill (dir, "D/Valid/b", 3);
  return dir;
}

static void
test_command (void)
{
  g_autofree char *dir = make_run (), *found = NULL, *memory = NULL, *file = NULL;
  g_autofree char *m = g_build_filename (dir, "m.h5", NULL);
  g_autofree char *f = g_build_filename (dir, "f.h5", NULL);
  gsize n, k;

  write_text (dir, "D/Train/a/notes.txt", "x");
  found = run_command (dir, 0, TRAIN "--data D -o m.h5");
  g_assert_nonnull (strstr (found, "  D/Train: 8 of a, 6 of b\n"));
  g_assert_nonnull (strstr (found, "  left out: 1 .txt files of D/Train: no pictures\n"));
  g_assert_nonnull (strstr (found, "  D/Valid: 3 of a, 3 of b\n"));
  g_assert_nonnull (strstr (found, "few pictures to learn from"));
  g_setenv ("CLASSIFY_MEMORY", "0", TRUE);
  expect_message (dir, 0, TRAIN "--data D -o f.h5", "they are kept in a file in ");
  g_unsetenv ("CLASSIFY_MEMORY");
  g_assert_true (g_file_get_contents (m, &memory, &n, NULL));
  g_assert_true (g_file_get_contents (f, &file, &k, NULL));
  g_assert_cmpmem (memory, n, file, k);

  /* where a folder is named that has the parts in it */
  expect_message (dir, 2, "evaluate m.h5 D", "its folder \"Train\" is no class, but has folders of "
                                             "classes in it: name D/Train");
  expect_message (dir, 0, "evaluate m.h5 D/Valid", "6 pictures");
  expect_message (dir, 0, "pseudo-label m.h5 --unlabelled D/Valid --data D -n --threshold 0",
      "6");
  remove_dir (dir);
}

/* what wants a validation and has none is refused before the training */
static void
test_no_validation (void)
{
  static const char *const settings[] = { "training.keep=best", "training.early_stopping=1",
    "training.calibrate=true", "schedule.shape=plateau" };
  g_autofree char *dir = make_run (), *text = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    g_autofree char *without
        = g_strdup_printf (TRAIN "--data D/Train -o m.h5 --set %s", settings[i]);
    g_autofree char *drawn
        = g_strdup_printf ("%s --set data.validation_split=0.3", without);
    g_autofree char *model = g_build_filename (dir, "m.h5", NULL);

    expect_message (dir, 2, without, " wants pictures to validate with, and there are none");
    g_assert_false (g_file_test (model, G_FILE_TEST_EXISTS));
    expect_message (dir, 0, drawn, "  D/Train, to validate with: 2 of a, 2 of b\n");
    g_assert_cmpint (g_remove (model), ==, 0);
  }
  expect_message (dir, 0, TRAIN "--data D/Train -o m.h5 --set training.calibrate=auto", "saved");
  text = run_command (dir, 0,
      TRAIN "--data D -o m.h5 --set training.calibrate=auto"); /* 6 are too few */
  g_assert_null (strstr (text, "temperature"));
  remove_dir (dir);
}

/* pictures that were drawn are the same ones when a run goes on: its checkpoint compares them */
static void
test_split_resumed (void)
{
  static const int stop[] = { SIGINT, 0 };
  g_autofree char *dir = make_run (), *text = NULL, *again = NULL;
  int status;

  text = stop_command (dir,
      TRAIN "--data D/Train -o m.h5 --set data.validation_split=0.3 --set schedule.epochs=100000",
      NULL, stop, &status);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 130);
  again = stop_command (dir,
      "train r.ini --device cpu --data D/Train -o m.h5 --set data.validation_split=0.3 --set "
      "schedule.epochs=100000 --resume",
      NULL, stop, &status);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 130);
  write_text (dir, "r.ini", RECIPE "[data]\nvalidation_split=0.4\n");
  expect_message (dir, 2, "train r.ini --device cpu --data D/Train -o m.h5 --set "
                          "schedule.epochs=100000 --resume", "validation_split");
  remove_dir (dir);
}

/* Recipes are found by their names, networks beside them, a folder needs none. */
static void
test_recipes (void)
{
  g_autofree char *dir = make_run (), *list = NULL, *copied = NULL, *own = NULL;
  g_autofree char *model = g_build_filename (dir, "D.h5", NULL), *program = NULL, *recipe = NULL;

  list = run_command (dir, 0, "train --recipes");
  g_assert_nonnull (strstr (list, "\nmy-classes "));
  g_assert_nonnull (strstr (list, "dogs-vs-cats "));
  g_assert_nonnull (strstr (list, "README.md there describes every key"));
#define ONE " --device cpu --set schedule.epochs=1 --set schedule.learning_rate=1e-3"
  expect_message (dir, 0, "train D" ONE, "saved D.h5\n");
  g_assert_true (g_file_test (model, G_FILE_TEST_EXISTS));
  expect_message (dir, 0, "train my-classes --data D/Train -o n.h5" ONE,
      "  D/Train, to validate with: 2 of a, 1 of b\n");
  expect_message (dir, 0, "train demo.ini --data D -o d.h5" ONE, "saved d.h5\n");
  expect_message (dir, 0, "preview D/Train -o p.png", "saved p.png\n");
  expect_message (dir, 1, "train D --data D", "two folders of pictures and no recipe");
  expect_message (dir, 2, "train my-class --data D", "classify train --recipes lists those");

  /* a copy of a recipe, whose network stays where it was */
  program = g_path_get_dirname (g_getenv ("CLASSIFY_EXE"));
  recipe = g_build_filename (program, "recipes", "demo.ini", NULL);
  g_assert_true (g_file_get_contents (recipe, &copied, NULL, NULL));
  write_text (dir, "mine.ini", copied);
  expect_message (dir, 0, "train mine.ini --data D -o e.h5" ONE, "saved e.h5\n");
  /* what is not known is told of without a path of the sources */
  own = g_strconcat (copied, "\n[data]\nlayuot=folders\n", NULL);
  write_text (dir, "mine.ini", own);
  expect_message (dir, 2, "train mine.ini --data D -o f.h5", "there is no such key: the README.md "
                                                             "that classify train --recipes names");
#undef ONE
  remove_dir (dir);
}

/* The recipe for everybody learns three easy classes of few pictures in few epochs. */
static void
test_default_learns (void)
{
  static const struct
  {
    const char *name;
    guint32 color;
  } classes[] = { { "red", 0xb02020 }, { "green", 0x20a030 }, { "blue", 0x2030b0 } };
  g_autofree char *dir = make_dir (), *text = NULL;
  const char *accuracy;

  for (guint c = 0; c < G_N_ELEMENTS (classes); c++) {
    for (guint i = 0; i < 30; i++) {
      g_autofree char *file = g_strdup_printf ("D/%s/%s/%u.jpg", i < 24 ? "train" : "test",
          classes[c].name, i);

      g_free (make_picture (dir, file, 40 + (int) i, 70 - (int) i, classes[c].color, i));
    }
  }
  text = run_command (dir, 0,
      "train D/train -o m.h5 --device cpu --set schedule.epochs=6 --set training.batch_size=16");
  g_free (text);
  text = run_command (dir, 0, "evaluate m.h5 D/test --device cpu");
  accuracy = strstr (text, "accuracy ");
  g_assert_nonnull (accuracy);
  g_assert_cmpfloat (g_ascii_strtod (accuracy + strlen ("accuracy "), NULL), >, 0.8);
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  warnings = g_ptr_array_new_with_free_func (g_free);
  nn_log_set_sink (collect_warning, NULL);
  g_test_add_func ("/dataset/parts", test_parts);
  g_test_add_func ("/dataset/nested", test_nested);
  g_test_add_func ("/dataset/parts-are-no-classes", test_parts_are_no_classes);
  g_test_add_func ("/dataset/skipped", test_skipped);
  g_test_add_func ("/dataset/left-out", test_left_out);
  g_test_add_func ("/dataset/links", test_links);
  g_test_add_func ("/dataset/prefix", test_prefix);
  g_test_add_func ("/dataset/limits", test_limits);
  g_test_add_func ("/dataset/split", test_split);
  g_test_add_func ("/dataset/split-twins", test_split_twins);
  g_test_add_func ("/dataset/few", test_few);
  g_test_add_func ("/dataset/describe-classes", test_describe_classes);
  g_test_add_func ("/dataset/mapped", test_mapped);
  g_test_add_func ("/dataset/part", test_part);
  g_test_add_func ("/dataset/wide-list", test_wide_list);
  if (g_getenv ("CLASSIFY_EXE")) {
    g_test_add_func ("/dataset/command", test_command);
    g_test_add_func ("/dataset/no-validation", test_no_validation);
    g_test_add_func ("/dataset/recipes", test_recipes);
    g_test_add_func ("/dataset/default-learns", test_default_learns);
    g_test_add_func ("/dataset/split-resumed", test_split_resumed);
  }
  status = g_test_run ();
  g_ptr_array_unref (warnings);
  return status;
}
