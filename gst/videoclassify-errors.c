/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/videoclassify-private.h"
#include "nn/error.h"

void
video_classify_post_error (GstVideoClassify *self, const GError *error)
{
  GST_ERROR_OBJECT (self, "%s", error->message);
  if (g_error_matches (error, NN_ERROR, NN_ERROR_NOT_FOUND))
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_READ))
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_NO_MEMORY))
    GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_BACKEND)
           || g_error_matches (error, NN_ERROR, NN_ERROR_UNSUPPORTED))
    GST_ELEMENT_ERROR (self, LIBRARY, INIT, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_RUN))
    GST_ELEMENT_ERROR (self, LIBRARY, FAILED, ("%s", error->message), (NULL));
  else
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, ("%s", error->message), (NULL));
}
