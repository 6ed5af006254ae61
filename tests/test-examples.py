#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example pipelines of the elements' documentation and of the README, run as they are
written, as TAP: with a film made here under the name that they use, the shipped model under
its, a test picture for the camera and no window.

    test-examples.py SOURCE_ROOT
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


def main():
    source = sys.argv[1]
    examples = []
    for path in sorted(glob.glob(os.path.join(source, 'gst', 'gst*.c'))):
        examples += [(os.path.basename(path), line) for line in of_documentation(path)]
    examples += [('README.md', line) for line in of_readme(os.path.join(source, 'README.md'))]
    if not has('x264enc') or not has('avdec_h264') or not has('mp4mux'):
        print('1..0 # SKIP there is no x264enc, avdec_h264 or mp4mux')
        return 0
    n_failed = 0
    model = os.path.join(source, 'pipelines', 'models', 'cats-dogs.h5')
    print(f'1..{len(examples) + 1}')
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
    return 0 if enough and n_failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
