/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fake-cuda/fake.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host-kernels.h"

#ifdef __clang__
#pragma clang diagnostic ignored "-Wmissing-prototypes"
#else
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#endif

typedef struct Node Node;

struct Node
{
  Node *next;
  void (*run) (void *data);
  size_t size;
  max_align_t data[];
};

typedef struct
{
  Node *first, **last;
} List;

/* What is put into a stream waits there until somebody synchronises with it, or with an event of
 * it: whoever forgets to gets what was there before. $FAKE_CUDA_ORDER, a number above 0, runs
 * some of it earlier, as drawn from that number. */
struct CUstream_st
{
  CUstream next;
  unsigned long long id;
  unsigned flags;
  CUcontext context;
  int capturing, running;
  List list;  /* captured */
  List queue; /* waiting */
  unsigned long long n_queued, n_done;
};

struct CUgraph_st
{
  List list;
  double spent; /* milliseconds that it takes */
};

struct CUgraphExec_st
{
  List list;
  double spent;
};

struct CUctx_st
{
  CUdevice device;
  atomic_int n_holders; /* of a primary one */
};

/* all that was in the stream when it was recorded */
typedef struct
{
  CUstream stream; /* may be gone: then it is done */
  unsigned long long id, n_queued;
} Point;

struct CUevent_st
{
  double at;
  Point point;
};

struct CUfunc_st
{
  const char *name;
  void (*run) (unsigned blocks, const void *args);
  size_t args_size;
};

static _Thread_local CUcontext contexts[256]; /* a stack */
static _Thread_local int depth;              /* of it */
static _Thread_local int capturing; /* streams of this thread */
static _Thread_local double now;  /* milliseconds */
static _Thread_local double captured; /* ... of what is being captured */
static struct CUctx_st primary[2] = { { .device = 0 }, { .device = 1 } };
static char the_module;
static atomic_size_t allocated;
static atomic_int measured, downloads, overlaps, peer_copies, row_copies, failed;
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t streams_changed = PTHREAD_COND_INITIALIZER;
static CUstream streams;

/* whether this is the call that $FAKE_CUDA_FAIL_AT says should fail, counted from when it
 * was set */
static int
fails (void)
{
  static _Atomic int calls, counted_for;
  const char *at = getenv ("FAKE_CUDA_FAIL_AT");
  const int number = at ? atoi (at) : 0;

  if (number != counted_for) {
    counted_for = number;
    calls = 0;
  }
  if (number <= 0 || ++calls != number)
    return 0;
  failed++;
  return 1;
}

/* what the real driver refuses, too; what frees something does not fail */
#define HAS_CONTEXT() \
  if (depth == 0) \
  return CUDA_ERROR_INVALID_CONTEXT
#define NEED_CONTEXT() \
  HAS_CONTEXT (); \
  if (fails ()) \
  return CUDA_ERROR_LAUNCH_FAILED
#define NOT_WHILE_CAPTURING() \
  NEED_CONTEXT (); \
  if (capturing) \
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED

static size_t
limit (void)
{
  const char *bytes = getenv ("FAKE_CUDA_MEMORY");

  return bytes ? strtoull (bytes, NULL, 10) : (size_t) 8 << 30;
}

/* --- kernels ------------------ */

static struct CUfunc_st functions[] = {
#define ROW(name, Args, ...) { #name, run_##name, sizeof (Args) },
  NN_ELEMENT_KERNELS (ROW) NN_BLOCK_KERNELS (ROW) NN_PHASE_KERNELS (ROW) NN_LANE_KERNELS (ROW)
#undef ROW
};

typedef struct
{
  CUfunction function;
  unsigned blocks;
  _Alignas (max_align_t) char args[4096]; /* as many as a device takes */
} Launch;

static void
run_launch (void *data)
{
  Launch *launch = data;

  launch->function->run (launch->blocks, launch->args);
}

/* --- streams ------------------ */

static void
list_init (List *list)
{
  list->first = NULL;
  list->last = &list->first;
}

static void
list_add (List *list, Node *node)
{
  *list->last = node;
  list->last = &node->next;
}

