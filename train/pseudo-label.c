/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* renameat2() */
#endif
#include "train/pseudo-label.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/labels.h"
#include "nn/log.h"
#include "nn/text.h"
#include "train/picture-list.h"
#include "train/progress.h"
#include "train/schedule.h"
#include "train/standard.h"

#define CHUNK 256 /* pictures in memory */
#define MIN_CONSTANT 10 /* pictures of one label that a warning takes, all this sure: */
#define CONSTANT 0.999f

typedef struct
{
  char *path;
  char *target; /* where a link or the picture itself goes; or NULL */
  guint label;
  float confidence;
  float *probabilities;
  gboolean is_sure, is_taken, is_known;
  guint truth; /* where known */
} Item;

typedef struct
{
  Classifier *c;
  const PseudoLabelOptions *options;
  GArray *items;
  GHashTable *labelled; /* PictureDigest -> "train" or "validate" */
  guint n_unreadable, n_trained, n_validated;
} Labelling;

static void
item_clear (gpointer data)
{
  Item *item = data;

  g_free (item->path);
  g_free (item->target);
  g_free (item->probabilities);
}

/* --- what is labelled already ---------------------------------------------------------- */

static gboolean
is_below (const char *path, const char *dir)
{
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  g_autofree char *folder = g_canonicalize_filename (dir, NULL);
  const gsize n = strlen (folder);

  return strncmp (full, folder, n) == 0 && (full[n] == '/' || full[n] == '\0');
}

static gboolean
add_labelled (Labelling *l, const char *dir, const char *kind, GError **error)
{
  g_autoptr (GPtrArray) paths = pictures_list (dir, error);

  if (!paths)
    return FALSE;
  for (guint i = 0; i < paths->len; i++) {
    const char *path = g_ptr_array_index (paths, i);
    g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
    g_autoptr (GMappedFile) file = NULL;
    PictureDigest *digest;
    gsize n = sizeof digest->sha256;

    if (is_below (path, l->options->unlabelled) || !g_file_test (path, G_FILE_TEST_IS_REGULAR)
        || !(file = g_mapped_file_new (path, FALSE, NULL)))
      continue; /* the training tells of those that cannot be read */
    g_checksum_update (checksum, (const guchar *) g_mapped_file_get_contents (file),
        (gssize) g_mapped_file_get_length (file));
    digest = g_new (PictureDigest, 1);
    g_checksum_get_digest (checksum, digest->sha256, &n);
    g_hash_table_insert (l->labelled, digest, (gpointer) kind);
  }
  return TRUE;
}

static gboolean
find_labelled (Labelling *l, GError **error)
{
  g_auto (FolderParts) parts = { NULL };

  if (!l->options->data)
    return TRUE;
  folder_parts_find (l->options->data, FALSE, &parts);
  if (!parts.train)
    return add_labelled (l, parts.root, "train", error);
  return add_labelled (l, parts.train, "train", error)
      && (!parts.validate || add_labelled (l, parts.validate, "validate", error));
}

/* --- labels ---------------------------------------------------------------------------- */

static void
add_item (Labelling *l, const char *path, const PictureDigest *digest, const float *p)
{
  const NnModel *model = l->c->model;
  const char *kind = g_hash_table_lookup (l->labelled, digest);
  Item item = { 0 };

  if (kind) {
    l->n_trained += kind[0] == 't';
    l->n_validated += kind[0] == 'v';
    return;
  }
  item.path = g_strdup (path);
  item.probabilities = g_memdup2 (p, l->c->n_classes * sizeof (float));
  nn_top_k (p, l->c->n_classes, 1, &item.label);
  item.confidence = p[item.label];
  item.is_sure = item.confidence >= l->options->threshold;
  item.is_known = l->options->check
      && picture_find_class (path, (const char *const *) model->labels, &item.truth);
  g_array_append_val (l->items, item);
}

static gboolean
label_chunk (Labelling *l, char **paths, guint n, GError **error)
{
  g_autoptr (Dataset) data
      = dataset_load_files (paths, n, l->options->threads, &l->c->model->preprocess, error);
  g_autofree float *probabilities = NULL;

  if (!data)
    return FALSE;
  l->n_unreadable += data->n_unreadable;
  probabilities = g_new (float, (gsize) data->n * l->c->n_classes);
  if (!classifier_run_dataset (l->c, data, probabilities, error))
    return FALSE;
  for (guint i = 0; i < data->n; i++)
    add_item (l, data->paths[i], &data->digests[i], probabilities + (gsize) i * l->c->n_classes);
  return TRUE;
}

