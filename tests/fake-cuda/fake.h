/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A driver, cuBLASLt and cuDNN without a device: memory is the host's, kernels are loops
 * over the bodies in cuda/, the libraries' calls are plain loops in double precision. With
 * them the CUDA back end runs as a whole where there is no GPU, under sanitizers too. What
 * they cannot tell: whether NVIDIA's libraries accept what they are given, and speed. */

#include <cuda.h>

/* Puts a call into the stream, or into the graph that is being captured. */
void fake_cuda_submit (CUstream stream, void (*run) (void *data), const void *data, size_t size);

/* Lets milliseconds pass between events, of the calling thread alone; while it captures, each
 * time that the graph is launched. */
void fake_cuda_spend (double milliseconds);

/* Whether what is put into the stream goes into a graph. */
int fake_cuda_is_capturing (CUstream stream);

/* Bytes of the device's memory that are taken. */
size_t fake_cuda_count_bytes (void);

/* How many times an elapsed time was asked for. */
int fake_cuda_count_measured (void);

/* How many calls failed because $FAKE_CUDA_FAIL_AT named them. */
int fake_cuda_count_failed (void);

/* How many copies of rows to the host there were. */
int fake_cuda_count_downloads (void);

/* How many copies from the host began while another stream had work to do. */
int fake_cuda_count_overlaps (void);

/* How many copies of rows there were on a device: between contexts, within one. */
int fake_cuda_count_peer_copies (void);
int fake_cuda_count_row_copies (void);

/* A function by the very name that others look for, which in cuda.h may be a macro's. */
#define FAKE_CUDA_NAMED(name, ...) \
  CUresult fake_##name (__VA_ARGS__) __asm__ (#name); \
  CUresult fake_##name (__VA_ARGS__)
