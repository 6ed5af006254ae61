#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example pipelines of the elements' documentation and of all README files, run as they
are written, as TAP: with a film made here under the name that they use, the shipped model under
its, a test picture for the camera and no window. Then the commands of the README files, on a
few pictures made here and with one epoch, and the README's lines of Python.

    test-examples.py SOURCE_ROOT BUILD_ROOT
"""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

FRAMES = 30


def of_documentation(path):
    """The launch lines of |[ ]| in the comments of a source file."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for block in re.findall(r'\|\[\n(.*?)\]\|', text, re.S):
        line = re.sub(r'^ \* ?', '', block, flags=re.M).replace('\\\n', ' ').strip()
        if line.startswith('gst-launch-1.0'):
            yield line


def of_readme(path):
    with open(path, encoding='utf-8') as file:
        text = file.read().replace('\\\n', ' ')
    for line in text.splitlines():
        if line.startswith('    gst-launch-1.0'):
            yield line.strip()


def commands_of_readme(path):
    with open(path, encoding='utf-8') as file:
        text = file.read().replace('\\\n', ' ')
    for line in text.splitlines():
        if re.match(r' {4}(build/train/)?classify ', line):
            yield line.split('#')[0].strip()


def without_hardware(line):
    camera = (f'videotestsrc num-buffers={FRAMES} ! '
              'video/x-raw,format=YUY2,width=640,height=480,framerate=30/1')
    line = re.sub(r'\bv4l2src\b( device=\S+)?', camera, line)
    return line.replace('autovideosink', 'fakevideosink sync=false')


def elements(line):
    words = shlex.split(line)
    return {words[i + 1] for i, word in enumerate(words) if word == '!'
            and re.fullmatch(r'[a-z][a-z0-9]*', words[i + 1])}


def has(element):
    return subprocess.run(
        ['gst-inspect-1.0', '--exists', '--atleast-version=0.0', element]).returncode == 0


def subtitles(path):
    """All subtitles of a film in one."""
    text = path + '.txt'
    subprocess.run(
        ['timeout', '60', 'gst-launch-1.0', '-q', 'filesrc', f'location={path}', '!',
         'matroskademux', 'name=d', 'd.subtitle_0', '!', 'filesink', f'location={text}',
         'async=false', 'd.video_0', '!', 'fakesink', 'async=false', 'sync=false'])
    with open(text, encoding='utf-8') as file:
        return file.read()


def written(line, folder):
    """What is wrong with the files that it should have written, or None."""
    for path in re.findall(r'filesink location=(\S+)', line):
        full = os.path.join(folder, path)
        if not os.path.isfile(full) or os.path.getsize(full) == 0:
            return f'{path} was not written'
        if path.endswith('.jsonl'):
            with open(full, encoding='utf-8') as file:
                labels = [json.loads(text)['label'] for text in file]
            if len(labels) != FRAMES:
                return f'{path} has {len(labels)} lines for {FRAMES} frames'
        if path.endswith('.mkv') and not re.search('cat|dog', subtitles(full)):
            return f'{path} has no subtitles'
    return None