static gboolean
label_all (Labelling *l, GError **error)
{
  g_autoptr (GPtrArray) paths = pictures_list (l->options->unlabelled, error);

  if (!paths)
    return FALSE;
  if (paths->len == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: no picture found", l->options->unlabelled);
    return FALSE;
  }
  for (guint i = 0; i < paths->len; i += CHUNK) {
    progress_show ("%u of %u pictures", i, paths->len);
    if (!label_chunk (l, (char **) paths->pdata + i, MIN (CHUNK, paths->len - i), error))
      return FALSE;
  }
  progress_clear ();
  return TRUE;
}

/* the surest first, else in the order of their names */
static int
compare_confidence (gconstpointer a, gconstpointer b)
{
  const Item *x = *(const Item *const *) a, *y = *(const Item *const *) b;

  if (x->confidence != y->confidence)
    return x->confidence > y->confidence ? -1 : 1;
  return x < y ? -1 : x > y;
}

static void
choose (Labelling *l)
{
  guint limit = l->items->len;
  g_autofree guint *n_sure = g_new0 (guint, l->c->n_classes);
  g_autofree guint *n_taken = g_new0 (guint, l->c->n_classes);
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();

  for (guint i = 0; i < l->items->len; i++) {
    Item *item = &g_array_index (l->items, Item, i);

    if (item->is_sure) {
      n_sure[item->label]++;
      g_ptr_array_add (sorted, item);
    }
  }
  for (guint k = 0; l->options->balance && k < l->c->n_classes; k++)
    limit = MIN (limit, n_sure[k]);
  g_ptr_array_sort (sorted, compare_confidence);
  for (guint i = 0; i < sorted->len; i++) {
    Item *item = g_ptr_array_index (sorted, i);

    item->is_taken = n_taken[item->label]++ < limit;
  }
}

/* --- the folder that links or pictures go to ------------------------------------------- */

/* where @item goes: below its class, or with its class in front, by the name that it has below
 * the unlabelled folder */
static gboolean
set_target (const Labelling *l, Item *item, GError **error)
{
  const char *label = nn_model_get_label (l->c->model, item->label);
  g_autofree char *name = picture_list_name (l->options->unlabelled, item->path);
  gboolean is_usable;

  if (l->options->layout == LAYOUT_PREFIX) {
    g_autofree char *flat = g_strdelimit (g_strdup (name), "/", '_');
    g_autofree char *full = g_strdup_printf ("%s.%s", label, flat);
    g_autofree char *path = g_strconcat ("/", full, NULL);
    const char *const only[] = { label, NULL };
    guint index;

    is_usable = !strchr (label, '/') && picture_find_class (path, only, &index);
    item->target = g_build_filename (l->options->folder, full, NULL);
  } else {
    is_usable = label[0] != '\0' && label[0] != '.' && !strchr (label, '/');
    item->target = g_build_filename (l->options->folder, label, name, NULL);
  }
  if (!is_usable)
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: class \"%s\" cannot be a part of a file's name that tells it: write a list instead",
        l->options->folder, label);
  return is_usable;
}

static gboolean
is_there (const char *path)
{
  return g_file_test (path, G_FILE_TEST_IS_SYMLINK) || g_file_test (path, G_FILE_TEST_EXISTS);
}

/* All of them before anything is done. */
static gboolean
plan_targets (Labelling *l, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  if (!l->options->folder)
    return TRUE;
  if (is_below (l->options->folder, l->options->unlabelled)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: lies in the folder of unlabelled pictures, %s: choose one elsewhere",
        l->options->folder, l->options->unlabelled);
    return FALSE;
  }
  for (guint i = 0; i < l->items->len; i++) {
    Item *item = &g_array_index (l->items, Item, i);

    if (!item->is_taken)
      continue;
    if (!set_target (l, item, error))
      return FALSE;
    if (is_there (item->target)) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
          "%s: exists already, no place for %s: nothing was done; remove it or choose another "
          "folder",
          item->target, item->path);
      return FALSE;
    }
    if (!g_hash_table_add (seen, item->target)) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
          "%s: %s is not the only picture that would go there: nothing was done; write a list "
          "instead",
          item->target, item->path);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