/* Under the lock. One thread at a time runs what waits in a stream; others go on queueing. */
static void
run_until (const Point *point)
{
  for (;;) {
    CUstream stream = streams;
    Node *node;

    while (stream && (stream != point->stream || stream->id != point->id))
      stream = stream->next;
    if (!stream || stream->n_done >= point->n_queued)
      return;
    if (stream->running) {
      pthread_cond_wait (&streams_changed, &streams_lock);
      continue;
    }
    node = stream->queue.first;
    stream->queue.first = node->next;
    if (!node->next)
      stream->queue.last = &stream->queue.first;
    stream->running = 1;
    pthread_mutex_unlock (&streams_lock);
    node->run (node->data);
    free (node);
    pthread_mutex_lock (&streams_lock);
    stream->running = 0;
    stream->n_done++;
    pthread_cond_broadcast (&streams_changed);
  }
}

static Point
point_of (CUstream stream)
{
  return (Point) { stream, stream->id, stream->n_queued };
}

static void
synchronize (CUstream stream)
{
  Point point;

  pthread_mutex_lock (&streams_lock);
  point = point_of (stream);
  run_until (&point);
  pthread_mutex_unlock (&streams_lock);
}

/* Under the lock: perhaps a part of what waits somewhere. */
static void
run_some (void)
{
  static unsigned long long state;
  const char *order = getenv ("FAKE_CUDA_ORDER");

  if (!order || atoi (order) <= 0)
    return;
  for (CUstream s = streams; s; s = s->next) {
    state = state * 6364136223846793005u + 1442695040888963407u + (unsigned) atoi (order);
    if (!s->running && s->n_done < s->n_queued && state >> 62 == 0) {
      Point point = point_of (s);

      point.n_queued = s->n_done + 1 + (state >> 40) % (s->n_queued - s->n_done);
      run_until (&point);
      return;
    }
  }
}

/* Under the lock: all that waits, but for streams of @flags. */
static void
run_all (unsigned flags)
{
  for (CUstream s = streams; s;) {
    const Point point = point_of (s);
    const int is_done = s->flags == flags || s->n_done == s->n_queued;

    if (!is_done)
      run_until (&point);
    s = is_done ? s->next : streams; /* others may have changed the list meanwhile */
  }
}

void
fake_cuda_submit (CUstream stream, void (*run) (void *data), const void *data, size_t size)
{
  Node *node = calloc (1, sizeof *node + size);

  node->run = run;
  node->size = size;
  memcpy (node->data, data, size);
  if (stream && stream->capturing) {
    list_add (&stream->list, node);
    return;
  }
  pthread_mutex_lock (&streams_lock);
  if (stream) {
    list_add (&stream->queue, node);
    stream->n_queued++;
    run_some ();
    pthread_mutex_unlock (&streams_lock);
    return;
  }
  /* the default stream waits for all that do not refuse to be waited for */
  run_all (CU_STREAM_NON_BLOCKING);
  pthread_mutex_unlock (&streams_lock);
  run (node->data);
  free (node);
}

static void
list_free (List *list)
{
  while (list->first) {
    Node *next = list->first->next;

    free (list->first);
    list->first = next;
  }
}

CUresult
cuStreamCreate (CUstream *stream, unsigned flags)
{
  static unsigned long long n_streams;

  NOT_WHILE_CAPTURING ();
  *stream = calloc (1, sizeof **stream);
  list_init (&(*stream)->queue);
  (*stream)->flags = flags;
  (*stream)->context = contexts[depth - 1];
  pthread_mutex_lock (&streams_lock);
  (*stream)->id = ++n_streams;
  (*stream)->next = streams;
  streams = *stream;
  pthread_mutex_unlock (&streams_lock);
  return CUDA_SUCCESS;
}

CUresult
cuStreamDestroy (CUstream stream)
{
  CUstream *at = &streams;

  HAS_CONTEXT ();
  synchronize (stream);
  pthread_mutex_lock (&streams_lock);
  while (*at != stream)
    at = &(*at)->next;
  *at = stream->next;
  pthread_mutex_unlock (&streams_lock);
  free (stream);
  return CUDA_SUCCESS;
}

CUresult
cuStreamSynchronize (CUstream stream)
{
  HAS_CONTEXT ();
  if (capturing)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream)
    synchronize (stream); /* also where it fails: nothing goes on then */
  return fails () ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

CUresult
cuStreamGetCtx (CUstream stream, CUcontext *context)
{
  NEED_CONTEXT ();
  *context = stream ? stream->context : contexts[depth - 1];
  return CUDA_SUCCESS;
}

