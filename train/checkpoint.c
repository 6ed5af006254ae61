/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/checkpoint.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "nn/error.h"

/* NnModel.extra. Sums are written as hexadecimal floats, so that a resumed run goes on with
 * the same bits. */
#define EXTRA_FACTS "classify_recipe"
#define EXTRA_OTHERS "classify_circumstances"
#define EXTRA_POSITION "classify_position" /* as Position has it */
#define EXTRA_HISTORY "classify_history"   /* CSV lines without the header */

char *
checkpoint_beside (const char *output, const char *ending)
{
  g_autofree char *stem = g_strdup (output);

  if (g_str_has_suffix (stem, ".h5"))
    stem[strlen (stem) - 3] = '\0';
  return g_strconcat (stem, ending, NULL);
}

char *
checkpoint_path (const char *output)
{
  return checkpoint_beside (output, ".checkpoint.h5");
}

char *
checkpoint_best_path (const char *output)
{
  return checkpoint_beside (output, ".best.h5");
}

static void
set_extra (NnModel *model, const char *key, char *value)
{
  g_hash_table_replace (model->extra, g_strdup (key), value);
}

gboolean
checkpoint_save (NnModel *model, const char *path, const NnOptimizer *optimizer,
    const char *loss_name, const Checkpoint *checkpoint, GError **error)
{
  const Position *at = &checkpoint->at;
  char loss[64];

  g_snprintf (loss, sizeof loss, "%a", at->sum_loss);
  set_extra (model, EXTRA_FACTS, g_strdup (checkpoint->facts.deciding));
  set_extra (model, EXTRA_OTHERS, g_strdup (checkpoint->facts.others));
  set_extra (model, EXTRA_POSITION,
      g_strdup_printf ("%u %u %u %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                       " %" G_GUINT64_FORMAT,
          at->stage, at->epoch, at->step, loss, at->n_correct, at->n_seen, at->n_used,
          at->n_offered));
  set_extra (model, EXTRA_HISTORY, g_strdup (checkpoint->history));
  return nn_model_save (model, path, optimizer, loss_name, error);
}

gboolean
checkpoint_load (Checkpoint *checkpoint, const char *path, GError **error)
{
  g_autoptr (NnModel) saved = nn_model_load (path, error);
  const char *facts, *others, *position, *history;
  Position *at = &checkpoint->at;

  if (!saved)
    return FALSE;
  facts = g_hash_table_lookup (saved->extra, EXTRA_FACTS);
  others = g_hash_table_lookup (saved->extra, EXTRA_OTHERS);
  position = g_hash_table_lookup (saved->extra, EXTRA_POSITION);
  history = g_hash_table_lookup (saved->extra, EXTRA_HISTORY);
  if (!facts || !position || !history) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: a model, but no checkpoint of a run: it has no attribute %s", path, EXTRA_POSITION);
    return FALSE;
  }
  if (!others || !g_str_has_prefix (facts, "format=")) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: made by an older version of classify, which did not note what pictures, classes and "
        "network it was trained with: it cannot be gone on from: start anew with --overwrite; "
        "--init %s and another --output begins with its weights",
        path, path);
    return FALSE;
  }
  if (sscanf (position,
          "%u %u %u %la %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
          " %" G_GUINT64_FORMAT,
          &at->stage, &at->epoch, &at->step, &at->sum_loss, &at->n_correct, &at->n_seen,
          &at->n_used, &at->n_offered)
      != 8) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: its attribute %s is damaged: \"%s\"",
        path, EXTRA_POSITION, position);
    return FALSE;
  }
  checkpoint->facts = (Facts) { g_strdup (facts), g_strdup (others) };
  checkpoint->history = g_strdup (history);
  return TRUE;
}

void
checkpoint_clear (Checkpoint *checkpoint)
{
  facts_clear (&checkpoint->facts);
  g_clear_pointer (&checkpoint->history, g_free);
}

void
checkpoint_finish (NnModel *model, const char *facts, const char *history)
{
  g_hash_table_remove (model->extra, EXTRA_POSITION);
  g_hash_table_remove (model->extra, EXTRA_OTHERS); /* two runs give one file */
  set_extra (model, EXTRA_FACTS, g_strdup (facts));
  set_extra (model, EXTRA_HISTORY, g_strdup (history));
}

gboolean
checkpoint_load_finished (const char *path, char **facts, char **history)
{
  g_autoptr (NnModel) model = nn_model_load (path, NULL);

  *facts = *history = NULL;
  if (!model || g_hash_table_contains (model->extra, EXTRA_POSITION))
    return FALSE;
  *facts = g_strdup (g_hash_table_lookup (model->extra, EXTRA_FACTS));
  *history = g_strdup (g_hash_table_lookup (model->extra, EXTRA_HISTORY));
  if (*facts && *history)
    return TRUE;
  g_clear_pointer (facts, g_free);
  g_clear_pointer (history, g_free);
  return FALSE;
}

/* --- before a run ------------------------------------------------------------------------ */

/* an empty file, as mktemp makes, is nobody's work */
static gboolean
is_something (const char *path)
{
  GStatBuf st;

  return g_stat (path, &st) == 0 && st.st_size > 0;
}

static gboolean
check_resume (const char *output, const char *checkpoint, GError **error)
{
  g_autofree char *facts = NULL, *history = NULL;

  if (g_file_test (checkpoint, G_FILE_TEST_EXISTS))
    return TRUE;
  if (checkpoint_load_finished (output, &facts, &history))
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "%s: is finished, there is nothing to resume; to train on: --init %s and another --output",
        output, output);
  else
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "%s: no such file: there is nothing to resume; start without --resume", checkpoint);
  return FALSE;
}

static void
refuse_checkpoint (const char *path, GError **error)
{
  Checkpoint checkpoint = { 0 };
  g_autoptr (GError) local = NULL;

  if (checkpoint_load (&checkpoint, path, &local)) {
    guint n = checkpoint.at.step > 0;

    for (const char *at = checkpoint.history; (at = strchr (at, '\n')); at++)
      n++;
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s of epoch %u is there: --resume goes on from it, --overwrite starts anew", path, n);
  } else {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s is there, but cannot be gone on from (%s): --overwrite starts anew", path,
        local->message);
  }
  checkpoint_clear (&checkpoint);
}

gboolean
checkpoint_check_start (const char *output, const char *log, gboolean keeps_best, gboolean resume,
    gboolean overwrite, GError **error)
{
  g_autofree char *checkpoint = checkpoint_path (output), *best = checkpoint_best_path (output);
  const char *const others[] = { output, keeps_best ? best : NULL, log };

  if (resume)
    return check_resume (output, checkpoint, error);
  if (overwrite)
    return TRUE;
  if (is_something (checkpoint)) {
    refuse_checkpoint (checkpoint, error);
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    if (others[i] && is_something (others[i])) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
          "%s: is there already: choose another name, or replace it with --overwrite", others[i]);
      return FALSE;
    }
  }
  return TRUE;
}