make_parent (const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);

  if (g_mkdir_with_parents (dir, 0777) == 0)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot make this folder: %s", dir,
      g_strerror (errno));
  return FALSE;
}

/* Fails where @to exists. */
static gboolean
move_file (const char *from, const char *to, GError **error)
{
  int result;

  if (!make_parent (to, error))
    return FALSE;
  result = renameat2 (AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) { /* a file system without it */
    errno = EEXIST;
    result = is_there (to) ? -1 : g_rename (from, to);
  }
  if (result == 0)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be moved to %s: %s", from, to,
      errno == EXDEV ? "it is on another file system: use links or a list" : g_strerror (errno));
  return FALSE;
}

static gboolean
write_links (const Labelling *l, GError **error)
{
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);
    g_autofree char *full = g_canonicalize_filename (item->path, NULL);

    if (!item->is_taken)
      continue;
    if (!make_parent (item->target, error))
      return FALSE;
    if (symlink (full, item->target) != 0) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot make this link: %s", item->target,
          g_strerror (errno));
      return FALSE;
    }
  }
  return TRUE;
}

/* All moves are logged before the first: whenever it ends, what was done can
 * be undone. Undoing skips those that were not. */
static gboolean
log_moves (const Labelling *l, GError **error)
{
  g_autofree char *path = g_build_filename (l->options->folder, PSEUDO_LABEL_LOG, NULL);
  g_autofree char *old = NULL;
  g_autoptr (GString) csv = NULL;
  gsize n = 0;

  if (!make_parent (path, error))
    return FALSE;
  if (is_there (path)) {
    old = nn_file_read (path, (gsize) 1 << 30, "a log of moves", &n, error);
    if (!old)
      return FALSE;
  }
  csv = g_string_new_len (old ? old : "from,to\n", old ? (gssize) n : -1);
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);
    g_autofree char *from = g_canonicalize_filename (item->path, NULL);
    g_autofree char *to = item->is_taken ? g_canonicalize_filename (item->target, NULL) : NULL;

    if (!item->is_taken)
      continue;
    csv_append (csv, from);
    g_string_append_c (csv, ',');
    csv_append (csv, to);
    g_string_append_c (csv, '\n');
  }
  return nn_file_replace (path, csv->str, csv->len, error);
}

static gboolean
move_pictures (const Labelling *l, GError **error)
{
  if (!log_moves (l, error))
    return FALSE;
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);

    if (!item->is_taken)
      continue;
    if (!move_file (item->path, item->target, error)) {
      g_prefix_error (error, "stopped, --undo %s/" PSEUDO_LABEL_LOG " moves back what was moved: ",
          l->options->folder);
      return FALSE;
    }
    nn_info ("%s -> %s", item->path, item->target);
  }
  return TRUE;
}

gboolean
pseudo_label_undo (const char *log, GError **error)
{
  static const char *const header[] = { "from", "to", NULL };
  gsize n;
  g_autofree char *text = nn_file_read (log, (gsize) 1 << 30, "a log of moves", &n, error);
  g_autoptr (GPtrArray) rows = text ? csv_parse (log, text, error) : NULL;
  guint n_back = 0, n_stuck = 0;

  if (!rows)
    return FALSE;
  for (guint i = 0; i < rows->len; i++) {
    const CsvRow *row = g_ptr_array_index (rows, i);

    if (g_strv_length (row->fields) != 2
        || (i == 0 && !g_strv_equal ((const char *const *) row->fields, header))) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s:%u: no log of moves: expected \"from,to\" and two paths in each line", log,
          row->line);
      return FALSE;
    }
  }
  for (guint i = rows->len; i-- > 1;) {
    const CsvRow *row = g_ptr_array_index (rows, i);
    const char *from = row->fields[0], *to = row->fields[1];
    g_autoptr (GError) local = NULL;

    if (!is_there (to) && is_there (from))
      continue; /* was never moved */
    if (move_file (to, from, &local)) {
      n_back++;
    } else {
      nn_warning ("%s", local->message);
      n_stuck++;
    }
  }
  printf ("moved back %u picture%s\n", n_back, n_back == 1 ? "" : "s");
  if (n_stuck > 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: %u could not be moved back, the log is kept",
        log, n_stuck);
    return FALSE;
  }
  g_unlink (log);
  return TRUE;
}