static void
run_wait (void *data)
{
  pthread_mutex_lock (&streams_lock);
  run_until (data);
  pthread_mutex_unlock (&streams_lock);
}

CUresult
cuStreamWaitEvent (CUstream stream, CUevent event, unsigned flags)
{
  NOT_WHILE_CAPTURING ();
  if (event->point.stream)
    fake_cuda_submit (stream, run_wait, &event->point, sizeof event->point);
  return CUDA_SUCCESS;
}

CUresult
cuStreamBeginCapture (CUstream stream, CUstreamCaptureMode mode)
{
  NOT_WHILE_CAPTURING ();
  stream->capturing = 1;
  list_init (&stream->list);
  capturing++;
  return CUDA_SUCCESS;
}

CUresult
cuStreamEndCapture (CUstream stream, CUgraph *graph)
{
  HAS_CONTEXT ();
  *graph = calloc (1, sizeof **graph);
  (*graph)->list = stream->list;
  (*graph)->spent = captured;
  captured = 0;
  stream->capturing = 0;
  capturing--;
  if (fails ()) {
    list_free (&(*graph)->list);
    free (*graph);
    *graph = NULL;
    return CUDA_ERROR_LAUNCH_FAILED;
  }
  return CUDA_SUCCESS;
}

CUresult
cuGraphInstantiateWithFlags (CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
  NOT_WHILE_CAPTURING ();
  *exec = calloc (1, sizeof **exec);
  (*exec)->spent = graph->spent;
  list_init (&(*exec)->list);
  for (Node *n = graph->list.first; n; n = n->next) {
    Node *copy = malloc (sizeof *copy + n->size);

    memcpy (copy, n, sizeof *copy + n->size);
    copy->next = NULL;
    list_add (&(*exec)->list, copy);
  }
  return CUDA_SUCCESS;
}

CUresult
cuGraphLaunch (CUgraphExec exec, CUstream stream)
{
  NEED_CONTEXT ();
  fake_cuda_spend (exec->spent);
  for (Node *n = exec->list.first; n; n = n->next)
    fake_cuda_submit (stream, n->run, n->data, n->size);
  return CUDA_SUCCESS;
}

CUresult
cuGraphDestroy (CUgraph graph)
{
  list_free (&graph->list);
  free (graph);
  return CUDA_SUCCESS;
}

CUresult
cuGraphExecDestroy (CUgraphExec exec)
{
  list_free (&exec->list);
  free (exec);
  return CUDA_SUCCESS;
}

/* --- memory: each block by malloc, what is known of it in front ------------------ */

typedef struct Block Block;

struct Block
{
  Block *next;
  size_t size;
  CUcontext context;
};

#define HEADER 256 /* the real driver aligns to as much */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Block *blocks;

/* whose block the @bytes at @p are all in, or NULL */
static CUcontext
owner_of (CUdeviceptr p, size_t bytes)
{
  CUcontext owner = NULL;

  pthread_mutex_lock (&lock);
  for (const Block *b = blocks; b; b = b->next) {
    const CUdeviceptr start = (CUdeviceptr) b + HEADER;

    if (p >= start && p + bytes <= start + b->size)
      owner = b->context;
  }
  pthread_mutex_unlock (&lock);
  return owner;
}

CUresult
cuMemAlloc (CUdeviceptr *p, size_t bytes)
{
  Block *block;

  NOT_WHILE_CAPTURING ();
  if (allocated + bytes > limit ())
    return CUDA_ERROR_OUT_OF_MEMORY;
  /* not rounded up, so that a sanitizer sees the first byte beyond */
  if (posix_memalign ((void **) &block, HEADER, HEADER + bytes) != 0)
    return CUDA_ERROR_OUT_OF_MEMORY;
  block->size = bytes;
  block->context = contexts[depth - 1];
  allocated += bytes;
  memset ((char *) block + HEADER, 0xff, bytes); /* NaN to whoever reads what nobody wrote */
  *p = (CUdeviceptr) block + HEADER;
  pthread_mutex_lock (&lock);
  block->next = blocks;
  blocks = block;
  pthread_mutex_unlock (&lock);
  return CUDA_SUCCESS;
}

