"""Every exercise of the course. They are found by themselves: a new one needs no line here."""
import ast, inspect, linecache, os, re, subprocess, sys, textwrap
from dataclasses import replace
from pathlib import Path

import nbformat, numpy as np, pandas as pd, pytest

from course_utils.classroom.checker import check, judge, progress
from course_utils.classroom.exercise import all_exercises
from course_utils.training.run import Run
from data_scripts.site import write_exercises as X

ROOT = Path(__file__).parent.parent
EVERY = all_exercises()


def a_run(valid_loss, hits=400, n=656, first=0):
    "A finished run with these validation losses, right for `hits` of `n` pictures, from the `first` on."
    targets = np.arange(n) % 2
    answers = np.where((np.arange(n) >= first) & (np.arange(n) < first + hits), targets, 1 - targets)
    h = pd.DataFrame(dict(epoch=range(1, len(valid_loss) + 1), train_loss=np.linspace(.7, .1, len(valid_loss)), train_accuracy=.9, valid_loss=valid_loss, valid_accuracy=hits / n, seconds=1.))
    sure = np.where(answers == targets, .9, np.exp(-(valid_loss[-1] * n + hits * np.log(.9)) / max(n - hits, 1)))  # so that their mean loss is the last one
    return Run(h, np.where(np.arange(2) == targets[:, None], sure[:, None], 1 - sure[:, None]), targets, {}, 1., None)


def answer_of(ex, code):
    "What the learner would hand to `check` after running this code."
    space = dict(a_run=a_run, runs={}, train=None)
    exec(ex.setup, space)
    code = re.sub(r'^.*(\btrain\(\w|runs\[).*$', '', code, flags=re.M) if code == ex.solution else code  # `setup` stands in for the training
    exec(code, space)
    return space[ex.answer]


def exercise_findings(ex):
    "What is wrong with an exercise. This is the suite; the mutants below show that it bites."
    out = []
    if judge(ex, answer_of(ex, ex.start)).right: out.append('the start passes')
    for _ in range(4):
        v = judge(ex, answer_of(ex, ex.solution))
        if not v.right:
            out.append(f'the solution does not pass: {v.sentence}')
            break
    if len(ex.wrong) < 2: out.append('fewer than two wrong answers')
    if len(set(ex.wrong.values())) < 2: out.append('the wrong answers are all answered alike')
    for code, words in ex.wrong.items():
        for _ in range(3):
            v = judge(ex, answer_of(ex, code))
            if v.right:
                out.append(f'a wrong answer passes:\n{code}')
                break
            if words not in v.sentence:
                out.append(f'"{words}" is not in the sentence "{v.sentence}" for\n{code}')
                break
            if re.search(r'object at 0x|Traceback', v.sentence): out.append(f'no sentence for people: {v.sentence}')
    if len(ex.hints) != 3 or len(set(ex.hints)) != 3: out.append('not three hints')
    if any(ex.solution in h for h in ex.hints[:1]): out.append('the first hint is the solution')
    return out


@pytest.mark.parametrize('key', EVERY)
def test_exercise(key): assert not exercise_findings(EVERY[key])


@pytest.mark.parametrize('key', EVERY)
def test_a_check_that_always_passes_is_found(key): assert exercise_findings(replace(EVERY[key], check=lambda answer, rng: None))


@pytest.mark.parametrize('key', EVERY)
def test_a_check_that_always_fails_is_found(key): assert exercise_findings(replace(EVERY[key], check=lambda answer, rng: 'no'))


@pytest.mark.parametrize('key', EVERY)
def test_the_start_is_no_try(key, capsys, monkeypatch, tmp_path):
    "Run All over an untouched lesson leaves every exercise open."
    monkeypatch.setenv('COURSE_HOME', str(tmp_path))
    ex, space, cell = EVERY[key], dict(a_run=a_run), f'<cell {key}>'
    linecache.cache[cell] = len(ex.start), None, ex.start.splitlines(True), cell  # as IPython does, so that a function's source is found
    exec(ex.setup, space)
    exec(compile(ex.start, cell, 'exec'), space)
    check(key, space[ex.answer])
    progress()
    assert f'{key} ○ open' in capsys.readouterr().out


def without_each_condition(check):
    "For each `if … : return` of a check, the check without it."
    source = textwrap.dedent(inspect.getsource(check))
    source = source[source.index('def check('):]
    n = sum(isinstance(o, ast.If) for o in ast.walk(ast.parse(source)))
    for k in range(n):
        tree = ast.parse(source)
        at = [o for o in ast.walk(tree) if isinstance(o, ast.If)][k]
        text = ast.unparse(at.test)
        at.test = ast.Constant(False)
        space = dict(check.__globals__)
        exec(compile(ast.fix_missing_locations(tree), 'mutant', 'exec'), space)
        yield text, space[check.__name__]


