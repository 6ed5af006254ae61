/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* planted KIND: a fault that a sanitizer has to report although the suppressions of
 * suppressions/ are in force.
 *
 *   none     no fault
 *   race     a property set without a lock while another thread reads
 *   signal   a handler without a lock, called by g_signal_emit()
 *   leak     forgotten memory
 *   start    the same, taken while a library is loaded or before main()
 *   openmp   the same, taken in a thread of OpenMP
 */

#include <glib-object.h>
#include <stdlib.h>
#include <string.h>

/* --- races ------------------------------------------------------------------------------- */

#define TYPE_PLANTED (planted_get_type ())
G_DECLARE_FINAL_TYPE (Planted, planted, TEST, PLANTED, GObject)

struct _Planted
{
  GObject parent;
  int value;
};

G_DEFINE_TYPE (Planted, planted, G_TYPE_OBJECT)

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
  TEST_PLANTED (object)->value = g_value_get_int (value);
}

static void
planted_class_init (PlantedClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = set_property;
  g_object_class_install_property (object_class, 1,
      g_param_spec_int ("value", "value", "value", 0, G_MAXINT, 0, G_PARAM_WRITABLE));
  g_signal_new ("changed", TYPE_PLANTED, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
      G_TYPE_INT);
}

static void
planted_init (Planted *planted)
{
}

static void
on_changed (Planted *planted, int value)
{
  planted->value = value;
}

static volatile int sum;

static gpointer
read_value (gpointer data)
{
  for (guint i = 0; i < 200000; i++)
    sum = sum + TEST_PLANTED (data)->value;
  return NULL;
}

static void
race (gboolean by_signal)
{
  Planted *planted = g_object_new (TYPE_PLANTED, NULL);
  GThread *thread;

  g_signal_connect (planted, "changed", G_CALLBACK (on_changed), NULL);
  thread = g_thread_new ("reader", read_value, planted);
  for (int i = 0; i < 2000; i++) {
    if (by_signal)
      g_signal_emit_by_name (planted, "changed", i);
    else
      g_object_set (planted, "value", i, NULL);
  }
  g_thread_join (thread);
  g_object_unref (planted);
}

/* --- leaks ------------------------------------------------------------------------------- */

static void *volatile lost;

__attribute__ ((noinline)) static void
lose (gsize size)
{
  lost = malloc (size);
  memset (lost, 1, size);
  lost = NULL;
}

/* before main(), which has the words then: from the environment */
__attribute__ ((constructor)) static void
lose_at_start (void)
{
  const char *kind = g_getenv ("CLASSIFY_PLANTED");

  if (kind && strcmp (kind, "start") == 0)
    lose (1001);
}

static void
lose_in_threads (void)
{
#pragma omp parallel num_threads(2)
  lose (1002);
}

int
main (int argc, char **argv)
{
  const char *kind = argc > 1 ? argv[1] : "none";

  if (strcmp (kind, "race") == 0 || strcmp (kind, "signal") == 0)
    race (kind[0] == 's');
  else if (strcmp (kind, "leak") == 0)
    lose (1000);
  else if (strcmp (kind, "openmp") == 0)
    lose_in_threads ();
  return 0;
}
