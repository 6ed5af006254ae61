#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
#   skip.sh REASON      a test that cannot be built here
echo "skipped: $1"
exit 77
