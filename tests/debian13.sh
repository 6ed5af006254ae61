#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds and tests the tree as it is (also what is not committed) on Debian 13, in
# a root of its own made with mmdebstrap. Needs root and about 2.5 GB.
#
#   tests/debian13.sh [OPTION...]     options are those of tests/run.sh
#
# CLASSIFY_DEBIAN_ROOT   the root (default /var/tmp/classify-debian13); made at the
#                        first call, kept for the next; remove the folder to renew it
# CLASSIFY_DEBIAN_SUITE  another suite (default trixie)
# CLASSIFY_SHARED        material of the tests (default: shared beside the tree)
# CLASSIFY_CUDA          CUDA toolkit with cuDNN's headers, for the root too (default
#                        /usr/local/cuda; where there is none the CUDA back end is left out)
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
suite=${CLASSIFY_DEBIAN_SUITE:-trixie}
root=${CLASSIFY_DEBIAN_ROOT:-/var/tmp/classify-debian13}
shared=${CLASSIFY_SHARED:-$top/../shared}
cuda=$(readlink -f "${CLASSIFY_CUDA:-/usr/local/cuda}")

die () { echo "debian13.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "must be root, to make a root file system and chroot into it"

if [ ! -e "$root/.complete" ]; then
  [ ! -e "$root" ] || die "$root exists but was not completed: remove it"
  command -v mmdebstrap >/dev/null || apt-get -q -y install mmdebstrap >&2 \
    || die "mmdebstrap is missing and could not be installed"
  # the key of an older release may not know the newer archive's: then name a newer keyring
  mmdebstrap --variant=apt --include=ca-certificates "$suite" "$root" \
    || { rm -rf "$root"; die "mmdebstrap failed, see above"; }
  touch "$root/.complete"
fi
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"

# All mounts live and die with this process: nothing is left behind, however it ends.
if [ -z "${CLASSIFY_PRIVATE_MOUNTS-}" ]; then
  CLASSIFY_PRIVATE_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
mkdir -p "$root/srv/classify" "$root/srv/shared"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -d "$shared" ]; then
  mount --bind "$shared" "$root/srv/shared"
  mount -o remount,ro,bind "$root/srv/shared"
fi
if [ -d "$cuda" ]; then
  mkdir -p "$root/usr/local/cuda"
  mount --bind "$cuda" "$root/usr/local/cuda"
  mount -o remount,ro,bind "$root/usr/local/cuda"
fi

# The tree without what was built here; the builds of the last call stay.
(cd "$root/srv/classify" && find . -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf {} +)
tar -C "$top" --exclude='./build' --exclude='./build-*' --exclude=./.git -cf - . \
  | tar -C "$root/srv/classify" -xf -

exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  CLASSIFY_SHARED=/srv/shared \
  sh -c 'cd /srv/classify && exec ./tests/run.sh "$@"' sh "$@"