CUresult
cuMemFree (CUdeviceptr p)
{
  Block *block = (Block *) (p - HEADER), **at = &blocks;

  HAS_CONTEXT ();
  pthread_mutex_lock (&lock);
  while (*at != block)
    at = &(*at)->next;
  *at = block->next;
  pthread_mutex_unlock (&lock);
  allocated -= block->size;
  free (block);
  return CUDA_SUCCESS;
}

CUresult
cuMemAllocHost (void **p, size_t bytes)
{
  NOT_WHILE_CAPTURING ();
  *p = malloc (bytes);
  return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult
cuMemFreeHost (void *p)
{
  HAS_CONTEXT ();
  free (p);
  return CUDA_SUCCESS;
}

CUresult
cuMemGetInfo (size_t *free_bytes, size_t *total)
{
  *total = limit ();
  *free_bytes = *total - allocated;
  return CUDA_SUCCESS;
}

typedef struct
{
  void *to;
  const void *from;
  size_t bytes;
  int value;
} Copy;

static void
run_copy (void *data)
{
  const Copy *copy = data;

  if (copy->from)
    memcpy (copy->to, copy->from, copy->bytes);
  else
    memset (copy->to, copy->value, copy->bytes);
}

static CUresult
submit_copy (CUstream stream, void *to, const void *from, size_t bytes, int value)
{
  const Copy copy = { to, from, bytes, value };

  NEED_CONTEXT ();
  fake_cuda_submit (stream, run_copy, &copy, sizeof copy);
  return CUDA_SUCCESS;
}

/* whether the device has work in another stream */
static int
is_busy_beside (CUstream stream)
{
  int is_busy = 0;

  pthread_mutex_lock (&streams_lock);
  for (const struct CUstream_st *s = streams; s; s = s->next)
    is_busy |= s != stream && s->n_done < s->n_queued;
  pthread_mutex_unlock (&streams_lock);
  return is_busy;
}

CUresult
cuMemcpyHtoDAsync (CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
  overlaps += is_busy_beside (stream);
  return submit_copy (stream, (void *) to, from, bytes, 0);
}

CUresult
cuMemcpyDtoHAsync (void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
  return submit_copy (stream, to, (const void *) from, bytes, 0);
}

CUresult
cuMemcpyDtoDAsync (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
  return submit_copy (stream, (void *) to, (const void *) from, bytes, 0);
}

CUresult
cuMemsetD8Async (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
  return submit_copy (stream, (void *) to, NULL, bytes, value);
}

CUresult
cuMemAllocPitch (CUdeviceptr *p, size_t *pitch, size_t width, size_t height, unsigned element)
{
  *pitch = (width + 511) / 512 * 512;
  return cuMemAlloc (p, *pitch * height);
}

CUresult
cuPointerGetAttribute (void *value, CUpointer_attribute attribute, CUdeviceptr p)
{
  if (attribute != CU_POINTER_ATTRIBUTE_CONTEXT || !owner_of (p, 1))
    return CUDA_ERROR_INVALID_VALUE;
  *(CUcontext *) value = getenv ("FAKE_CUDA_POOL") ? NULL : owner_of (p, 1);
  return CUDA_SUCCESS;
}

typedef struct
{
  char *to;
  const char *from;
  size_t to_pitch, from_pitch, bytes, rows;
} RowCopy;

static void
run_row_copy (void *data)
{
  const RowCopy *copy = data;

  for (size_t y = 0; y < copy->rows; y++)
    memcpy (copy->to + y * copy->to_pitch, copy->from + y * copy->from_pitch, copy->bytes);
}

/* what the real driver does not tell of */
static int
is_in_block (CUdeviceptr p, size_t pitch, size_t bytes, size_t rows, CUcontext context)
{
  CUcontext owner = owner_of (p, (rows - 1) * pitch + bytes);

  return owner && pitch >= bytes && (context == owner || getenv ("FAKE_CUDA_POOL"));
}

CUresult
cuMemcpy3DPeerAsync (const CUDA_MEMCPY3D_PEER *c, CUstream stream)
{
  const RowCopy copy = { (char *) c->dstDevice, (const char *) c->srcDevice, c->dstPitch,
    c->srcPitch, c->WidthInBytes, c->Height };

  NEED_CONTEXT ();
  peer_copies++;
  if (c->srcMemoryType != CU_MEMORYTYPE_DEVICE || c->dstMemoryType != CU_MEMORYTYPE_DEVICE
      || c->Depth != 1 || c->Height == 0 || c->srcHeight < c->Height || c->dstHeight < c->Height
      || !c->srcContext || !c->dstContext
      || !is_in_block (c->srcDevice, c->srcPitch, c->WidthInBytes, c->Height, c->srcContext)
      || !is_in_block (c->dstDevice, c->dstPitch, c->WidthInBytes, c->Height, c->dstContext))
    return CUDA_ERROR_INVALID_VALUE;
  fake_cuda_submit (stream, run_row_copy, &copy, sizeof copy);
  return CUDA_SUCCESS;
}

CUresult
cuMemcpy2DAsync (const CUDA_MEMCPY2D *c, CUstream stream)
{
  const int from_host = c->srcMemoryType == CU_MEMORYTYPE_HOST;
  const int to_host = c->dstMemoryType == CU_MEMORYTYPE_HOST;
  const RowCopy copy = { to_host ? c->dstHost : (char *) c->dstDevice,
    from_host ? c->srcHost : (const char *) c->srcDevice, c->dstPitch, c->srcPitch, c->WidthInBytes,
    c->Height };
  const CUcontext here = depth ? contexts[depth - 1] : NULL;

  NEED_CONTEXT ();
  if (c->srcXInBytes || c->srcY || c->dstXInBytes || c->dstY
      || (!from_host && !is_in_block (c->srcDevice, c->srcPitch, c->WidthInBytes, c->Height, here))
      || (!to_host && !is_in_block (c->dstDevice, c->dstPitch, c->WidthInBytes, c->Height, here)))
    return CUDA_ERROR_INVALID_VALUE;
  downloads += to_host;
  row_copies += !to_host && !from_host;
  fake_cuda_submit (stream, run_row_copy, &copy, sizeof copy);
  return CUDA_SUCCESS;
}

CUresult
cuMemcpy2D (const CUDA_MEMCPY2D *c)
{
  return cuMemcpy2DAsync (c, NULL);
}

/* --- modules ------------------ */

CUresult
cuModuleLoadData (CUmodule *module, const void *image)
{
  NOT_WHILE_CAPTURING ();
  /* a fat binary, as nvcc made it */
  if (*(const uint32_t *) image != 0xba55ed50)
    return CUDA_ERROR_INVALID_IMAGE;
  *module = (CUmodule) &the_module;
  return CUDA_SUCCESS;
}

CUresult
cuModuleUnload (CUmodule module)
{
  return CUDA_SUCCESS;
}

CUresult
cuModuleGetFunction (CUfunction *function, CUmodule module, const char *name)
{
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (strcmp (functions[i].name, name) == 0) {
      *function = &functions[i];
      return CUDA_SUCCESS;
    }
  }
  return CUDA_ERROR_NOT_FOUND;
}