/* --- the list -------------------------------------------------------------------------- */

static void
append_number (GString *csv, double value)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_c (csv, ',');
  g_string_append (csv, g_ascii_formatd (number, sizeof number, "%.6f", value));
}

static gboolean
write_list (const Labelling *l, GError **error)
{
  const PseudoLabelOptions *options = l->options;
  g_autofree char *dir = g_path_get_dirname (options->list);
  g_autoptr (GString) csv = g_string_new ("file,label,confidence");

  for (guint k = 0; options->soft && k < l->c->n_classes; k++) {
    g_autofree char *column
        = g_strconcat ("probability:", nn_model_get_label (l->c->model, k), NULL);

    g_string_append_c (csv, ',');
    csv_append (csv, column);
  }
  g_string_append_c (csv, '\n');
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);
    /* moved ones are where they went to */
    g_autofree char *name
        = picture_list_name (dir, options->is_move && item->target ? item->target : item->path);

    if (!item->is_taken)
      continue;
    csv_append (csv, name);
    g_string_append_c (csv, ',');
    csv_append (csv, nn_model_get_label (l->c->model, item->label));
    append_number (csv, item->confidence);
    for (guint k = 0; options->soft && k < l->c->n_classes; k++)
      append_number (csv, item->probabilities[k]);
    g_string_append_c (csv, '\n');
  }
  return nn_file_replace (options->list, csv->str, csv->len, error);
}

/* --- the report ------------------------------------------------------------------------ */

typedef struct
{
  guint n, n_sure, n_taken;
  guint n_known, n_right;             /* of all */
  guint n_known_taken, n_right_taken;
} Count;

static void
count_item (Count *count, const Item *item)
{
  const gboolean is_right = item->is_known && item->truth == item->label;

  count->n++;
  count->n_sure += item->is_sure;
  count->n_taken += item->is_taken;
  count->n_known += item->is_known;
  count->n_right += is_right;
  count->n_known_taken += item->is_known && item->is_taken;
  count->n_right_taken += is_right && item->is_taken;
}

static void
print_right (guint n_right, guint n_known)
{
  if (n_known > 0)
    printf ("  %7u of %-7u %.4f", n_right, n_known, (double) n_right / n_known);
}

static void
print_distribution (const Labelling *l)
{
  static const double edges[] = { 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0 };
  Count counts[G_N_ELEMENTS (edges)] = { 0 };

  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);
    guint bin = 0;

    while (bin + 1 < G_N_ELEMENTS (edges) && !(item->confidence >= edges[bin]))
      bin++;
    count_item (&counts[bin], item);
  }
  printf ("\n%-12s %9s%s\n", "confidence", "pictures", l->options->check ? "  right" : "");
  for (guint b = 0; b < G_N_ELEMENTS (edges); b++) {
    if (b + 1 == G_N_ELEMENTS (edges) && counts[b].n == 0)
      continue; /* two classes: none can be below 0.5 */
    printf ("%4.2f to %4.2f %9u", edges[b], b ? edges[b - 1] : 1, counts[b].n);
    print_right (counts[b].n_right, counts[b].n_known);
    putchar ('\n');
  }
}

static void
print_count (const char *label, int width, const Count *count)
{
  g_autofree char *shown = nn_text_printable (label, -1);

  printf ("%s%*s%9u %9u %9u", shown, width - (int) g_utf8_strlen (shown, -1), "", count->n,
      count->n_sure, count->n_taken);
  print_right (count->n_right_taken, count->n_known_taken);
  putchar ('\n');
}

