/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The threads of one plan. A GThreadPool takes a lock and an allocation a
 * task and cannot say "now the next layer"; OpenMP's barriers wait for every
 * thread even if the system has put one aside. Here a job is a counter: whoever
 * runs takes the next task, the caller included, so that a helper that does not
 * get a processor costs nothing but its help. */
typedef struct _NnCrew NnCrew;

/* @task: 0 .. n_tasks - 1; @thread: 0 (the caller) .. n_threads - 1, for scratch. */
typedef void (*NnTaskFunc) (gpointer data, guint task, guint thread);

/* @n_threads: with the caller's. */
NnCrew *nn_crew_new (guint n_threads);
void nn_crew_free (NnCrew *crew);
guint nn_crew_get_n_threads (const NnCrew *crew);

/* Wakes the helpers before, and lets them sleep after, a series of jobs. Also
 * holds OpenMP (oneDNN's) to one thread in the calling thread meanwhile. */
void nn_crew_enter (NnCrew *crew);
void nn_crew_leave (NnCrew *crew);

/* Runs all tasks of a job, between enter and leave; returns when all are done.
 * n_tasks < 2^20. */
void nn_crew_run (NnCrew *crew, guint n_tasks, NnTaskFunc func, gpointer data);

G_END_DECLS
