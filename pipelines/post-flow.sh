#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The flow of the post about cats and dogs with little data, in one command: looks at
# the augmentation, trains, labels pictures that have no label, trains on with those
# that it was sure of, and tells how good either model is.
#
#   pipelines/post-flow.sh [--as-post] DIR [NAME=VALUE...]
#
# DIR/train and DIR/validate hold labelled pictures, one folder for each class or flat
# with the class in front of the name (cat.17.jpg); DIR/unlabelled holds any others.
# Killed or stopped, the same command goes on where it was, to the same result.
#
# NAME=VALUE, or the same from the environment:
#   OUT        folder for what is made (post-flow)
#   RECIPE     of both trainings (train/recipes/dogs-vs-cats-post.ini)
#   EPOCHS     of the first training (15; with another RECIPE what it says)
#   RATE       its learning rate (1e-4; with another RECIPE what it says)
#   EPOCHS_ON  of training on with the labels found (5)
#   RATE_ON    its learning rate (1e-4)
#   THRESHOLD  how sure of a label the model must be (0.9)
#   BALANCE    as many labels of each class: yes (default) or no
#   LABELS     hard (default), or soft: trained towards the probabilities
#   SAMPLE     folder of pictures to draw with their labels (DIR/unlabelled)
#   DEVICE, THREADS
# --as-post: 90 epochs, then 15; all labels taken, sure or not: what the post does, but
# that each label goes to its own picture and that Adam starts anew for the 15.
set -eu

# shellcheck source=pipelines/common.sh
. "$(dirname "$0")/common.sh"
classify=${CLASSIFY:-$build/train/classify}

fail() {
  echo "post-flow.sh: $*" >&2
  exit 1
}

dir=
for word; do
  case $word in
    --as-post) EPOCHS=recipe RATE=recipe EPOCHS_ON=15 THRESHOLD=0 BALANCE=no LABELS=hard ;;
    OUT=* | RECIPE=* | EPOCHS=* | RATE=* | EPOCHS_ON=* | RATE_ON=* | THRESHOLD=* | BALANCE=* | \
      LABELS=* | SAMPLE=* | DEVICE=* | THREADS=*)
      # the name is one of these, the value is not looked at by the shell
      eval "${word%%=*}=\${word#*=}" ;;
    -h | --help) sed -n '5,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -* | *=*) fail "$word: no such option, see --help" ;;
    *) [ -z "$dir" ] || fail "$word: one folder is enough, $dir was named already"; dir=$word ;;
  esac
done
[ -n "$dir" ] || fail "usage: post-flow.sh [--as-post] DIR [NAME=VALUE...], see --help"
for part in train validate unlabelled; do
  [ -d "$dir/$part" ] || fail "$dir/$part: no such folder, see --help for what DIR should hold"
done
dir=$(cd "$dir" && pwd)
[ -x "$classify" ] || fail "$classify: not built: meson setup build && ninja -C build"

if [ -z "${RECIPE:-}" ]; then
  RECIPE=$root/train/recipes/dogs-vs-cats-post.ini
  EPOCHS=${EPOCHS:-15} RATE=${RATE:-1e-4}
fi
OUT=${OUT:-post-flow}
EPOCHS=${EPOCHS:-recipe} RATE=${RATE:-recipe} EPOCHS_ON=${EPOCHS_ON:-5} RATE_ON=${RATE_ON:-1e-4}
THRESHOLD=${THRESHOLD:-0.9} BALANCE=${BALANCE:-yes} LABELS=${LABELS:-hard}
SAMPLE=${SAMPLE:-$dir/unlabelled} DEVICE=${DEVICE:-auto} THREADS=${THREADS:-0}
case $BALANCE in
  yes) balance=--balance ;;
  no) balance= ;;
  *) fail "BALANCE=$BALANCE: expected yes or no" ;;
esac
case $LABELS in
  hard | soft) ;;
  *) fail "LABELS=$LABELS: expected hard or soft" ;;
esac

