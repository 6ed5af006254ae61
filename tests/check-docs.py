#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the documentation says against what the programs say, row by row.

    check-docs.py ROOT CLASSIFY [SHARED_LIBRARY_OF_THE_PLUGIN]     prints TAP

The table of properties against gst-inspect-1.0, the table of recipe keys against the trainer,
options against --help, views against --tta, messages against the texts in the sources, files
against the tree. Each check is tried on a line that is wrong, too.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

DOCUMENTS = ['README.md', 'docs/*.md', 'train/recipes/README.md', 'pipelines/models/README.md',
             'tests/fuzz/README.md']


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def rows_of(text, first):
    """Cells of the table whose head begins with the column @first."""
    rows, inside = [], False
    for line in text.splitlines():
        if re.match(r'\| *%s *\|' % re.escape(first), line):
            inside = True
        elif inside and not line.startswith('|'):
            inside = False
        elif inside and not re.match(r'\|[-| ]+\|$', line):
            rows.append([cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]])
    return rows


def code(cell):
    return re.findall(r'`([^`]+)`', cell)


# --- properties ----------------------------------------------------------------------------

def properties_of(text):
    """{name: default as text, None where there is none} of what gst-inspect-1.0 printed"""
    found, name = {}, None
    text = text.split('Element Properties:')[-1].split('Element Signals:')[0]
    for line in text.splitlines():
        begin = re.match(r'  ([a-z0-9-]+) +: ', line)
        if begin:
            name = begin.group(1)
            found[name] = None
        default = re.search(r'Default: +(.*?) *$', line)
        if name and default and found[name] is None and ' : ' not in line[:30]:
            enum = re.match(r'-?\d+, "(.*)"', default.group(1))
            found[name] = enum.group(1) if enum else default.group(1).strip('"')
    return found


INHERITED = {'name', 'parent', 'qos'}
NOTHING = ('null', '', 'none', '(NULL)')
UNITS = {'ms': 1e6, 's': 1e9, 'GB': 2 ** 30, 'MB': 2 ** 20}


def means(said, is_default):
    """Whether a default in words is what the property has."""
    said = said.strip().strip('`')
    if is_default is None or said == '':
        return is_default in (None,) + NOTHING
    number = re.match(r'(-?[\d.]+)(?: (ms|s|GB|MB))?(?: *=.*)?$', said)
    if number:
        return float(number.group(1)) * UNITS.get(number.group(2), 1) == float(is_default)
    if said.startswith('no '):
        return float(is_default) == 0
    return said == is_default or is_default in NOTHING


def check_properties(rows, properties):
    """What is wrong with the README's table."""
    named = {}
    for row in rows:
        names, defaults = code(row[0]), row[1]
        listed = [d.strip() for d in defaults.split(',')]
        if len(listed) == 1 and len(names) > 1:
            listed = listed + [None] * (len(names) - 1)
        for name, default in zip(names, listed):
            named[name] = default
        for more in code(' '.join(row[2:])):
            if more in properties:
                named.setdefault(more, None)
    for name, default in named.items():
        if name not in properties:
            yield '%s: there is no such property' % name
        elif default is not None and not means(default, properties[name]):
            yield '%s: the default is "%s", not "%s"' % (name, properties[name], default)
    for name in sorted(set(properties) - set(named) - INHERITED):
        if not is_counter(name):
            yield '%s: is not in the table' % name


def is_counter(name):
    """Those that stats= has together, and results."""
    return name in ('classified', 'frames', 'inference-time', 'skipped', 'label', 'probability',
                    'skipped-late', 'dropped', 'late')


# --- recipe keys ---------------------------------------------------------------------------

def keys_of(rows):
    """(group, key, row) of the table"""
    group = None
    for row in rows:
        head = re.match(r'\*\*\[([a-z_]+)\]\*\*', row[0])
        if head:
            group = head.group(1)
        else:
            for key in code(row[0]):
                yield group, key, row


class Trainer:
    """What the command says of a recipe with one key set."""

    def __init__(self, root, classify):
        self.root, self.classify = root, classify

    def says(self, group, key, value):
        recipe = os.path.join(self.root, 'train', 'recipes', 'demo.ini')
        return run(self.classify, 'train', recipe, '--data', '/nonexistent', '-o',
                   '/nonexistent/x.h5', '--device', 'cpu', '--set',
                   '%s.%s=%s' % (group, key, value))


