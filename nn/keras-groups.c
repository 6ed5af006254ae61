/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/keras-groups.h"

#include <string.h>

#include "nn/model-private.h"

static void
group_free (NnKerasGroup *group)
{
  g_array_unref (group->slots);
  g_free (group);
}

static int
compare_orders (gconstpointer a, gconstpointer b)
{
  const NnLayer *x = *(const NnLayer *const *) a, *y = *(const NnLayer *const *) b;

  return x->order < y->order ? -1 : x->order > y->order;
}

static GPtrArray *
sort_layers (const NnModel *model, gboolean all)
{
  GPtrArray *layers = g_ptr_array_new ();

  for (guint i = 0; i < model->n_layers; i++)
    if (model->layers[i].n_params > 0
        || (all && model->layers[i].shares == 0 && nn_model_is_listed (model, i)))
      g_ptr_array_add (layers, &model->layers[i]);
  g_ptr_array_sort (layers, compare_orders);
  return layers;
}

GPtrArray *
nn_keras_list_groups (const NnModel *model, gboolean all)
{
  GPtrArray *groups = g_ptr_array_new_with_free_func ((GDestroyNotify) group_free);
  g_autoptr (GPtrArray) layers = sort_layers (model, all);
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < layers->len; i++) {
    const NnLayer *layer = layers->pdata[i];
    const char *name = layer->group ? layer->group : layer->name;
    NnKerasGroup *group = g_hash_table_lookup (by_name, name);

    if (group == NULL) {
      group = g_new0 (NnKerasGroup, 1);
      group->name = name;
      group->slots = g_array_new (FALSE, FALSE, sizeof (NnKerasSlot));
      g_hash_table_insert (by_name, (gpointer) name, group);
      g_ptr_array_add (groups, group);
    }
    group->is_model = group->is_model || group->slots->len > 0 || strcmp (layer->name, name) != 0;
    for (guint k = 0; k < layer->n_params; k++) {
      const NnKerasSlot slot = { layer, k };

      g_array_append_val (group->slots, slot);
    }
  }
  return groups;
}

void
nn_keras_group_sort (const NnKerasGroup *group, guint *order)
{
  guint n = 0;

  for (guint pass = 0; pass < 2; pass++)
    for (guint i = 0; i < group->slots->len; i++) {
      const NnKerasSlot *slot = nn_keras_group_get (group, i);

      if (slot->layer->params[slot->index].trainable == (pass == 0))
        order[i] = n++;
    }
}
