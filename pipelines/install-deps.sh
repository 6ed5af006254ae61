#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what building, testing and the pipelines need and what is missing, on
# Debian 12 and 13 (the names are the same in both) and their kin. Says nothing
# and asks for no rights where everything is there.
#
#   pipelines/install-deps.sh [--clang]
#
# --clang: clang and its sanitizers too, for the tests with the other compiler.
set -eu

# what builds
packages="gcc libc6-dev meson ninja-build pkgconf git ca-certificates
  libglib2.0-dev libjson-glib-dev libhdf5-dev libdnnl-dev liborc-0.4-dev libarchive-dev
  libgdk-pixbuf-2.0-dev libjpeg-dev libexif-dev libcairo2-dev libpango1.0-dev
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
  gobject-introspection libgirepository1.0-dev"
# what plays, and what the tests look at
packages="$packages
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
  python3 python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
  gstreamer1.0-x hdf5-tools fonts-dejavu-core"
# what reads WebP, AVIF and HEIC: a system that has no such package does without
loaders="webp-pixbuf-loader libavif-gdk-pixbuf heif-gdk-pixbuf"
decoder=libheif-plugin-libde265 # of heif-gdk-pixbuf, where that is a package of its own

for option in "$@"; do
  case $option in
    --clang) packages="$packages clang" ;;
    *)
      echo "install-deps.sh: there is no option $option; known: --clang" >&2
      exit 1
      ;;
  esac
done

is_installed () {
  case $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null || true) in
    *' installed') ;;
    *) false ;;
  esac
}
list_missing () {
  for package in "$@"; do
    is_installed "$package" || printf ' %s' "$package"
  done
}
# shellcheck disable=SC2086 # lists of words, here and below
missing=$(list_missing $packages)
# shellcheck disable=SC2086
wanted=$(list_missing $loaders)
[ -n "$missing$wanted" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "install-deps.sh: no apt-get here; please install what corresponds to:$missing$wanted" >&2
  [ -z "$missing" ] && exit 0
  exit 1
fi

sudo=
if [ "$(id -u)" != 0 ]; then
  sudo=sudo
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: not root and no sudo; please install:$missing$wanted" >&2
    [ -z "$missing" ] && exit 0
    exit 1
  fi
fi
run () { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >&2; }

# the lists of a fresh image are empty: they tell which loaders there are
if [ -n "$wanted" ]; then
  [ -n "$(apt-cache policy glib-networking | grep 'Candidate: [^(]')" ] || run update || true
  for package in $wanted $decoder; do
    if apt-cache policy "$package" | grep -q 'Candidate: [^(]' && ! is_installed "$package"; then
      missing="$missing $package"
    fi
  done
  [ -n "$missing" ] || exit 0
fi

echo "installing:$missing" >&2
# the lists of an old image name files that are gone
# shellcheck disable=SC2086
run install --no-install-recommends $missing || {
  run update
  # shellcheck disable=SC2086
  run install --no-install-recommends $missing
}
