/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* GLib locks with futexes and atomic instructions of its own, in a library that
 * was not built with ThreadSanitizer: without help the sanitizer sees no lock at
 * all and calls everything a race. Linked into the tests of a sanitized build, the
 * functions here stand before GLib's and tell it what they synchronise. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <glib-object.h>
#include <sanitizer/tsan_interface.h>

/* GLib's own function, looked up once; a race for the lookup is harmless */
#define REAL(name) \
  static __typeof__ (&name) real; \
  if (!__atomic_load_n (&real, __ATOMIC_RELAXED)) \
    __atomic_store_n ( \
        &real, (__typeof__ (&name)) (guintptr) dlsym (RTLD_NEXT, #name), __ATOMIC_RELAXED)

#define EXPORT __attribute__ ((visibility ("default")))

/* name (lock): waits, then owns */
#define TAKES(name, type) \
  EXPORT void name (type *lock) \
  { \
    REAL (name); \
    real (lock); \
    __tsan_acquire (lock); \
  }

#define TRIES(name, type) \
  EXPORT gboolean name (type *lock) \
  { \
    gboolean done; \
    REAL (name); \
    done = real (lock); \
    if (done) \
      __tsan_acquire (lock); \
    return done; \
  }

#define GIVES(name, type) \
  EXPORT void name (type *lock) \
  { \
    REAL (name); \
    __tsan_release (lock); \
    real (lock); \
  }

TAKES (g_mutex_lock, GMutex)
TRIES (g_mutex_trylock, GMutex)
GIVES (g_mutex_unlock, GMutex)
TAKES (g_rec_mutex_lock, GRecMutex)
TRIES (g_rec_mutex_trylock, GRecMutex)
GIVES (g_rec_mutex_unlock, GRecMutex)
TAKES (g_rw_lock_writer_lock, GRWLock)
TRIES (g_rw_lock_writer_trylock, GRWLock)
GIVES (g_rw_lock_writer_unlock, GRWLock)
TAKES (g_rw_lock_reader_lock, GRWLock)
TRIES (g_rw_lock_reader_trylock, GRWLock)
GIVES (g_rw_lock_reader_unlock, GRWLock)

EXPORT void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  REAL (g_cond_wait);
  __tsan_release (mutex);
  real (cond, mutex);
  __tsan_acquire (mutex);
}

EXPORT gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  gboolean result;
  REAL (g_cond_wait_until);

  __tsan_release (mutex);
  result = real (cond, mutex, end_time);
  __tsan_acquire (mutex);
  return result;
}

/* the macros of the same names expand to these */
#undef g_once_init_enter
#undef g_once_init_leave

EXPORT gboolean
g_once_init_enter (volatile void *location)
{
  gboolean is_first;
  REAL (g_once_init_enter);

  is_first = real (location);
  __tsan_acquire ((void *) location);
  return is_first;
}

EXPORT void
g_once_init_leave (volatile void *location, gsize result)
{
  REAL (g_once_init_leave);
  __tsan_release ((void *) location);
  real (location, result);
}

/* --- reference counts: the last one to let go may free what others wrote ------------------ */

#define UNREFS(name, type) \
  EXPORT void name (type object) \
  { \
    REAL (name); \
    __tsan_release ((void *) object); \
    __tsan_acquire ((void *) object); \
    real (object); \
  }

UNREFS (g_object_unref, gpointer)
UNREFS (g_bytes_unref, GBytes *)
UNREFS (g_hash_table_unref, GHashTable *)

/* --- queues and pools: what is handed over comes with all that was written before ----------- */

EXPORT void
g_async_queue_push (GAsyncQueue *queue, gpointer data)
{
  REAL (g_async_queue_push);
  __tsan_release (queue);
  real (queue, data);
}

#define POPS(name) \
  EXPORT gpointer name (GAsyncQueue *queue) \
  { \
    gpointer data; \
    REAL (name); \
    data = real (queue); \
    __tsan_acquire (queue); \
    return data; \
  }

POPS (g_async_queue_pop)
POPS (g_async_queue_try_pop)

typedef struct
{
  GFunc func;
  gpointer user_data;
} Pool;

static void
run_task (gpointer item, gpointer user_data)
{
  Pool *pool = user_data;

  __tsan_acquire (pool);
  pool->func (item, pool->user_data);
  __tsan_release (pool);
}

EXPORT GThreadPool *
g_thread_pool_new (
    GFunc func, gpointer user_data, int max_threads, gboolean exclusive, GError **error)
{
  Pool *pool = g_new (Pool, 1);
  REAL (g_thread_pool_new);

  *pool = (Pool) { func, user_data };
  return real (run_task, pool, max_threads, exclusive, error);
}

EXPORT gboolean
g_thread_pool_push (GThreadPool *pool, gpointer data, GError **error)
{
  REAL (g_thread_pool_push);
  __tsan_release (pool->user_data);
  return real (pool, data, error);
}

EXPORT void
g_thread_pool_free (GThreadPool *pool, gboolean immediate, gboolean wait)
{
  Pool *ours = pool->user_data;
  REAL (g_thread_pool_free);

  real (pool, immediate, wait);
  if (wait) {
    __tsan_acquire (ours);
    g_free (ours);
  }
}