def run(line, folder):
    """What went wrong, or None."""
    try:
        done = subprocess.run(['timeout', '60'] + shlex.split(without_hardware(line)),
                              cwd=folder, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    told = done.stdout + done.stderr
    if done.returncode != 0:
        return f'exit status {done.returncode}: {told[-600:]}'
    for bad in ('WARNING', 'CRITICAL', 'ERROR'):
        if bad in told:
            return told[max(told.index(bad) - 100, 0):][:600]
    if ' -m ' in line and 'videoclassify, label=(string)' not in told:
        return 'no message tells a label'
    return written(line, folder)


def make_pictures(folder):
    """What the commands name: DIR, PHOTOS, some.jpg, more/, PICTURE..., a log and a model."""
    for part in ('DIR/train', 'DIR/validate', 'DIR/unlabelled', 'more'):
        os.makedirs(os.path.join(folder, part))
        for name, pattern in (('cat', 'smpte'), ('dog', 'ball')):
            subprocess.run(
                ['gst-launch-1.0', '-q', 'videotestsrc', f'pattern={pattern}', 'num-buffers=6',
                 '!', 'video/x-raw,width=64,height=64', '!', 'jpegenc', '!', 'multifilesink',
                 f'location={folder}/{part}/{name}.%d.jpg'], check=True)
    shutil.copy(os.path.join(folder, 'more', 'cat.0.jpg'), os.path.join(folder, 'some.jpg'))
    for name in ('cat', 'dog'):
        os.makedirs(os.path.join(folder, 'PHOTOS', name))
        for i in range(6):
            shutil.copy(os.path.join(folder, 'more', f'{name}.{i}.jpg'),
                        os.path.join(folder, 'PHOTOS', name))


def run_commands(lines, source, classify, folder):
    """(line, what went wrong or None) of each"""
    make_pictures(folder)
    for part in ('train', 'pipelines'):
        os.symlink(os.path.join(source, part), os.path.join(folder, part))
    shutil.copy(os.path.join(source, 'docs', 'dogs-vs-cats.csv'), os.path.join(folder, 'log.csv'))
    shutil.copy(os.path.join(source, 'pipelines', 'models', 'cats-dogs.h5'), folder)
    for line in lines:
        words = shlex.split(line.replace('PICTURE...', 'some.jpg more'))[1:]
        if words[0] == 'train':
            words += ['--set', 'schedule.epochs=1', '--set', 'schedule.learning_rate=1e-4']
            if os.path.exists(os.path.join(folder, 'cats-dogs.h5')):
                os.remove(os.path.join(folder, 'cats-dogs.h5'))
        done = subprocess.run([classify] + words, cwd=folder, capture_output=True, text=True)
        told = done.stdout + done.stderr
        outputs = re.findall(r'(?:-o|--output|--sheet) (\S+)', line)
        missing = [o for o in outputs if not os.path.isfile(os.path.join(folder, o))]
        if done.returncode != 0:
            yield line, f'exit status {done.returncode}: {told[-600:]}'
        elif missing:
            yield line, f'{missing[0]} was not written'
        else:
            yield line, None


PYTHON = '''
import sys
import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstClassify', '1.0')
from gi.repository import Gst, GstClassify
Gst.init(None)
pipeline = Gst.parse_launch('videotestsrc num-buffers=1 ! videoclassify model="%s" ! '
                            'appsink name=s')
pipeline.set_state(Gst.State.PLAYING)
sample = pipeline.get_by_name('s').emit('pull-sample')
assert sample
said = []
print = lambda *values: said.append(values)
%s
assert said and said[0][0] in ('cat', 'dog') and 0 < said[0][1] <= 1, said
pipeline.set_state(Gst.State.NULL)
'''


def run_python(path, model, build):
    """What went wrong with the README's lines of Python; '' where they cannot be tried."""
    with open(path, encoding='utf-8') as file:
        block = re.search(r'```python\n(.*?)```', file.read(), re.S)
    if not block:
        return 'there are no lines of Python'
    if not os.path.exists(os.path.join(build, 'GstClassify-1.0.typelib')) or subprocess.run(
            ['/usr/bin/python3', '-c', 'import gi'], capture_output=True).returncode != 0:
        return ''
    done = subprocess.run(['/usr/bin/python3', '-c', PYTHON % (model, block.group(1))],
                          env=dict(os.environ, GI_TYPELIB_PATH=build, LD_LIBRARY_PATH=build),
                          capture_output=True, text=True)
    return done.stderr if done.returncode else None


def main():
    source, build = (os.path.abspath(path) for path in sys.argv[1:3])
    documents = [os.path.join(source, 'README.md')] + sorted(
        glob.glob(os.path.join(source, '*', 'README.md'))
        + glob.glob(os.path.join(source, '*', '*', 'README.md'))
        + glob.glob(os.path.join(source, 'docs', '*.md')))
    documents = [d for d in documents if os.sep + 'build' not in d[len(source):]]
    examples = []
    for path in sorted(glob.glob(os.path.join(source, 'gst', 'gst*.c'))):
        examples += [(os.path.basename(path), line) for line in of_documentation(path)]
    for path in documents:
        examples += [(os.path.relpath(path, source), line) for line in of_readme(path)]
    commands = [line for path in documents for line in commands_of_readme(path)]
    if not has('x264enc') or not has('avdec_h264') or not has('mp4mux'):
        print('1..0 # SKIP there is no x264enc, avdec_h264 or mp4mux')
        return 0
    n_failed = 0
    model = os.path.join(source, 'pipelines', 'models', 'cats-dogs.h5')
    print(f'1..{len(examples) + len(commands) + 4}')
    enough = len(examples) >= 8 and {name for name, _ in examples} >= {
        'gstvideoclassify.c', 'gstclassifyoverlay.c', 'README.md'}
    print('ok' if enough else 'not ok', '1 there are examples')
    for i, (name, line) in enumerate(examples, 2):
        title = f'{i} {name}: {" ".join(line.split())[:110]}'
        missing = [e for e in elements(line) if e not in ('v4l2src', 'autovideosink')
                   and not has(e)]
        if missing:
            print('ok', title, '# SKIP there is no', ' '.join(missing))
            continue
        folder = tempfile.mkdtemp(prefix='classify-test-')
        os.makedirs(os.path.join(folder, 'pipelines', 'models'))
        os.symlink(model, os.path.join(folder, 'cats-dogs.h5'))
        os.symlink(model, os.path.join(folder, 'pipelines', 'models', 'cats-dogs.h5'))
        subprocess.run(
            ['gst-launch-1.0', '-q', 'videotestsrc', f'num-buffers={FRAMES}', '!',
             'video/x-raw,format=I420,width=320,height=240', '!', 'x264enc', 'tune=zerolatency',
             '!', 'mp4mux', '!', 'filesink', f'location={folder}/cats.mp4'], check=True)
        fault = run(line, folder)
        shutil.rmtree(folder)
        print('ok' if not fault else 'not ok', title)
        if fault:
            n_failed += 1
            print('\n'.join('# ' + text for text in fault.splitlines()))
    folder = tempfile.mkdtemp(prefix='classify-test-')
    classify = os.path.join(build, 'train', 'classify')
    n = len(examples) + 1
    # and two that are wrong
    planted = ['classify predict cats-dogs.h5 no-such.jpg', 'classify summary --no-such']
    for line, fault in run_commands(commands + planted, source, classify, folder):
        n += 1
        good = bool(fault) if line in planted else not fault
        print('ok' if good else 'not ok', n, line)
        if not good:
            n_failed += 1
            print('\n'.join('# ' + text for text in (fault or 'went well').splitlines()))
    shutil.rmtree(folder)
    fault = run_python(os.path.join(source, 'README.md'), model, build)
    if fault:
        n_failed += 1
        print('\n'.join('# ' + text for text in fault.splitlines()))
    print('not ok' if fault else 'ok', n + 1, 'lines of Python',
          '# SKIP there is no typelib or python3-gi' if fault == '' else '')
    return 0 if enough and len(commands) >= 10 and n_failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