layout=prefix
for part in "$dir"/train/*/; do
  [ -d "$part" ] && layout=folders
done

# What was begun with other settings is not gone on with; where it runs changes nothing.
mkdir -p "$OUT"
exec 9>"$OUT/lock"
if command -v flock >/dev/null; then
  flock -n 9 || fail "$OUT: another run is at work here"
fi
for name in RECIPE EPOCHS RATE EPOCHS_ON RATE_ON THRESHOLD BALANCE LABELS SAMPLE; do
  eval "printf '%s=%s\n' $name \"\$$name\""
done >"$OUT/settings.new"
printf 'DIR=%s\n' "$dir" >>"$OUT/settings.new"
if [ -f "$OUT/settings" ] && ! cmp -s "$OUT/settings" "$OUT/settings.new"; then
  diff "$OUT/settings" "$OUT/settings.new" >&2 || true
  fail "$OUT: was begun with other settings: restore them, remove it, or choose another OUT"
fi
mv "$OUT/settings.new" "$OUT/settings"

# A signal is passed on, so that a training can save where it stands; but not what the
# terminal sends to both already: a training that is asked twice ends at once.
child=
is_training=
run() { # COMMAND...
  "$@" &
  child=$!
  code=0
  wait "$child" || code=$?
  child=
  return "$code"
}
stopped() { # SIGNAL
  trap '' INT TERM HUP
  if [ -n "$child" ]; then
    [ "$1$is_training" = INTyes ] || kill -TERM "$child" 2>/dev/null || true
    wait "$child" || true
  fi
  echo "post-flow.sh: stopped; the same command goes on from here" >&2
  exit 130
}
trap 'stopped INT' INT
trap 'stopped TERM' TERM HUP

# Each step makes one file, whole or not at all, and is done when it is there.
text() { # FILE COMMAND...: what it prints
  [ -f "$1" ] && return
  made=$1
  shift
  run "$@" >"$made.part"
  mv "$made.part" "$made"
}
picture() { # FILE.png COMMAND... FILE.png
  [ -f "$1" ] && return
  made=$1
  shift
  run "$@" >/dev/null || [ -f "$made" ] # unreadable pictures are told of and drawn as such
}
train() { # FILE.h5 OPTION...
  [ -f "$1" ] && return
  made=$1
  shift
  how=--overwrite # of a run that made no checkpoint
  is_training=yes
  [ -f "${made%.h5}.checkpoint.h5" ] && how=--resume
  run "$classify" train "$RECIPE" --data "$dir" --set data.layout=$layout -o "$made" \
    --log "${made%.h5}.csv" --device "$DEVICE" --threads "$THREADS" $how "$@"
  is_training=
}
evaluate() { # NAME
  for tta in none flip; do
    text "$OUT/$1.$tta.txt" "$classify" evaluate "$OUT/$1.h5" "$dir/validate" --layout $layout \
      --tta $tta --device "$DEVICE" --threads "$THREADS"
  done
  picture "$OUT/$1.png" "$classify" curve "$OUT/$1.csv" "$OUT/$1.png"
}

echo "1/6 the augmentation: $OUT/preview.png"
picture "$OUT/preview.png" "$classify" preview "$RECIPE" --data "$dir" \
  --set data.layout=$layout -o "$OUT/preview.png"

echo "2/6 the first training: $OUT/first.h5, its curve $OUT/first.png"
set --
[ "$EPOCHS" = recipe ] || set -- "$@" --set "schedule.epochs=$EPOCHS"
[ "$RATE" = recipe ] || set -- "$@" --set "schedule.learning_rate=$RATE"
train "$OUT/first.h5" "$@"
evaluate first

echo "3/6 some pictures with their labels: $OUT/sheet.png"
picture "$OUT/sheet.png" "$classify" predict "$OUT/first.h5" "$SAMPLE" --sheet "$OUT/sheet.png" \
  --sheet-limit 11 --device "$DEVICE" --threads "$THREADS"

echo "4/6 labels for $dir/unlabelled: $OUT/pseudo.csv, $OUT/pseudo.txt"
text "$OUT/pseudo.txt" "$classify" pseudo-label "$OUT/first.h5" --data "$dir" \
  -o "$OUT/pseudo.csv" --threshold "$THRESHOLD" $balance "--$LABELS" --check \
  --device "$DEVICE" --threads "$THREADS"
sed -n '/ taken: /,$p' "$OUT/pseudo.txt"

echo "5/6 training on with them: $OUT/second.h5, its curve $OUT/second.png"
# another seed: with the same one its epochs would show the very variants of the pictures,
# and the dropout masks, that the first ones had
train "$OUT/second.h5" --init "$OUT/first.h5" --list "$OUT/pseudo.csv" --set training.seed=2 \
  --set "schedule.epochs=$EPOCHS_ON" --set "schedule.learning_rate=$RATE_ON"
evaluate second

echo "6/6 $dir/validate: $(sed -n '1s/,.*//p' "$OUT/first.none.txt")"
row() { # NAME FILE
  sed -n '1s/.*loss \([^,]*\), accuracy \([^ ]*\).*/\1 \2/p' "$2" | {
    read -r loss accuracy
    printf '%-34s %8s %9s\n' "$1" "$loss" "$accuracy"
  }
}
table() {
  printf '\n%-34s %8s %9s\n' "model" "loss" "accuracy"
  row "first training" "$OUT/first.none.txt"
  row "  and mirror images" "$OUT/first.flip.txt"
  row "trained on with labels found" "$OUT/second.none.txt"
  row "  and mirror images" "$OUT/second.flip.txt"
}
table >"$OUT/table.txt"
cat "$OUT/table.txt"
