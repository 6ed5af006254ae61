/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Loader: makes things from files, the first in the caller's thread, later ones in a thread of
 * its own beside the stream that uses them. Its user calls them runtimes.
 *
 * Thread-safety: safe; loader_start(), loader_take() and loader_stop() one at a time. */
typedef struct _Loader Loader;

/* Called with the loader's user data and no lock held. */
typedef struct {
  /* What the files that are named now make. NULL with @error. */
  gpointer (*make) (gpointer user_data, GError **error);
  GDestroyNotify free;
  /* A later make() failed; what is in use stays. */
  void (*failed) (const GError *error, gpointer user_data);
  /* A string that is another one when the files are. (transfer full) */
  char *(*make_key) (gpointer user_data);
  /* Watching, files are looked at so often (microseconds), and loaded again when they have
   * changed and have then stayed the same for this long. */
  gint64 interval;
} LoaderFuncs;

/* @funcs is not copied. */
Loader *loader_new (const LoaderFuncs *funcs, gpointer user_data);
/* Stops first. */
void loader_free (Loader *loader);

/* Makes the first one: (transfer full), or NULL with the error of make(). What is requested
 * meanwhile is made afterwards. */
gpointer loader_start (Loader *loader, GError **error);
/* Waits for what is being made; frees what was made and not taken. */
void loader_stop (Loader *loader);

/* Between start and stop: has a new one made. Does nothing at other times. */
void loader_request (Loader *loader);
/* Whether the files are watched, from now on. */
void loader_set_watch (Loader *loader, gboolean watch);

/* The newest that was made since the last call (transfer full), or NULL. */
gpointer loader_take (Loader *loader);
/* @old: (transfer full): is freed in the loader's thread, where nobody waits. Between start and
 * stop. */
void loader_retire (Loader *loader, gpointer old);

G_END_DECLS
