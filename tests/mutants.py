#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mutants: one line of the program is made wrong, the tests that ought to notice are run, the
line is put back. A mutant that no test notices has survived, and says what is not tested.

    mutants.py --check [ROOT]             each line to be changed is there exactly once (TAP)
    mutants.py --list [ROOT]
    mutants.py FOLDER [NAME|FILE...]      plants those named, or all

FOLDER is a copy of the tree that is made if it is not there (`git worktree add --detach`, of
what is committed), built in FOLDER/build with meson's options from MESON_OPTIONS
(-Dcuda=disabled), and kept for the next time. The tree of this script is not touched.
Exit status: 0 all were killed, 1 some survived, 2 the list or the copy is no good. A full run
takes an hour on two cores.
"""
import os
import re
import subprocess
import sys

GST = ('element', 'stream')
# name, file, what it says, what it should say then, tests
MUTANTS = [
    # --- what is seen of a frame
    ('colour-709-as-601', 'gst/formats.c', 'return NN_MATRIX_BT709;',
     'return NN_MATRIX_BT601;', 'formats'),
    ('colour-2020-as-709', 'gst/formats.c', 'return NN_MATRIX_BT2020;',
     'return NN_MATRIX_BT709;', 'formats'),
    ('colour-601-as-709', 'gst/formats.c', 'return NN_MATRIX_BT601;',
     'return NN_MATRIX_BT709;', 'formats'),
    ('range-ignored', 'gst/formats.c', 'range == GST_VIDEO_COLOR_RANGE_0_255', 'range == 77',
     'formats'),
    ('pixel-aspect-ignored', 'gst/formats.c', '(double) GST_VIDEO_INFO_PAR_N (video)',
     '(double) GST_VIDEO_INFO_PAR_D (video)', 'formats'),
    ('yv12-swapped', 'gst/formats.c', '{ GST_VIDEO_FORMAT_YV12, NN_PIXEL_YV12 }',
     '{ GST_VIDEO_FORMAT_YV12, NN_PIXEL_I420 }', 'formats'),
    ('nv21-swapped', 'gst/formats.c', '{ GST_VIDEO_FORMAT_NV21, NN_PIXEL_NV21 }',
     '{ GST_VIDEO_FORMAT_NV21, NN_PIXEL_NV12 }', 'formats'),
    ('bgrx-as-rgbx', 'gst/formats.c', '{ GST_VIDEO_FORMAT_BGRx, NN_PIXEL_BGRX }',
     '{ GST_VIDEO_FORMAT_BGRx, NN_PIXEL_RGBX }', 'formats'),
    ('unpacked-depth', 'gst/frame-copy.c', '(src[i] * 255u + 32767) / 65535', 'src[i]',
     'formats'),
    # --- which way up
    ('turn-90r-as-90l', 'nn/orientation.c', '[NN_ORIENTATION_90R] = { TRUE, FALSE, TRUE },',
     '[NN_ORIENTATION_90R] = { TRUE, TRUE, FALSE },', 'image orientation'),
    ('turn-aspect', 'nn/image.c', 'info->pixel_aspect = 1 / info->pixel_aspect;', '(void) 0;',
     'orientation'),
    ('turn-scope', 'gst/orientation-tags.c', 'return tags->has_stream ? tags->stream',
     'return FALSE ? tags->stream', 'orientation'),
    ('turn-twice', 'gst/orientation-tags.c', 'is_done = is_turning (element);',
     'is_done = FALSE;', 'orientation'),
    ('turn-crop', 'gst/runtime.c', 'shown = nn_image_turn_rect (format->image, rect);',
     'shown = *rect;', 'orientation'),
    ('turn-heat-map', 'gst/explainer.c',
     'input = nn_image_turn_rect_back (&self->job.image, &input);', '(void) 0;', 'orientation'),
    ('turn-picture', 'gst/collector.c', 'part ? turn (part, item->orientation)',
     'part ? turn (part, NN_ORIENTATION_IDENTITY)', 'collect'),
    ('letterbox-aspect', 'nn/image.c', 'ratio = source->width * pixel / source->height;',
     'ratio = source->width / source->height;', 'image aspect element'),
    ('letterbox-place', 'nn/image.c', 'place->y = (pre->height - place->height) / 2;',
     'place->y = (pre->height - place->height + 3) / 2;', 'image aspect'),
    ('center-crop', 'nn/image.c', 'source->y += (source->height - MAX (height, 1)) / 2;',
     'source->y += source->height - MAX (height, 1);', 'image aspect'),
    # --- crop, regions
    ('crop-x-as-y', 'gst/regions.c', 'area->y + crop->y * sy,', 'area->y + crop->x * sy,',
     'stream-parts element stream'),
    ('crop-fraction', 'gst/regions.c', 'crop->is_fraction ? area->height : 1',
     'crop->is_fraction ? area->width : 1', 'stream-parts element stream'),
    ('crop-meta-y', 'gst/videoclassify-frame.c', '(NnRect){ crop->x, crop->y, crop->width',
     '(NnRect){ crop->x, crop->x, crop->width', 'element stream'),
    ('regions-smallest', 'gst/regions.c', 'return (y > x) - (y < x);', 'return (x > y) - (x < y);',
     'stream stream-parts'),
    ('regions-overlap', 'gst/regions.c', '> 0.5;', '> 0.05;', 'stream stream-parts'),
    ('region-label', 'gst/regions.c', 'return label != 0 && g_strv_contains',
     'return label != 0 || g_strv_contains', 'stream stream-parts'),
    ('rois-not-announced', 'gst/gstvideoclassify.c',
     'gst_query_add_allocation_meta (query, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE, NULL);',
     ';', 'element stream'),
    # --- generation: flush, new stream, exchange of the model
    ('flush-keeps-results', 'gst/publisher.c', '''publisher_forget (Publisher *self)
{
  g_mutex_lock (&self->lock);
  self->generation++;''', '''publisher_forget (Publisher *self)
{
  g_mutex_lock (&self->lock);''', 'changes stream-parts'),
    ('exchange-keeps-results', 'gst/publisher.c',
     '''publisher_prepare (Publisher *self, guint n_classes)
{
  g_mutex_lock (&self->lock);
  self->generation++;''', '''publisher_prepare (Publisher *self, guint n_classes)
{
  g_mutex_lock (&self->lock);''', 'changes stream-parts'),
    ('old-results-taken', 'gst/publisher.c', 'if (task->generation != self->generation)',
     'if (task->generation > self->generation)', 'changes stream-parts'),
    ('old-heat-map-taken', 'gst/publisher.c', 'if (map->generation == self->generation) {',
     'if (map->generation <= self->generation) {', 'stream stream-parts'),
    ('flush-keeps-heat-map', 'gst/publisher.c',
     '''  g_clear_pointer (&self->heat_map, heat_map_unref);
  pacer_reset''', '  pacer_reset', 'stream stream-parts'),
    ('eos-not-drained', 'gst/gstvideoclassify.c', '''    case GST_EVENT_EOS:
      drain (self);''', '    case GST_EVENT_EOS:', 'stream'),
    ('segment-not-forgotten', 'gst/gstvideoclassify.c', '''      forget_stream (self);
      gst_event_parse_segment''', '      gst_event_parse_segment', 'stream element'),
    # --- results
    ('raw-label-is-steady', 'gst/results.c', 'nn_top_k (values->raw, n, 1, &best);',
     'best = order[0];', 'stream'),
    ('unknown-has-index', 'gst/results.c', 'is_known ? (int)order[0] : -1', '(int)order[0]',
     'element stream'),
    ('threshold-inverted', 'gst/results.c', 'is_known = probability >= values->threshold;',
     'is_known = probability <= values->threshold;', 'element'),
    ('age-of-frame', 'gst/results.c', '(guint)(frame - result->frame)',
     '(guint)(frame - result->frame + 1)', 'element stream'),
    ('changes-posted-always', 'gst/publisher.c', 'news.is_changed = label != track->posted;',
     'news.is_changed = TRUE;', 'element stream'),
    ('track-never-forgotten', 'gst/publisher.c', 'now > track->seen_at + TRACK_TIMEOUT',
     'now > track->seen_at + 1000 * TRACK_TIMEOUT', 'stream stream-parts'),
    ('cut-keeps-smoothing', 'gst/publisher.c', '''    if (task->is_cut)
      smoother_reset (track->smoother);
''', '', 'stream'),
    ('smoothing-time', 'gst/smoother.c', '-expm1 (-(double)dt / (double)options->time)',
     '-expm1 (-2 * (double)dt / (double)options->time)', 'stream-parts'),
    ('hysteresis-inverted', 'gst/smoother.c', 'if (lead < options->hysteresis',
     'if (lead > options->hysteresis', 'stream-parts'),
    ('majority-tie', 'gst/smoother.c', '&& self->last_vote[i] > self->last_vote[winner]))',
     '&& self->last_vote[i] < self->last_vote[winner]))', 'stream-parts'),
    ('hold-time', 'gst/smoother.c', 'self->now - self->changed_at < options->hold',
     'self->now - self->changed_at > options->hold', 'stream-parts'),
    ('stats-rank', 'gst/stats.c', 'sorted[MAX (rank, 1) - 1]', 'sorted[count / 2]',
     'stream stream-parts'),
    ('thumbnail-sign', 'gst/thumbnail.c', 'sum += fabs (', 'sum += (', 'stream stream-parts'),
    # --- time
    ('no-latency-message', 'gst/videoclassify-results.c', '    announce = TRUE;\n', '', 'changes'),
    ('latency-1-ns', 'gst/gstvideoclassify.c',
     'own = self->report_latency ? self->reported_latency',
     'own = self->report_latency ? 1', 'changes'),
    ('latency-max', 'gst/gstvideoclassify.c', '      max += own;', '      max += 2 * own;',
     'element'),
    ('max-rate-half', 'gst/pacer.c', 'interval = rate > 0 ? GST_SECOND / rate : 0;',
     'interval = rate > 0 ? GST_SECOND / (2 * rate) : 0;', 'stream element stream-parts'),
    ('late-counted', 'gst/videoclassify-frame.c', 'dropped = ++self->counts.late;',
     'dropped = self->counts.late;', 'element stream'),
    ('interval', 'gst/videoclassify-frame.c',
     'self->until_next = settings.interval > 1 ? settings.interval : 0;',
     'self->until_next = settings.interval;', 'element stream'),
    ('gap-classified', 'gst/videoclassify-frame.c',
     'if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))',
     'if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_LAST))', 'element stream'),
    # --- models
    ('labels-file-not-in-key', 'gst/model-cache.c', '  append_file (key, labels_file);\n', '',
     'changes'),
    ('weights-not-in-key', 'gst/model-cache.c', '  append_file (key, weights);\n', '',
     'element stream loading'),
    ('watch-reads-half', 'gst/loader.c',
     '!g_str_equal (now, loaded) && g_str_equal (now, before)', '!g_str_equal (now, loaded)',
     'loading stream'),
    ('request-while-starting', 'gst/loader.c', 'self->requested = self->is_started;',
     'self->requested = self->is_started && !self->is_starting;', 'loading stream'),
    ('exchange-keeps-interval', 'gst/videoclassify-models.c', '  self->until_next = 0;',
     '  self->until_next = MAX (self->until_next, 1) + 1;', 'stream loading'),
    ('stop-waits-for-device', 'nn/backend.c',
     'g_mutex_lock (&open_lock); /* nobody finds it on its way out */',
     'g_mutex_lock (&opening); g_mutex_lock (&open_lock); g_mutex_unlock (&opening);', 'backend'),
    ('old-model-not-told', 'gst/videoclassify-models.c', '  publisher_prepare (self->publisher',
     '  if (0) publisher_prepare (self->publisher', 'changes'),
    # --- engines
    ('failed-run-fails-all', 'gst/engine.c', 'own = n_pieces == 1 ? g_error_copy (error) : NULL;',
     'own = g_error_copy (error);', 'loading'),
    ('failed-run-is-success', 'gst/engine.c', 'job->error = g_steal_pointer (&own);', '',
     'loading'),
    # --- properties
    ('qos-settable', 'gst/videoclassify-properties.c', '  self->qos = FALSE;\n', '', 'changes'),
    ('qos-drops', 'gst/gstvideoclassify.c',
     'return gst_pad_push_event (GST_BASE_TRANSFORM_SINK_PAD (trans), event);', ';', 'changes'),
    ('late-value-not-told', 'gst/videoclassify-properties.c',
     'p->when == NEXT_START && self->is_running', 'FALSE && self->is_running', 'changes'),
    ('late-value-told-again', 'gst/videoclassify-properties.c', '    self->told_late |= bit;',
     '    self->told_late |= 0;', 'changes'),
    ('wrong-value-starts', 'gst/videoclassify-properties.c', '  return error == NULL;',
     '  return TRUE;', 'changes'),
    ('wrong-value-taken', 'gst/videoclassify-properties.c',
     'if (!nn_tta_parse (text, &tta, error))\n    return FALSE;',
     'nn_tta_parse (text, &tta, error);', 'changes'),
    # --- collect, text
    ('label-slash', 'nn/label-name.c', "    case '/':\n", '', 'labels collect pseudo-label'),
    ('label-dot', 'nn/label-name.c', 'return !is_prefix && !is_first && !is_last;',
     'return !is_prefix;', 'labels collect pseudo-label'),
    ('collect-max', 'gst/videoclassify-results.c',
     '(double)probabilities[best] <= settings->collect_max', 'TRUE', 'collect'),
    ('collect-nan', 'gst/videoclassify-results.c',
     '(double)probabilities[best] >= settings->collect_min',
     '!((double)probabilities[best] < settings->collect_min)', 'collect'),
    ('collect-limit', 'gst/collector.c', 'self->used + gst_buffer_get_size (buffer) > item->limit',
     'self->used > 2 * item->limit', 'collect'),
    ('cue-line-break', 'gst/cues.c', '''    case G_UNICODE_CONTROL:
    case G_UNICODE_LINE_SEPARATOR:''', '    case G_UNICODE_LINE_SEPARATOR:',
     'stream-parts stream'),
    ('cue-markup', 'gst/cues.c',
     "    case '<':\n      return 0x2039;", "    case '<':\n      return '<';",
     'stream-parts stream'),
    ('cue-end', 'gst/cues.c', 'GST_BUFFER_DURATION (buffer) = end - self->start;',
     'GST_BUFFER_DURATION (buffer) = end;', 'stream-parts stream'),
    # --- training
    ('validate-raw-weights', 'train/loop.c', '''    return FALSE;
  swap_average (run);
  if (run->validation && !validate''', '''    return FALSE;
  if (run->validation && !validate''', 'by-hand regimen'),
    ('unlabelled-sureness', 'train/loop.c', 'sure = outputs[best];', 'sure = outputs[0];',
     'by-hand regimen'),
    ('unlabelled-ramp', 'train/loop.c', 'run->recipe->unlabelled_weight * ramp * n / more->n',
     'run->recipe->unlabelled_weight * n / more->n', 'by-hand regimen'),
    ('unlabelled-one-output', 'train/loop.c', 'sure = MAX (outputs[0], 1 - outputs[0]);',
     'sure = outputs[0];', 'regimen'),
    ('unlabelled-start', 'train/loop.c', 'epoch_number (run) > run->recipe->unlabelled_start;',
     'epoch_number (run) >= run->recipe->unlabelled_start;', 'by-hand regimen'),
    ('keep-best', 'train/loop.c',
     'schedule_find_best (run->results) != (int) run->results->len - 1)',
     'schedule_find_best (run->results) < 0)', 'by-hand regimen'),
    ('best-of-epochs', 'train/schedule.c', 'r->val_accuracy > b->val_accuracy',
     'r->val_accuracy >= b->val_accuracy', 'regimen'),
    ('early-stopping', 'train/schedule.c', '(guint) best >= recipe->patience',
     '(guint) best > recipe->patience', 'regimen'),
    ('plateau', 'train/schedule.c', '++waited == recipe->plateau_patience',
     '++waited > recipe->plateau_patience', 'regimen'),
    ('warm-up', 'train/schedule.c', 'return top * (t + 1) / warmup;', 'return top * t / warmup;',
     'regimen'),
    ('one-cycle-rise', 'train/schedule.c', 'cosine (top * ONE_CYCLE_FIRST, top, t / rise)',
     'cosine (top, top * ONE_CYCLE_FIRST, t / rise)', 'regimen'),
    ('label-smoothing', 'train/feeder.c', '+ smoothing / (float) options->n_outputs;', ';',
     'train regimen'),
    ('resume-place', 'train/loop.c', '    run->at = checkpoint.at;\n',
     '    run->at = checkpoint.at;\n    run->at.step = 0;\n', 'regimen post-flow resume'),
    ('resume-other-settings', 'train/loop.c',
     'facts_compare (checkpoint.facts.deciding, run->facts.deciding,',
     'facts_compare (checkpoint.facts.deciding, checkpoint.facts.deciding,',
     'resume regimen'),
    ('resume-other-classes', 'train/facts.c', '  add (deciding, "classes", "%s", classes);\n', '',
     'resume regimen'),
    ('resume-other-network', 'train/facts.c',
     '''  if (!add_network (deciding, recipe->network, error))
    return FALSE;
''', '', 'resume regimen'),
    ('resume-other-pictures', 'train/facts.c',
     '  add_pictures (deciding, "training", source->data);\n', '', 'resume regimen'),
    ('folds-uneven', 'train/folds.c', 'folds[drawn] = (first + i) % n_folds;',
     'folds[drawn] = i % n_folds;', 'folds'),
    ('folds-deviation', 'train/folds.c', 'sqrt (squares / (n - 1))', 'sqrt (squares / n)', 'folds'),
    ('report-markup', 'train/report.c', 'return g_markup_escape_text (valid, -1);',
     'return g_strdup (valid);', 'report'),
    ('list-quotes', 'train/picture-list.c',
     "if (*field == '\"')\n      g_string_append_c (csv, '\"');",
     ';', 'pseudo-label replay-list'),
    ('adam-correction', 'nn/optimizer.c', ' / (1 - pow (optimizer->beta_1, t));', ';',
     'layers train'),
    ('batch-norm-epsilon', 'nn/cpu/infer.c', '(double) var[i] + bn->config.batch_norm.epsilon',
     '(double) var[i]', 'layers model'),
    ('labels-byte-order-mark', 'nn/labels.c', '    text += 3;\n', '    text += 0;\n', 'labels'),
    ('labels-comments', 'nn/labels.c', "label[0] == '\\0' || label[0] == '#'",
     "label[0] == '\\0'", 'labels'),
    ('views-number', 'nn/tta.c', 'result.method == NN_TTA_RANDOM && result.flip', 'FALSE', 'tta'),
    ('setting-name', 'train/recipe.c', 'if (!group || !is_name (group) || !is_name (key)) {',
     'if (!group) {', 'replay-recipe'),
    ('curve-numbers', 'train/curve.c', "if (*field && *end != '\\0')", 'if (FALSE)',
     'report replay-log'),
]


def read(path):
    with open(path, encoding='utf-8', newline='') as file:
        return file.read()


def write(path, text):
    with open(path, 'w', encoding='utf-8', newline='') as file:
        file.write(text)


def complaints(root):
    """What is wrong with the list."""
    known = ''.join(read(os.path.join(root, 'tests', *part)) for part in
                    (('meson.build',), ('fuzz', 'meson.build')))
    names = [mutant[0] for mutant in MUTANTS]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield '%s: twice' % name
    for name, path, old, new, tests in MUTANTS:
        full = os.path.join(root, path)
        n = read(full).count(old) if os.path.exists(full) else -1
        if n != 1:
            yield '%s: %s %s' % (name, path, 'is not there' if n < 0 else
                                 'has the text %d times' % n)
        if old == new:
            yield '%s: changes nothing' % name
        for test in tests.split():
            if "'%s'" % re.sub('^replay-', '', test) not in known:
                yield '%s: there is no test %s' % (name, test)


def check(root):
    found = list(complaints(root))
    print('1..2')
    print('%sok 1 - %d mutants can be planted' % ('not ' if found else '', len(MUTANTS)))
    for line in found:
        print('# ' + line)
    # the check itself, on a list that is wrong
    MUTANTS.append(('planted', 'gst/plugin.c', 'no such text', 'x', 'element'))
    MUTANTS.append(('planted', 'gst/plugin.c', 'GST_PLUGIN_DEFINE', 'x', 'no-such-test'))
    caught = len(list(complaints(root))) - len(found) == 3
    del MUTANTS[-2:]
    print('%sok 2 - planted faults are caught' % ('' if caught else 'not '))
    return 1 if found or not caught else 0


def run(words, folder, limit=None):
    """(exit status or None after @limit seconds, what was said)"""
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=limit,
                              check=False)
    except subprocess.TimeoutExpired:
        return None, 'did not end'
    return done.returncode, done.stdout + done.stderr


def prepare(root, folder):
    """A copy of the tree that is built; what went wrong, or None."""
    build = os.path.join(folder, 'build')
    if not os.path.exists(folder):
        status, said = run(['git', 'worktree', 'add', '--detach', folder], root)
        if status:
            return said
    status, said = run(['git', 'status', '--porcelain', '--untracked-files=no'], folder)
    if status or said:
        return '%s: not a clean copy:\n%s' % (folder, said)
    if not os.path.exists(build):
        options = os.environ.get('MESON_OPTIONS', '-Dcuda=disabled').split()
        status, said = run(['meson', 'setup', build] + options, folder)
        if status:
            return said
    status, said = run(['ninja', '-C', build], folder)
    return said[-3000:] if status else None


def try_mutant(folder, mutant):
    """'killed', 'survived', or what went wrong"""
    _, path, old, new, tests = mutant
    full, build = os.path.join(folder, path), os.path.join(folder, 'build')
    whole = read(full)
    write(full, whole.replace(old, new))
    try:
        status, said = run(['ninja', '-C', build], folder)
        if status:
            return 'does not build: ' + said[-1500:]
        known = run(['meson', 'test', '-C', build, '--no-rebuild', '--list'], folder)[1]
        names = [test for test in tests.split() if re.search('/ %s$' % test, known, re.M)]
        if not names:
            return 'none of its tests is built'
        status, said = run(['meson', 'test', '-C', build, '--no-rebuild'] + names, folder, 1800)
        if status is None:
            return 'killed (a test does not end)'
        failed = re.findall(r'/ (\S+) +(?:FAIL|ERROR|TIMEOUT)', said)
        return 'killed by ' + ', '.join(failed) if status else 'survived'
    finally:
        write(full, whole)


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    words = sys.argv[1:]
    if words[:1] in (['--check'], ['--list']):
        root = words[1] if len(words) > 1 else here
        if words[0] == '--check':
            return check(root)
        for name, path, _, _, tests in MUTANTS:
            print('%-26s %-32s %s' % (name, path, tests))
        return 0
    if not words or words[0].startswith('-'):
        print(__doc__)
        return 2
    folder, wanted = os.path.abspath(words[0]), words[1:]
    known = {mutant[0] for mutant in MUTANTS} | {mutant[1] for mutant in MUTANTS}
    if set(wanted) - known:
        print('there is no mutant ' + ', '.join(sorted(set(wanted) - known)))
        return 2
    fault = prepare(here, folder)
    if not fault and list(complaints(folder)):
        fault = '\n'.join(complaints(folder))
    if fault:
        print(fault)
        return 2
    counts = {'killed': 0, 'survived': 0, 'other': 0}
    for mutant in MUTANTS:
        if wanted and not {mutant[0], mutant[1]} & set(wanted):
            continue
        result = try_mutant(folder, mutant)
        word = result.split()[0]
        counts[word if word in counts else 'other'] += 1
        print('%-26s %s' % (mutant[0], result), flush=True)
    run(['ninja', '-C', os.path.join(folder, 'build')], folder)
    print('%(killed)d killed, %(survived)d survived, %(other)d could not be tried' % counts)
    return 2 if counts['other'] else 1 if counts['survived'] else 0


sys.exit(main())