@pytest.mark.parametrize('key', EVERY)
def test_every_condition_of_a_check_is_needed(key):
    "Some wrong answer shows that it is missing."
    idle = [text for text, mutant in without_each_condition(EVERY[key].check) if not exercise_findings(replace(EVERY[key], check=mutant))]
    assert not idle, f'{key}: no wrong answer needs the condition {idle}'


def test_the_suite_itself_turns_red(tmp_path):
    "Not only the function above: pytest, run on a course whose check of 02-1 always passes."
    probe = tmp_path/'test_probe.py'
    probe.write_text("import pytest, course_utils.classroom.exercise as l\nl.all_exercises()['02-1'].check = lambda answer, rng: None\nfrom tests.test_exercises import *\n")
    r = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', '--rootdir', str(tmp_path), str(probe), '-k', 'test_exercise and 02-1'],
                       capture_output=True, text=True, cwd=ROOT, env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']])))
    assert r.returncode == 1, r.stdout[-2000:] + r.stderr
    assert 'a wrong answer passes' in r.stdout, r.stdout[-2000:] + r.stderr


# ---- the lessons show them ----

LESSONS = sorted({key[:2] for key in EVERY})


def test_every_lesson_has_three():
    few = [l for l in LESSONS if sum(k.startswith(l) for k in EVERY) < 3]
    assert not few
    assert LESSONS == [p.name[:2] for p in sorted((ROOT/'nbs').glob('[0-9][0-9]_*.ipynb'))]


@pytest.mark.parametrize('lesson', LESSONS)
def test_the_lesson_shows_its_exercises(lesson):
    path = X.notebook(lesson)
    assert X.with_exercises(nbformat.read(path, 4), lesson) == nbformat.read(path, 4), f'{path.name} does not show its exercises: run make tidy'


def test_the_guard_finds_a_lesson_out_of_step():
    nb = nbformat.read(X.notebook('02'), 4)
    for spoil in (lambda c: c.update(source=c.source + ' '), lambda c: nb.cells.remove(c)):
        nb = nbformat.read(X.notebook('02'), 4)
        spoil(next(c for c in nb.cells if 'def head_size' in c.source))
        assert X.with_exercises(nb, '02') != nb


# ---- an answer leaves the lesson's own names alone ----

class _Names(ast.NodeVisitor):
    "Collects the names that code gives a value to, outside functions and comprehensions."
    def __init__(self): self.found = set()
    def visit_Name(self, n): self.found |= {n.id} if isinstance(n.ctx, ast.Store) else set()
    def visit_FunctionDef(self, n): self.found.add(n.name)
    def visit_alias(self, n): self.found.add((n.asname or n.name).split('.')[0])
    def inside(self, n): pass
    visit_ClassDef = visit_FunctionDef
    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = inside


def names_given(code):
    v = _Names()
    v.visit(ast.parse(code))
    return v.found


def overwriting_findings(nb):
    "Names of the lesson that an exercise cell assigns or imports anew: the cells above could then no longer be run."
    code = {part: '\n'.join(c.source for c in cells if c.cell_type == 'code') for part, cells in parted(nb.cells).items()}
    return sorted(names_given(code['exercises']) & names_given(code['lesson']))


def parted(cells):
    at = next(i for i, c in enumerate(cells) if c.source.startswith('## Exercises'))
    return dict(lesson=cells[:at], exercises=cells[at:])


@pytest.mark.parametrize('lesson', LESSONS)
def test_an_answer_overwrites_no_name_of_the_lesson(lesson): assert not overwriting_findings(nbformat.read(X.notebook(lesson), 4))


@pytest.mark.parametrize('above, below, found', [
    ('rates = [1]', 'def rates(n): ...', ['rates']), ('def check(x): ...', 'from course_utils.classroom.checker import check', ['check']), ('from m import a as b', 'b = None', ['b']),
    ('for k in range(3): pass', 'k = 1', ['k']), ('a, (b, *c) = 1, (2, 3)', 'c = None', ['c']), ('def f(): rates = 1', 'rates = 1', []), ('[x for x in y]', 'x = 1', []), ('rates = 1', 'my_rates = rates', [])])
def test_the_guard_finds_an_overwritten_name(above, below, found):
    v4 = nbformat.v4
    assert overwriting_findings(v4.new_notebook(cells=[v4.new_code_cell(above), v4.new_markdown_cell('## Exercises'), v4.new_code_cell(below)])) == found