/* whether $FAKE_CUDA_SLOW_KERNELS says so, of all of them by "1" or by a part of the name */
static int
is_slow (const char *name)
{
  const char *slow = getenv ("FAKE_CUDA_SLOW_KERNELS");

  return slow && (strcmp (slow, "1") == 0 || strstr (name, slow));
}

CUresult
cuLaunchKernel (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
    unsigned bz, unsigned shared, CUstream stream, void **params, void **extra)
{
  Launch launch = { .function = f, .blocks = gx };

  NEED_CONTEXT ();
  if (gx == 0 || gy != 1 || gz != 1 || bx != NN_BLOCK || by != 1 || bz != 1 || shared != 0
      || f->args_size > sizeof launch.args)
    return CUDA_ERROR_INVALID_VALUE;
  fake_cuda_spend (is_slow (f->name) ? 8 : 0.25);
  memcpy (launch.args, params[0], f->args_size);
  fake_cuda_submit (stream, run_launch, &launch, sizeof launch);
  return CUDA_SUCCESS;
}

/* --- devices, contexts, events, errors ------------------ */

CUresult
cuInit (unsigned flags)
{
  return CUDA_SUCCESS;
}

CUresult
cuDriverGetVersion (int *version)
{
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}

CUresult
cuDeviceGetCount (int *count)
{
  *count = 2;
  return CUDA_SUCCESS;
}

