"""The style of the code, as figures that may only fall, and the checkers that say where it is broken. `make check` runs it."""
import subprocess, sys

import pytest

from tests.style import (ROOT, assigned_names, figures, is_function_word, nested_comprehensions, nested_ternaries, public_names,
                         python_files, without_strings)

ROOMS = ('course_utils', 'data_scripts')

# What the code must not exceed. Before the house was built anew (commit 9626fdf): 13.9 tokens, 51, 2.8 %, 0.6, 18, 7.5 %.
CEILINGS = dict(
    mean_tokens=10.5,
    tokens_99th_percentile=33,
    over_120_outside_strings_percent=2.0,
    nested_comprehensions_per_100=.1,
    nested_ternaries=0,
    function_words_percent=.6,
)


@pytest.fixture(scope='module')
def measured(): return figures(python_files(ROOMS))


@pytest.mark.parametrize('figure', CEILINGS)
def test_no_figure_rises(figure, measured): assert measured[figure] <= CEILINGS[figure]


def test_no_public_name_means_two_things():
    twice = {name: places for name, places in public_names(python_files(ROOMS)).items() if len(places) > 1}
    assert not {name: sorted(places) for name, places in twice.items() if name not in ALLOWED_TWICE}


# Every command's module has them: who knows one knows all.
ALLOWED_TWICE = {'main', 'ROOT'}


def test_the_linter_finds_nothing():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '.'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_fastais_checker_finds_nothing():
    done = subprocess.run([sys.executable, '-c', 'from chkstyle.core import cli; cli()', *ROOMS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- the measures measure ----

def parsed(code):
    import ast
    return ast.parse(code)


def test_a_function_word_is_found():
    assert is_function_word('those')
    assert is_function_word('_with_which')
    assert not is_function_word('labels')
    assert not is_function_word('of_target')


def test_names_are_found_wherever_they_are_assigned():
    names = assigned_names(parsed('def f(those):\n  for each, (there, x) in y: self.own = [here for here in x]'))
    assert sorted(names) == ['each', 'f', 'here', 'own', 'there', 'those', 'x']


def test_a_nested_comprehension_is_found():
    assert nested_comprehensions(parsed('[[y for y in x] for x in z]')) == 1
    assert nested_comprehensions(parsed('[x for x in z]\n[y for y in z]')) == 0


def test_a_nested_ternary_is_found():
    assert nested_ternaries(parsed('a if b else c if d else e')) == 1
    assert nested_ternaries(parsed('a if b else c')) == 0


def test_a_sentence_does_not_make_a_line_long():
    line = f"raise ValueError('{'word ' * 40}')"
    assert len(without_strings(line)[0]) < 40


def test_two_statements_count_more_tokens_than_one(tmp_path, monkeypatch):
    monkeypatch.setattr('tests.style.ROOT', tmp_path)
    dense, plain = tmp_path/'dense.py', tmp_path/'plain.py'
    dense.write_text('a, b = f(x), [g(y) for y in z]\n')
    plain.write_text('a = f(x)\nb = [g(y) for y in z]\n')
    assert figures([dense])['mean_tokens'] > figures([plain])['mean_tokens']
