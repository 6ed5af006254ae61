/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/loader.h"

struct _Loader {
  const LoaderFuncs *funcs;
  gpointer user_data;

  GMutex lock;
  GCond cond;
  GThread *thread; /* NULL until it is needed */
  gboolean is_started;
  gboolean is_starting; /* the first is being made */
  gboolean quit, requested, watch;
  char *first_key; /* of the files as loader_start() found them */
  gpointer next;   /* not taken yet; set with the lock held, also read without */
  GList *retired;  /* to be freed */
};

Loader *
loader_new (const LoaderFuncs *funcs, gpointer user_data)
{
  Loader *self = g_new0 (Loader, 1);

  self->funcs = funcs;
  self->user_data = user_data;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  return self;
}

void
loader_free (Loader *self)
{
  loader_stop (self);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

/* --- the thread ---------------------------------------------------------------------- */

static void
make_next (Loader *self)
{
  g_autoptr (GError) error = NULL;
  gpointer made = self->funcs->make (self->user_data, &error);

  if (!made) {
    self->funcs->failed (error, self->user_data);
    return;
  }
  g_mutex_lock (&self->lock);
  if (self->next)
    self->retired = g_list_prepend (self->retired, self->next);
  g_atomic_pointer_set (&self->next, made);
  g_mutex_unlock (&self->lock);
}

/* With the lock held. What it waits for and what it calls is done without. */
static gpointer
loader_main (gpointer user_data)
{
  Loader *self = user_data;
  char *loaded, *before; /* keys of the files: as they were loaded, as they were last seen */

  g_mutex_lock (&self->lock);
  loaded = g_strdup (self->first_key);
  before = g_strdup (loaded);
  while (!self->quit) {
    if (self->retired) {
      GList *retired = g_steal_pointer (&self->retired);

      g_mutex_unlock (&self->lock);
      g_list_free_full (retired, self->funcs->free);
      g_mutex_lock (&self->lock);
    } else if (self->requested) {
      self->requested = FALSE;
      g_mutex_unlock (&self->lock);
      g_free (loaded);
      g_free (before);
      loaded = self->funcs->make_key (self->user_data);
      before = g_strdup (loaded);
      make_next (self);
      g_mutex_lock (&self->lock);
    } else if (!self->watch) {
      g_cond_wait (&self->cond, &self->lock);
    } else if (!g_cond_wait_until (
                   &self->cond, &self->lock, g_get_monotonic_time () + self->funcs->interval)) {
      char *now;

      g_mutex_unlock (&self->lock); /* a network share may take its time */
      now = self->funcs->make_key (self->user_data);
      g_mutex_lock (&self->lock);
      /* who writes the file in place may not be done yet */
      if (!g_str_equal (now, loaded) && g_str_equal (now, before))
        self->requested = TRUE;
      g_free (before);
      before = now;
    }
  }
  g_mutex_unlock (&self->lock);
  g_free (loaded);
  g_free (before);
  return NULL;
}

/* With the lock held: something may be to do. */
static void
wake (Loader *self)
{
  if (!self->is_started || self->is_starting)
    return;
  if (!self->thread && (self->requested || self->watch || self->retired))
    self->thread = g_thread_new ("classify-load", loader_main, self);
  g_cond_signal (&self->cond);
}

/* --- door ---------------------------------------------------------------------------- */

gpointer
loader_start (Loader *self, GError **error)
{
  gpointer first;
  char *key;

  g_mutex_lock (&self->lock);
  self->is_started = self->is_starting = TRUE;
  self->quit = self->requested = FALSE;
  g_mutex_unlock (&self->lock);
  key = self->funcs->make_key (self->user_data);
  first = self->funcs->make (self->user_data, error);
  g_mutex_lock (&self->lock);
  g_free (self->first_key);
  self->first_key = key;
  self->is_starting = FALSE;
  self->is_started = first != NULL;
  wake (self);
  g_mutex_unlock (&self->lock);
  return first;
}

void
loader_stop (Loader *self)
{
  GThread *thread;

  g_mutex_lock (&self->lock);
  self->is_started = FALSE;
  self->quit = TRUE;
  thread = g_steal_pointer (&self->thread);
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  if (thread)
    g_thread_join (thread);
  g_clear_pointer (&self->first_key, g_free);
  g_clear_pointer (&self->next, self->funcs->free);
  g_list_free_full (g_steal_pointer (&self->retired), self->funcs->free);
}

void
loader_request (Loader *self)
{
  g_mutex_lock (&self->lock);
  self->requested = self->is_started;
  wake (self);
  g_mutex_unlock (&self->lock);
}

void
loader_set_watch (Loader *self, gboolean watch)
{
  g_mutex_lock (&self->lock);
  self->watch = watch;
  wake (self);
  g_mutex_unlock (&self->lock);
}

gpointer
loader_take (Loader *self)
{
  gpointer next;

  if (!g_atomic_pointer_get (&self->next))
    return NULL;
  g_mutex_lock (&self->lock);
  next = self->next;
  g_atomic_pointer_set (&self->next, NULL);
  g_mutex_unlock (&self->lock);
  return next;
}

void
loader_retire (Loader *self, gpointer old)
{
  g_mutex_lock (&self->lock);
  self->retired = g_list_prepend (self->retired, old);
  wake (self);
  g_mutex_unlock (&self->lock);
}