def check_keys(rows, trainer, source):
    """What is wrong with the table of keys."""
    known = set()
    for group, key, row in keys_of(rows):
        known.add(key)
        said = trainer.says(group, key, '?!')
        if 'there is no' in said:
            yield '[%s] %s: %s' % (group, key, said.strip())
            continue
        allowed = re.search(r'expected one of (.*)', said)
        if allowed and set(allowed.group(1).split(', ')) != set(code(row[2])):
            yield '[%s] %s: the trainer knows %s, the table %s' % (
                group, key, allowed.group(1), row[2])
        ends = re.search(r'number from (\S+) to (\S+)', said)
        told = re.match(r'([\d.]+)\.\.([\d.]+)$', row[2])
        if ends and told and any(abs(float(a) - float(b)) > 0.01
                                 for a, b in zip(ends.groups(), told.groups())):
            yield '[%s] %s: the trainer takes %s to %s, the table says %s' % (
                group, key, *ends.groups(), row[2])
    for key in sorted(set(re.findall(
            r'\b(?:get_[a-z]+|has) \(r, (?:group|"[a-z_]+"), "([a-z_0-9]+)"', source)) - known):
        yield '%s: is not in the table' % key


# --- options -------------------------------------------------------------------------------

def options_of(help_text):
    return set(re.findall(r'(?<![\w-])(--[a-z][a-z-]*)', help_text))


def commands_of(help_text):
    part = help_text.split('Commands:')[1].split('\n\n')[0]
    return re.findall(r'^  ([a-z-]+) ', part, re.M)


def plain(man):
    """The text of a man page."""
    text = re.sub(r'^\.[A-Z]+ ?', '', man.replace('\\-', '-'), flags=re.M)
    return re.sub(r'\\f[A-Z]|"', '', text)


def check_man(man, helps):
    """What is wrong with the man page. @helps: {command: options}"""
    text = plain(man)
    mentioned = options_of(text)
    everything = set().union(*helps.values()) | {'--help'}
    for option in sorted(mentioned - everything):
        yield '%s: no command has it' % option
    for command, options in helps.items():
        for option in sorted(options - mentioned):
            yield 'classify %s %s: is not in the man page' % (command, option)
    for command in re.findall(r'^classify ([a-z]+[a-z-]*)', text, re.M):
        if command not in helps:
            yield 'classify %s: there is no such command' % command


def command_lines(text):
    """Commands of this project in the indented lines of a document, as (command, options)."""
    for line in text.replace('\\\n', ' ').splitlines():
        found = re.match(r' {4}(?:build/train/)?classify ([a-z-]+)(.*)', line)
        if found:
            yield found.group(1), found.group(2).split('#')[0]


def check_commands(text, helps):
    for command, rest in command_lines(text):
        if command not in helps:
            yield 'classify %s: there is no such command' % command
            continue
        for option in sorted(options_of(rest) - helps[command]):
            yield 'classify %s has no option %s' % (command, option)
    # in the prose: `classify train --list`, `predict --sheet`
    for span in code(text.replace('\n', ' ')):
        found = re.match(r'(?:classify )?([a-z-]+) ?(.*)', span)
        if found and found.group(1) in helps:
            for option in sorted(options_of(found.group(2)) - helps[found.group(1)]):
                yield '`%s`: there is no option %s' % (span, option)


# --- files ---------------------------------------------------------------------------------

ROOMS = ('nn', 'cuda', 'gst', 'train', 'tests', 'pipelines', 'docs')


def files_of(text):
    """Paths that a document names: links, and words that begin with a room of the tree."""
    for target in re.findall(r'\]\(([^)#]+)', text):
        if '://' not in target:
            yield target, True
    for word in re.findall(r'(?<![\w/.-])(?:\./)?((?:%s)/[\w./*-]*[\w*/])' % '|'.join(ROOMS), text):
        yield word, False


def prose(text):
    """Without the tables of messages, which have files of their own."""
    return text if '| input | message |' not in text else '\n'.join(
        line for line in text.splitlines() if not line.startswith('|'))


def check_files(text, root, folder):
    for path, is_link in files_of(text):
        places = [os.path.join(root, folder, path)] + ([] if is_link
                                                       else [os.path.join(root, path)])
        if not any(glob.glob(place) for place in places):
            yield '%s: there is no such file' % path


# --- messages ------------------------------------------------------------------------------

def literals_of(root):
    """Texts that programs can say, as lists of what stands between the values in them."""
    found = []
    for room in ('nn', 'cuda', 'gst', 'train', 'pipelines'):
        for folder, _, names in os.walk(os.path.join(root, room)):
            for name in names:
                if name.endswith(('.c', '.h', '.sh')):
                    found += strings_of(read(os.path.join(folder, name)))
    return [parts_of(text) for text in set(found) if len(''.join(parts_of(text))) >= 12]


def strings_of(source):
    """String constants, those that stand one behind the other as one."""
    source = re.sub(r'%"\s+(?:PRI\w+|G_G\w+_FORMAT)\s*"', '%s', source)
    source = re.sub(r'"\s+[A-Z][A-Z_]+\s*"', '%s', source)
    source = re.sub(r'(?<!\\)"\s*\n\s*"', '', source)
    for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', source):
        yield text.replace('\\"', '"').replace('\\\\', '\\').replace('\\n', '')


def parts_of(text):
    text += 's' if text.endswith('%') else ''
    return re.split(r'%[-+ 0#]*[\d.*]*[hlzj]*[a-zA-Z]', text)