CUresult
cuDeviceGet (CUdevice *device, int ordinal)
{
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult
cuDeviceGetName (char *name, int length, CUdevice device)
{
  strncpy (name, "no device, only loops on the host", (size_t) length);
  return CUDA_SUCCESS;
}

CUresult
cuDeviceGetAttribute (int *value, CUdevice_attribute attribute, CUdevice device)
{
  const char *arch = getenv ("FAKE_CUDA_ARCH"); /* "75" */
  const int number = arch ? atoi (arch) : 90;

  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? number / 10
      : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR  ? number % 10
                                                                   : 0;
  return CUDA_SUCCESS;
}

CUresult
cuDeviceTotalMem (size_t *bytes, CUdevice device)
{
  *bytes = limit ();
  return CUDA_SUCCESS;
}

CUresult
cuDevicePrimaryCtxRetain (CUcontext *context, CUdevice device)
{
  primary[device].n_holders++;
  *context = &primary[device];
  return CUDA_SUCCESS;
}

CUresult
cuDevicePrimaryCtxRelease (CUdevice device)
{
  primary[device].n_holders--;
  return CUDA_SUCCESS;
}

CUresult
cuCtxPushCurrent (CUcontext context)
{
  if (depth == sizeof contexts / sizeof *contexts)
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < sizeof primary / sizeof *primary; i++)
    if (context == &primary[i] && !context->n_holders) {
      fputs ("fake-cuda: a primary context is used that nobody holds\n", stderr);
      abort (); /* the real one is gone with all its memory */
    }
  contexts[depth++] = context;
  return CUDA_SUCCESS;
}

CUresult
cuCtxPopCurrent (CUcontext *context)
{
  HAS_CONTEXT ();
  depth--;
  if (context)
    *context = contexts[depth];
  return CUDA_SUCCESS;
}

/* --- what libgstcuda looks for, by the names that it asks for ------------------ */

FAKE_CUDA_NAMED (cuCtxCreate_v2, CUcontext *context, unsigned flags, CUdevice device)
{
  *context = calloc (1, sizeof **context);
  (*context)->device = device;
  return cuCtxPushCurrent (*context);
}

FAKE_CUDA_NAMED (cuCtxDestroy_v2, CUcontext context)
{
  free (context);
  return CUDA_SUCCESS;
}

FAKE_CUDA_NAMED (cuStreamDestroy, CUstream stream)
{
  return cuStreamDestroy (stream);
}

FAKE_CUDA_NAMED (cuDeviceCanAccessPeer, int *can, CUdevice device, CUdevice peer)
{
  *can = 0;
  return CUDA_SUCCESS;
}

FAKE_CUDA_NAMED (cuMemcpyHtoD_v2, CUdeviceptr to, const void *from, size_t bytes)
{
  return submit_copy (NULL, (void *) to, from, bytes, 0);
}

CUresult
cuCtxSynchronize (void)
{
  NOT_WHILE_CAPTURING ();
  pthread_mutex_lock (&streams_lock);
  run_all (~0u);
  pthread_mutex_unlock (&streams_lock);
  return CUDA_SUCCESS;
}

/* what it asks for and does not need for copies of frames */
#define REFUSED(X) \
  X (cuCtxDisablePeerAccess) X (cuCtxEnablePeerAccess) X (cuCtxGetLimit) X (cuCtxSetLimit) \
  X (cuDestroyExternalMemory) X (cuDestroyExternalSemaphore) X (cuExternalMemoryGetMappedBuffer) \
  X (cuExternalMemoryGetMappedMipmappedArray) X (cuGLGetDevices_v2) \
  X (cuGraphicsGLRegisterBuffer) X (cuGraphicsGLRegisterImage) X (cuGraphicsMapResources) \
  X (cuGraphicsResourceGetMappedPointer_v2) X (cuGraphicsResourceSetMapFlags_v2) \
  X (cuGraphicsSubResourceGetMappedArray) X (cuGraphicsUnmapResources) \
  X (cuGraphicsUnregisterResource) X (cuImportExternalMemory) X (cuImportExternalSemaphore) \
  X (cuIpcCloseMemHandle) X (cuIpcGetEventHandle) X (cuIpcGetMemHandle) X (cuIpcOpenEventHandle) \
  X (cuIpcOpenMemHandle) X (cuMemAddressFree) X (cuMemAddressReserve) X (cuMemAllocAsync) \
  X (cuMemAllocFromPoolAsync) X (cuMemcpyDtoD_v2) X (cuMemcpyDtoH_v2) \
  X (cuMemCreate) X (cuMemExportToShareableHandle) X (cuMemFreeAsync) X (cuMemGetAccess) \
  X (cuMemGetAllocationGranularity) X (cuMemGetAllocationPropertiesFromHandle) \
  X (cuMemImportFromShareableHandle) X (cuMemMap) X (cuMemPoolCreate) X (cuMemPoolDestroy) \
  X (cuMemPoolGetAttribute) X (cuMemPoolSetAttribute) X (cuMemRelease) \
  X (cuMemRetainAllocationHandle) X (cuMemSetAccess) X (cuMemsetD2D16_v2) X (cuMemsetD2D16Async) \
  X (cuMemsetD2D32_v2) X (cuMemsetD2D32Async) X (cuMemsetD2D8_v2) X (cuMemsetD2D8Async) \
  X (cuMemUnmap) X (cuSignalExternalSemaphoresAsync) X (cuTexObjectCreate) \
  X (cuTexObjectDestroy) X (cuWaitExternalSemaphoresAsync)

