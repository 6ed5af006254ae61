/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plan's threads where the system gives fewer than were asked for. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dlfcn.h>

#include "nn/backend.h"
#include "nn/cpu/crew.h"

static int n_threads_left = G_MAXINT;

/* GLib's, in front of it; threads beyond a number are not to be had */
GThread *
g_thread_try_new (const char *name, GThreadFunc func, gpointer data, GError **error)
{
  GThread *(*next) (const char *, GThreadFunc, gpointer, GError **)
      = (GThread * (*) (const char *, GThreadFunc, gpointer, GError **))
          dlsym (RTLD_NEXT, "g_thread_try_new");

  if (n_threads_left-- > 0)
    return next (name, func, data, error);
  g_set_error_literal (error, G_THREAD_ERROR, G_THREAD_ERROR_AGAIN, "no more threads");
  return NULL;
}

static void
count_task (gpointer data, guint task, guint thread)
{
  g_assert_cmpuint (thread, <, 3);
  g_atomic_int_inc ((gint *) data + task);
}

static void
test_fewer (void)
{
  gint done[1000] = { 0 };
  NnCrew *crew;

  n_threads_left = 2;
  g_test_expect_message ("nn", G_LOG_LEVEL_WARNING, "3 threads in place of 64: no more threads");
  crew = nn_crew_new (64);
  g_test_assert_expected_messages ();
  n_threads_left = G_MAXINT;
  g_assert_cmpuint (nn_crew_get_n_threads (crew), ==, 3);
  nn_crew_enter (crew);
  nn_crew_run (crew, G_N_ELEMENTS (done), count_task, done);
  nn_crew_leave (crew);
  for (guint i = 0; i < G_N_ELEMENTS (done); i++)
    g_assert_cmpint (done[i], ==, 1);
  nn_crew_free (crew);
}

/* A whole plan goes on with one. */
static void
test_plan (void)
{
  const char *json = "{\"class_name\": \"Sequential\", \"config\": ["
                     "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"filters\": 4, "
                     "\"kernel_size\": [3, 3], \"batch_input_shape\": [null, 9, 9, 3]}}]}";
  g_autoptr (GError) error = NULL;
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", &error);
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, "x", &error);
  const NnPlanOptions options = { .batch = 1, .threads = 1024 };
  NnPlan *plan;

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  n_threads_left = 0;
  g_test_expect_message ("nn", G_LOG_LEVEL_WARNING, "1 threads in place of 1024: *");
  plan = nn_plan_new (backend, model, &options, &error);
  g_test_assert_expected_messages ();
  n_threads_left = G_MAXINT;
  g_assert_no_error (error);
  g_assert_cmpuint (nn_plan_get_threads (plan), ==, 1);
  g_assert_nonnull (nn_plan_run (plan, 1, &error));
  nn_plan_free (plan);
}

/* What no kind of layer takes is refused: a plan of it would see the first input only. */
static void
test_two_inputs (void)
{
  const char *json = "{\"class_name\": \"Sequential\", \"config\": ["
                     "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", "
                     "\"batch_input_shape\": [null, 2, 2, 3]}}]}";
  g_autoptr (GError) error = NULL;
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", &error);
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, "x", &error);
  const NnPlanOptions options = { .batch = 1, .threads = 1 };
  NnLayer *last;

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  last = &model->layers[model->output];
  last->inputs = g_renew (guint, last->inputs, 2);
  last->inputs[1] = 0;
  last->n_inputs = 2;
  g_assert_null (nn_plan_new (backend, model, &options, &error));
  g_assert_nonnull (strstr (error->message, "layer 'f' (Flatten) has 2 inputs"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/crew/fewer", test_fewer);
  g_test_add_func ("/crew/plan", test_plan);
  g_test_add_func ("/crew/two-inputs", test_two_inputs);
  return g_test_run ();
}
