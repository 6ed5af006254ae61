/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/crew.h"

#include <sched.h>

#include "nn/log.h"

/* libgomp's, which oneDNN is built with in Debian. Declared here because
 * clang's <omp.h> belongs to another OpenMP library. */
extern void omp_set_num_threads (int n);
extern int omp_get_max_threads (void);

#define TASK_BITS 20
#define TASK_MASK ((1u << TASK_BITS) - 1)
#define SPINS 4000 /* some 50 us before a waiting thread offers its processor */

struct _NnCrew
{
  guint n_threads;
  GThread **helpers; /* n_threads - 1 */
  int omp_threads;   /* the caller's own setting while we are in charge */

  GMutex lock; /* for awake and quit, with the condition */
  GCond wake;
  gboolean quit;
  int awake; /* atomic */

  /* The job: ticket = number of the job (24 bits), its tasks (20), the next task (20).
   * func and data may be read by a helper that lost the race for the last task of a job
   * while the next is written; it finds the ticket changed and drops them. */
  guint64 ticket; /* atomic */
  NnTaskFunc func;
  gpointer data;
  guint n_done; /* atomic */
};

typedef struct
{
  NnCrew *crew;
  guint index;
} Helper;

static inline void
relax (guint *spins)
{
  if (++*spins < SPINS) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause ();
#elif defined(__aarch64__)
    __asm__ volatile ("yield");
#endif
  } else {
    sched_yield ();
  }
}

/* Takes and runs tasks until none is left. Returns whether there was one. */
static gboolean
work (NnCrew *crew, guint thread)
{
  gboolean any = FALSE;

  for (;;) {
    guint64 ticket = __atomic_load_n (&crew->ticket, __ATOMIC_ACQUIRE);
    guint next = ticket & TASK_MASK;
    guint n_tasks = (ticket >> TASK_BITS) & TASK_MASK;
    NnTaskFunc func;
    gpointer data;

    if (next >= n_tasks)
      return any;
    func = __atomic_load_n (&crew->func, __ATOMIC_RELAXED);
    data = __atomic_load_n (&crew->data, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n (
            &crew->ticket, &ticket, ticket + 1, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
      continue;
    func (data, next, thread);
    __atomic_add_fetch (&crew->n_done, 1, __ATOMIC_RELEASE);
    any = TRUE;
  }
}

static gpointer
helper_main (gpointer user_data)
{
  Helper *helper = user_data;
  NnCrew *crew = helper->crew;
  guint index = helper->index;

  g_free (helper);
  omp_set_num_threads (1);
  for (;;) {
    guint spins = 0;

    g_mutex_lock (&crew->lock);
    while (!crew->quit && !__atomic_load_n (&crew->awake, __ATOMIC_RELAXED))
      g_cond_wait (&crew->wake, &crew->lock);
    if (crew->quit) {
      g_mutex_unlock (&crew->lock);
      return NULL;
    }
    g_mutex_unlock (&crew->lock);
    while (__atomic_load_n (&crew->awake, __ATOMIC_ACQUIRE)) {
      if (work (crew, index))
        spins = 0;
      else
        relax (&spins);
    }
  }
}

NnCrew *
nn_crew_new (guint n_threads)
{
  NnCrew *crew = g_new0 (NnCrew, 1);

  crew->n_threads = MAX (n_threads, 1);
  g_mutex_init (&crew->lock);
  g_cond_init (&crew->wake);
  crew->helpers = g_new0 (GThread *, crew->n_threads);
  for (guint i = 1; i < crew->n_threads; i++) {
    g_autoptr (GError) error = NULL;
    Helper *helper = g_new (Helper, 1);

    *helper = (Helper) { crew, i };
    crew->helpers[i - 1] = g_thread_try_new ("nn-crew", helper_main, helper, &error);
    if (!crew->helpers[i - 1]) {
      nn_warning ("%u threads in place of %u: %s", i, crew->n_threads, error->message);
      g_free (helper);
      crew->n_threads = i;
    }
  }
  return crew;
}

void
nn_crew_free (NnCrew *crew)
{
  if (!crew)
    return;
  g_mutex_lock (&crew->lock);
  crew->quit = TRUE;
  g_cond_broadcast (&crew->wake);
  g_mutex_unlock (&crew->lock);
  for (guint i = 0; i + 1 < crew->n_threads; i++)
    g_thread_join (crew->helpers[i]);
  g_mutex_clear (&crew->lock);
  g_cond_clear (&crew->wake);
  g_free (crew->helpers);
  g_free (crew);
}

guint
nn_crew_get_n_threads (const NnCrew *crew)
{
  return crew->n_threads;
}

void
nn_crew_enter (NnCrew *crew)
{
  crew->omp_threads = omp_get_max_threads ();
  if (crew->omp_threads != 1)
    omp_set_num_threads (1);
  if (crew->n_threads > 1) {
    g_mutex_lock (&crew->lock);
    __atomic_store_n (&crew->awake, 1, __ATOMIC_RELEASE);
    g_cond_broadcast (&crew->wake);
    g_mutex_unlock (&crew->lock);
  }
}

void
nn_crew_leave (NnCrew *crew)
{
  __atomic_store_n (&crew->awake, 0, __ATOMIC_RELEASE);
  if (crew->omp_threads != 1)
    omp_set_num_threads (crew->omp_threads);
}

void
nn_crew_run (NnCrew *crew, guint n_tasks, NnTaskFunc func, gpointer data)
{
  guint64 job;
  guint spins = 0;

  g_assert (n_tasks <= TASK_MASK);
  if (crew->n_threads == 1 || n_tasks == 1) {
    for (guint i = 0; i < n_tasks; i++)
      func (data, i, 0);
    return;
  }
  job = (__atomic_load_n (&crew->ticket, __ATOMIC_RELAXED) >> (2 * TASK_BITS)) + 1;
  __atomic_store_n (&crew->n_done, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&crew->func, func, __ATOMIC_RELAXED);
  __atomic_store_n (&crew->data, data, __ATOMIC_RELAXED);
  __atomic_store_n (
      &crew->ticket, job << (2 * TASK_BITS) | (guint64) n_tasks << TASK_BITS, __ATOMIC_RELEASE);
  work (crew, 0);
  while (__atomic_load_n (&crew->n_done, __ATOMIC_ACQUIRE) < n_tasks)
    relax (&spins);
}