static void
print_report (const Labelling *l)
{
  const PseudoLabelOptions *o = l->options;
  const guint n_classes = l->c->n_classes;
  g_autofree Count *counts = g_new0 (Count, n_classes);
  Count all = { 0 };
  int width = 12;

  for (guint k = 0; k < n_classes; k++) {
    g_autofree char *shown = nn_text_printable (nn_model_get_label (l->c->model, k), -1);

    width = MAX (width, (int) g_utf8_strlen (shown, -1) + 1);
  }
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);

    count_item (&counts[item->label], item);
    count_item (&all, item);
  }
  standard_print_line ("%s: %u picture%s labelled by %s", o->unlabelled, all.n,
      all.n == 1 ? "" : "s", l->c->model->origin ? l->c->model->origin : "the model");
  if (l->n_unreadable)
    printf ("left out: %u unreadable\n", l->n_unreadable);
  if (l->n_trained)
    standard_print_line ("left out: %u that %s has with their labels", l->n_trained, o->data);
  if (l->n_validated)
    standard_print_line ("left out: %u that %s has to validate with", l->n_validated, o->data);
  print_distribution (l);
  printf ("\n%-*s%9s %9s %9s%s\n", width, "class", "said", "sure", "taken",
      o->check ? "  right of those taken" : "");
  for (guint k = 0; k < n_classes; k++)
    print_count (nn_model_get_label (l->c->model, k), width, &counts[k]);
  print_count ("all", width, &all);
  printf ("\n%u of %u taken: confidence %.4g or more%s%s\n", all.n_taken, all.n, o->threshold,
      o->balance ? ", as many of each class" : "", o->dry_run ? "; nothing written" : "");
  if (o->check && all.n_known == 0)
    printf ("nothing to check: no folder or name tells a class (cat/17.jpg, cat.17.jpg)\n");
  else if (o->check)
    printf ("right: %.4f of all, %.4f of those taken\n", (double) all.n_right / all.n_known,
        all.n_known_taken ? (double) all.n_right_taken / all.n_known_taken : 0.);
}

/* A network that learnt nothing, or too much at once, is as sure as any other. */
static void
warn_of_constant (const Labelling *l)
{
  const NnModel *model = l->c->model;
  const char *history = g_hash_table_lookup (model->extra, "classify_history");
  const char *name = model->origin ? model->origin : "the model";
  float least = 1;
  double loss;

  if (history && schedule_get_last_loss (history, &loss) && loss >= log (l->c->n_classes))
    nn_warning ("%s: its loss in training, %.4f, was that of one who guesses: what it is sure of "
                "tells nothing",
        name, loss);
  for (guint i = 0; i < l->items->len; i++) {
    const Item *item = &g_array_index (l->items, Item, i);

    if (item->label != g_array_index (l->items, Item, 0).label)
      return;
    least = MIN (least, item->confidence);
  }
  if (l->items->len >= MIN_CONSTANT && least >= CONSTANT)
    nn_warning ("%s: takes all of %u pictures for \"%s\", each with a probability of at least "
                "%.4f: it may have learnt nothing; classify evaluate tells by labelled pictures",
        name, l->items->len,
        nn_model_get_label (model, g_array_index (l->items, Item, 0).label), least);
}

/* --- all of it ------------------------------------------------------------------------- */

static gboolean
write_results (const Labelling *l, GError **error)
{
  const PseudoLabelOptions *o = l->options;

  if (o->folder && !(o->is_move ? move_pictures (l, error) : write_links (l, error)))
    return FALSE;
  return !o->list || write_list (l, error);
}

gboolean
pseudo_label_run (Classifier *classifier, const PseudoLabelOptions *options, GError **error)
{
  Labelling l = { .c = classifier, .options = options };
  gboolean ok;

  if (!classifier->model->labels) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: has no class names to label with: give them with --labels-file",
        classifier->model->origin ? classifier->model->origin : "the model");
    return FALSE;
  }
  l.items = g_array_new (FALSE, FALSE, sizeof (Item));
  g_array_set_clear_func (l.items, item_clear);
  l.labelled = g_hash_table_new_full (picture_digest_hash, picture_digest_equal, g_free, NULL);
  ok = find_labelled (&l, error) && label_all (&l, error);
  progress_clear ();
  if (ok) {
    warn_of_constant (&l);
    choose (&l);
    ok = plan_targets (&l, error) && (options->dry_run || write_results (&l, error));
  }
  if (ok)
    print_report (&l);
  g_array_unref (l.items);
  g_hash_table_unref (l.labelled);
  return ok;
}
