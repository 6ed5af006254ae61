/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/dataset-split.h"

#include <string.h>

#include "nn/error.h"
#include "nn/log.h"

#define FEW 20          /* pictures of a class */
#define UNBALANCED 5    /* times as many of one class as of another */
#define MAX_NAMED 20    /* classes */
#define N_NAMED 5       /* of more */

/* --- drawing ---------------------------------------------------------------------------- */

typedef struct
{
  guint index;
  guint8 rank[32]; /* SHA-256 of seed and digest */
} Member;

static void
set_rank (Member *member, guint64 seed, const PictureDigest *digest)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  const guint64 little = GUINT64_TO_LE (seed);
  gsize n = sizeof member->rank;

  g_checksum_update (checksum, (const guchar *) &little, sizeof little);
  g_checksum_update (checksum, digest->sha256, sizeof digest->sha256);
  g_checksum_get_digest (checksum, member->rank, &n);
}

static int
compare_ranks (gconstpointer a, gconstpointer b)
{
  const Member *x = a, *y = b;
  const int order = memcmp (x->rank, y->rank, sizeof x->rank);

  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* of one class; equal ranks are the same bytes and stay together */
static void
hold_back (GArray *members, double fraction, gboolean *is_held)
{
  const guint n = members->len;
  const guint wanted = n < 2 ? 0 : CLAMP ((guint) (n * fraction + .5), 1, n - 1);
  guint held = 0;

  g_array_sort (members, compare_ranks);
  for (guint i = 0, end; i < n && held < wanted; i = end) {
    const Member *first = &g_array_index (members, Member, i);

    for (end = i + 1; end < n; end++)
      if (memcmp (g_array_index (members, Member, end).rank, first->rank, sizeof first->rank) != 0)
        break;
    if (held + end - i >= n) /* nothing would be left to train with */
      continue;
    for (guint k = i; k < end; k++)
      is_held[g_array_index (members, Member, k).index] = TRUE;
    held += end - i;
  }
}

guint
dataset_split (const Dataset *data, double fraction, guint64 seed, gboolean *is_held)
{
  const guint n = data->n - data->n_listed;
  g_autoptr (GHashTable) trained = g_hash_table_new (picture_digest_hash, picture_digest_equal);
  guint n_held = 0;

  memset (is_held, 0, data->n * sizeof (gboolean));
  for (guint c = 0; c < data->n_classes; c++) {
    g_autoptr (GArray) members = g_array_new (FALSE, FALSE, sizeof (Member));

    for (guint i = 0; i < n; i++) {
      Member member = { .index = i };

      if (data->labels[i] != c)
        continue;
      set_rank (&member, seed, &data->digests[i]);
      g_array_append_val (members, member);
    }
    hold_back (members, fraction, is_held);
  }
  /* the same bytes in another class or in a list */
  for (guint i = 0; i < data->n; i++)
    if (!is_held[i])
      g_hash_table_add (trained, &data->digests[i]);
  for (guint i = 0; i < n; i++) {
    if (is_held[i] && g_hash_table_contains (trained, &data->digests[i]))
      is_held[i] = FALSE;
    n_held += is_held[i];
  }
  return n_held;
}

/* --- loading ------------------------------------------------------------------------------- */

static void
digest_task (gpointer item, gpointer user_data)
{
  Dataset *data = user_data;
  const guint i = GPOINTER_TO_UINT (item) - 1;

  /* what cannot be read is left out, and told of, when it is decoded */
  if (!picture_digest (data->paths[i], &data->digests[i], NULL))
    memset (&data->digests[i], 0, sizeof data->digests[i]);
}

static void
compute_digests (Dataset *data, guint threads)
{
  GThreadPool *pool
      = g_thread_pool_new (digest_task, data, (int) MAX (threads, 1), FALSE, NULL);

  data->digests = g_new0 (PictureDigest, data->n + 1);
  for (guint i = 0; i < data->n; i++)
    g_thread_pool_push (pool, GUINT_TO_POINTER (i + 1), NULL);
  g_thread_pool_free (pool, FALSE, TRUE);
}

gboolean
dataset_load_split (const char *dir, const DatasetOptions *options, const NnPreprocess *stored,
    const NnPreprocess *pre, Dataset **train, Dataset **held, GError **error)
{
  g_autoptr (Dataset) all = dataset_list (dir, options, error);
  g_autoptr (Dataset) first = NULL, second = NULL;
  g_autofree gboolean *is_held = NULL, *is_trained = NULL;

  if (!all)
    return FALSE;
  compute_digests (all, options->threads);
  is_held = g_new (gboolean, all->n + 1);
  is_trained = g_new (gboolean, all->n + 1);
  if (dataset_split (all, options->held_fraction, options->seed, is_held) == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: too few pictures to draw some from to validate with: two different ones of a class "
        "at least",
        dir);
    return FALSE;
  }
  for (guint i = 0; i < all->n; i++)
    is_trained[i] = !is_held[i];
  if (train) {
    dataset_warn_of_contradictions (dir, all);
    first = dataset_load_part (all, is_trained, dir, options->threads, stored, error);
    if (!first || !dataset_check_classes (dir, first, all->n, options->classes != NULL, error))
      return FALSE;
    first->left_out = g_strdup (all->left_out);
  }
  if (held) {
    second = dataset_load_part (all, is_held, dir, options->threads, pre, error);
    if (!second || !dataset_check_classes (dir, second, all->n, TRUE, error))
      return FALSE;
    *held = g_steal_pointer (&second);
  }
  if (train)
    *train = g_steal_pointer (&first);
  return TRUE;
}

