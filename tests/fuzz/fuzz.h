/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <stddef.h>
#include <stdint.h>

/* One target a file. libFuzzer calls it (-Dfuzz=true), and so does replay.c
 * with each file of the corpus in the ordinary tests. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
