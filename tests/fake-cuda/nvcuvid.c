/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fake-cuda/fake.h"

/* GStreamer's cudaupload and cudadownload exist only where one of NVIDIA's video libraries does:
 * this is one that decodes nothing. */

#define REFUSED(name) FAKE_CUDA_NAMED (name, void) { return CUDA_ERROR_NOT_SUPPORTED; }

REFUSED (cuvidCreateDecoder)
REFUSED (cuvidCreateVideoParser)
REFUSED (cuvidCtxLock)
REFUSED (cuvidCtxLockCreate)
REFUSED (cuvidCtxLockDestroy)
REFUSED (cuvidCtxUnlock)
REFUSED (cuvidDecodePicture)
REFUSED (cuvidDestroyDecoder)
REFUSED (cuvidDestroyVideoParser)
REFUSED (cuvidGetDecoderCaps)
REFUSED (cuvidMapVideoFrame64)
REFUSED (cuvidParseVideoData)
REFUSED (cuvidReconfigureDecoder)
REFUSED (cuvidUnmapVideoFrame64)