/* --- what there is --------------------------------------------------------------------------- */

static guint *
count_classes (const Dataset *data)
{
  guint *counts = g_new0 (guint, data->n_classes + 1);

  for (guint i = 0; i < data->n; i++)
    counts[data->labels[i]]++;
  return counts;
}

static void
find_extremes (const Dataset *data, const guint *counts, guint *least, guint *most)
{
  *least = *most = 0;
  for (guint c = 1; c < data->n_classes; c++) {
    if (counts[c] < counts[*least])
      *least = c;
    if (counts[c] > counts[*most])
      *most = c;
  }
}

char *
dataset_describe_classes (const char *const *classes)
{
  const guint n = g_strv_length ((char **) classes);
  GString *text = g_string_new (NULL);

  for (guint c = 0; c < (n > MAX_NAMED ? N_NAMED : n); c++)
    g_string_append_printf (text, "%s%s", c ? ", " : "", classes[c]);
  if (n > MAX_NAMED)
    g_string_append_printf (text, " and %u more", n - N_NAMED);
  return g_string_free (text, FALSE);
}

char *
dataset_describe_counts (const Dataset *data)
{
  g_autofree guint *counts = count_classes (data);
  GString *text = g_string_new (NULL);
  guint least, most;

  if (data->n_classes > MAX_NAMED) {
    find_extremes (data, counts, &least, &most);
    g_string_append_printf (text, "%u of %u classes, from %u of %s to %u of %s", data->n,
        data->n_classes, counts[least], data->classes[least], counts[most], data->classes[most]);
    return g_string_free (text, FALSE);
  }
  for (guint c = 0; c < data->n_classes; c++)
    g_string_append_printf (text, "%s%u of %s", c ? ", " : "", counts[c], data->classes[c]);
  return g_string_free (text, FALSE);
}

void
dataset_warn_of_few (const Dataset *data, const char *dir, gboolean is_balanced)
{
  g_autofree guint *counts = count_classes (data);
  guint least, most, n_few = 0;

  if (data->n_classes == 0)
    return;
  find_extremes (data, counts, &least, &most);
  for (guint c = 0; c < data->n_classes; c++)
    n_few += counts[c] < FEW;
  if (n_few > 0)
    nn_warning ("%s: few pictures to learn from: %u of class \"%s\"%s: with fewer than some %d of "
                "each class little is learnt that holds for others",
        dir, counts[least], data->classes[least], n_few > 1 ? ", nor many of others" : "", FEW);
  if (!is_balanced && counts[most] >= UNBALANCED * MAX (counts[least], 1))
    nn_warning ("%s: %u pictures of class \"%s\", %u of \"%s\": the rarer will seldom be said: add "
                "pictures, or set [training] class_weights=balanced",
        dir, counts[most], data->classes[most], counts[least], data->classes[least]);
}