/* not FAKE_CUDA_NAMED(): names that are macros would be the macros' */
#define X(name) \
  CUresult fake_##name (void) __asm__ (#name); \
  CUresult fake_##name (void) \
  { \
    return CUDA_ERROR_NOT_SUPPORTED; \
  }
REFUSED (X)
#undef X

CUresult
cuEventCreate (CUevent *event, unsigned flags)
{
  NOT_WHILE_CAPTURING ();
  *event = calloc (1, sizeof **event);
  return CUDA_SUCCESS;
}

CUresult
cuEventDestroy (CUevent event)
{
  free (event);
  return CUDA_SUCCESS;
}

CUresult
cuEventRecord (CUevent event, CUstream stream)
{
  NOT_WHILE_CAPTURING ();
  event->at = now;
  event->point = (Point) { 0 };
  if (!stream || stream == CU_STREAM_LEGACY) { /* behind all that can be waited for so */
    pthread_mutex_lock (&streams_lock);
    run_all (CU_STREAM_NON_BLOCKING);
    pthread_mutex_unlock (&streams_lock);
    return CUDA_SUCCESS;
  }
  if (stream->context != contexts[depth - 1])
    return CUDA_ERROR_INVALID_HANDLE;
  pthread_mutex_lock (&streams_lock);
  event->point = point_of (stream);
  pthread_mutex_unlock (&streams_lock);
  return CUDA_SUCCESS;
}

CUresult
cuEventSynchronize (CUevent event)
{
  NOT_WHILE_CAPTURING ();
  run_wait (&event->point);
  return CUDA_SUCCESS;
}

CUresult
cuEventElapsedTime (float *milliseconds, CUevent start, CUevent end)
{
  const CUstream stream = end->point.stream;

  measured++;
  if (stream && stream->n_done < end->point.n_queued)
    return CUDA_ERROR_NOT_READY;
  *milliseconds = (float) (end->at - start->at);
  return CUDA_SUCCESS;
}

void
fake_cuda_spend (double milliseconds)
{
  *(capturing ? &captured : &now) += milliseconds;
}

size_t
fake_cuda_count_bytes (void)
{
  return allocated;
}

int
fake_cuda_is_capturing (CUstream stream)
{
  return stream->capturing;
}

int
fake_cuda_count_failed (void)
{
  return failed;
}

int
fake_cuda_count_downloads (void)
{
  return downloads;
}

int
fake_cuda_count_peer_copies (void)
{
  return peer_copies;
}

int
fake_cuda_count_row_copies (void)
{
  return row_copies;
}

int
fake_cuda_count_overlaps (void)
{
  return overlaps;
}

int
fake_cuda_count_measured (void)
{
  return measured;
}

CUresult
cuGetErrorName (CUresult error, const char **text)
{
  *text = "FAKE_ERROR";
  return CUDA_SUCCESS;
}

CUresult
cuGetErrorString (CUresult error, const char **text)
{
  *text = error == CUDA_ERROR_INVALID_CONTEXT            ? "no context"
      : error == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED ? "not while capturing"
                                                       : "refused by the fake driver";
  return CUDA_SUCCESS;
}
