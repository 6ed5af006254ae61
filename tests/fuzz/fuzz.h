/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* One target a file. libFuzzer calls it (-Dfuzz=true), and so does replay.c
 * with each file of the corpus in the ordinary tests. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* For readers that take a path: a file in memory that holds @data. */
typedef struct
{
  int fd;
  char path[32];
} FuzzFile;

/* FALSE where there is no memory for it. */
gboolean fuzz_file_open (FuzzFile *file, const uint8_t *data, size_t size);
void fuzz_file_close (FuzzFile *file);

/* Messages of the library go nowhere; GLib's critical ones end the program. */
void fuzz_start (void);
