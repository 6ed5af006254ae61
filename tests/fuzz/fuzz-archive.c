/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A .keras archive: a whole model or an error. */

#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "nn/keras-file.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *path = NULL;
  g_autoptr (NnModel) model = NULL;
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);

  fuzz_start ();
  if (fd < 0 || write (fd, data, size) != (ssize_t) size) {
    if (fd >= 0)
      close (fd);
    return 0;
  }
  path = g_strdup_printf ("/proc/self/fd/%d", fd);
  model = nn_model_open (path, NULL, &error);
  g_assert ((model == NULL) == (error != NULL));
  close (fd);
  return 0;
}