def has_parts(text, parts):
    """Whether they are in @text, one behind the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


# cells that tell what happens instead of quoting
PROSE = ('a message that', 'caps refused', 'the old checkpoint is', 'an empty tile', 'usage, or')


def check_messages(rows, texts):
    """Rows of which no text of a program is a part."""
    for row in rows:
        known = texts
        if row[-1].startswith('... '):  # the end of one
            known = [p[i:] for p in texts for i in range(len(p)) if len(''.join(p[i:])) >= 12]
        if not row[-1].startswith(PROSE) and not any(has_parts(row[-1], p) for p in known):
            yield row[-1]


# --- views ---------------------------------------------------------------------------------

def check_views(words, classify, root):
    model = os.path.join(root, 'pipelines', 'models', 'cats-dogs.h5')
    with tempfile.TemporaryDirectory() as folder:
        for word in words:
            word = word.replace('SEED', '7').lstrip('+')
            said = run(classify, 'predict', model, folder, '--device', 'cpu', '--tta', word)
            if word not in said and 'test-time augmentation' not in said:
                continue
            yield '%s: %s' % (word, said.strip())


# --- all of it -----------------------------------------------------------------------------

def main():
    root, classify = (os.path.abspath(path) for path in sys.argv[1:3])
    readme = read(os.path.join(root, 'README.md'))
    documents = {os.path.relpath(path, root): read(path)
                 for name in DOCUMENTS for path in sorted(glob.glob(os.path.join(root, name)))}
    errors = documents['docs/errors.md']
    recipes = rows_of(documents['train/recipes/README.md'], 'key')
    trainer = Trainer(root, classify)
    helps = {command: options_of(run(classify, command, '--help'))
             for command in commands_of(run(classify, '--help'))}
    inspected = properties_of(run('gst-inspect-1.0', 'videoclassify'))
    man = read(os.path.join(root, 'train', 'classify.1'))
    source = ''.join(read(path) for path in glob.glob(os.path.join(root, 'train', 'recipe*.c')))
    texts = literals_of(root)
    table = rows_of(readme, 'property')
    messages = rows_of(errors, 'input')
    views = [word for row in rows_of(readme, 'views') for word in code(row[0])]

    checks = [
        ('properties', check_properties(table, inspected)),
        ('recipe keys', check_keys(recipes, trainer, source)),
        ('the man page', check_man(man, helps)),
        ('views', check_views(views, classify, root)),
        ('messages', check_messages(messages, texts)),
    ]
    for name, text in documents.items():
        checks += [('commands in ' + name, check_commands(text, helps)),
                   ('files in ' + name, check_files(prose(text), root, os.path.dirname(name)))]
    group = [['**[data]**', '', '', '']]
    wrong_lines = [
        ('a property that is not there', check_properties(
            table + [['`no-such`', '1', '']], inspected)),
        ('a wrong default', check_properties(table + [['`top-k`', '6', '']], inspected)),
        ('a property that is missing', check_properties(table[1:], inspected)),
        ('a key that is not there', check_keys(
            recipes + group + [['`no_such`', '', '', '']], trainer, '')),
        ('a choice that is not there', check_keys(
            group + [['`layout`', '', '`folders`, `flat`', '']], trainer, '')),
        ('a wrong range', check_keys(
            [['**[training]**', '', '', ''], ['`ema`', '', '0..2', '']], trainer, '')),
        ('a key that is missing', check_keys([], trainer, 'get_uint (r, "data", "limit", 0)')),
        ('an option of the man page', check_man(man + '\n\\-\\-no\\-such', helps)),
        ('an option that the man page lacks', check_man(man.replace('\\-\\-resume', ''), helps)),
        ('an option in an example', check_commands('    classify train r.ini --no-such x', helps)),
        ('an option in the prose', check_commands('with `predict --no-such`', helps)),
        ('a file', check_files('see [it](docs/no-such.md)', root, '')),
        ('a file in the prose', check_files('`tests/no-such.c`', root, '')),
        ('a message', check_messages([['x', 'a.h5: nothing ever says this']], texts)),
        ('a view', check_views(['crops7'], classify, root)),
    ]
    print('1..%d' % (len(checks) + len(wrong_lines) + 1))
    n = wrong = 0
    for title, complaints in checks:
        n += 1
        complaints = list(complaints)
        wrong += bool(complaints)
        print('%sok %d - %s' % ('not ' if complaints else '', n, title))
        for line in complaints:
            print('# ' + line.replace('\n', '\n# '))
    for title, complaints in wrong_lines:
        n += 1
        caught = bool(list(complaints))
        wrong += not caught
        print('%sok %d - is caught: %s' % ('' if caught else 'not ', n, title))
    enough = len(table) > 20 and len(recipes) > 50 and len(messages) > 40 and len(views) > 5 \
        and len(helps) > 8 and len(inspected) > 30
    wrong += not enough
    print('%sok %d - the tables are found' % ('' if enough else 'not ', n + 1))
    return wrong > 0


sys.exit(main())
