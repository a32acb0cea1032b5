"Kept runs go by what functions do: one that was edited trains again, the same one is found again, in another session too."
import os, subprocess, sys, textwrap
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import albumentations, numpy as np, pytest, torch
from fastai.callback.core import Callback

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.techniques.augment import pipeline
from course_utils.techniques.imbalance import BalancedLoss, BalancedSampler
from course_utils.training.identity import NoIdentity, identity
from course_utils.training.keep import run_config
from course_utils.training.recipe import Recipe
from course_utils.training.run import held_out_groups
from course_utils.training.train import train

RECIPE = Recipe('resnet10t', 1)


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160)


def defined(source: str, name: str = 'mine', **values):
    "What a cell of a notebook defines, in a module of its own, with other values in it."
    space = dict(__name__='__main__', Callback=Callback, dataclass=dataclass, np=np, torch=torch, albumentations=albumentations, **values)
    exec(compile(textwrap.dedent(source), '<cell>', 'exec'), space)
    return space[name]


# ---- the field's case ----

def test_an_edited_function_trains_again(pics, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.delenv('COURSE_FRESH', raising=False)
    def run_of(source): return train(pics, replace(RECIPE, schedule=defined(source)), keep=True, quiet=True, device='cpu')

    zero = run_of('def mine(done): return 0.')
    mended = run_of('def mine(done): return 1.')
    assert zero.learn is not None
    assert mended.learn is not None
    assert not np.array_equal(zero.probs, mended.probs)
    again = run_of('\n# moved down, with a remark\ndef mine(done): return 1.')
    assert again.learn is None
    assert np.array_equal(again.probs, mended.probs)


def test_trained_and_found_runs_know_the_modules(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    trained, found = (train(pics, RECIPE, keep=True, quiet=True, device='cpu') for _ in range(2))
    assert found.learn is None
    groups = pics.table.group.iloc[pics.valid]
    assert len(set(groups)) > 1
    for run in (trained, found): assert np.array_equal(run.groups, groups)
    bare = replace(pics, table=pics.table.drop(columns='group'))
    assert held_out_groups(bare) is None


# ---- told apart ----

APART = {
    'constant': ('def mine(x): return 0.', 'def mine(x): return 1.'),
    'whole and fraction': ('def mine(x): return 1', 'def mine(x): return 1.'),
    'called function': ('def mine(x): return np.sin(x)', 'def mine(x): return np.cos(x)'),
    'default': ('def mine(x, a=1): return a', 'def mine(x, a=2): return a'),
    'default by name': ('def mine(x, *, a=1): return a', 'def mine(x, *, a=2): return a'),
    'inner function': ('def mine(x):\n    def f(): return 1\n    return f()', 'def mine(x):\n    def f(): return 2\n    return f()'),
    'helper': ('def helper(x): return x\ndef mine(x): return helper(x)', 'def helper(x): return -x\ndef mine(x): return helper(x)'),
    'helper of a helper': ('def g(x): return x\ndef f(x): return g(x)\ndef mine(x): return f(x)', 'def g(x): return -x\ndef f(x): return g(x)\ndef mine(x): return f(x)'),
    'plain value': ('rate = .1\ndef mine(x): return rate', 'rate = .2\ndef mine(x): return rate'),
    'array': ('w = np.ones(3)\ndef mine(x): return w', 'w = np.zeros(3)\ndef mine(x): return w'),
    'tensor': ('w = torch.ones(3)\ndef mine(x): return w', 'w = torch.zeros(3)\ndef mine(x): return w'),
    'closure': ('def make(a): return lambda x: a\nmine = make(1)', 'def make(a): return lambda x: a\nmine = make(2)'),
    'lambdas on one line': ('mine, other = (lambda x: 1), (lambda x: 2)', 'other, mine = (lambda x: 1), (lambda x: 2)'),
    'order of twins': ('f, g = (lambda: 1), (lambda: 2)\nmine = [f, g, f]', 'f, g = (lambda: 1), (lambda: 2)\nmine = [f, g, g]'),
    'callback': ('class mine(Callback):\n    def after_epoch(self): self.n = 1', 'class mine(Callback):\n    def after_epoch(self): self.n = 2'),
    'setting of a callback': ('class mine(Callback): patience = 1', 'class mine(Callback): patience = 2'),
    'class above it': ('class base(Callback):\n    def after_epoch(self): self.n = 1\nclass mine(base): pass', 'class base(Callback):\n    def after_epoch(self): self.n = 2\nclass mine(base): pass'),
    'property': ('class mine(Callback):\n    @property\n    def rate(self): return 1', 'class mine(Callback):\n    @property\n    def rate(self): return 2'),
    'dataclass': ('@dataclass\nclass Ramp:\n    a: int = 1\n    def __call__(self, x): return x\nmine = Ramp()', '@dataclass\nclass Ramp:\n    a: int = 1\n    def __call__(self, x): return -x\nmine = Ramp()'),
    'method': ('@dataclass\nclass Ramp:\n    a: int\n    def at(self, x): return x\nmine = Ramp(1).at', '@dataclass\nclass Ramp:\n    a: int\n    def at(self, x): return x\nmine = Ramp(2).at'),
    'Lambda of albumentations': ('def f(image, **k): return image\nmine = albumentations.Compose([albumentations.Lambda(f)])', 'def f(image, **k): return 255 - image\nmine = albumentations.Compose([albumentations.Lambda(f)])'),
    'operation of one\'s own': ('class Mine(albumentations.ImageOnlyTransform):\n    def apply(self, image, **k): return image\nmine = albumentations.Compose([Mine()])', 'class Mine(albumentations.ImageOnlyTransform):\n    def apply(self, image, **k): return 255 - image\nmine = albumentations.Compose([Mine()])'),
}


@pytest.mark.parametrize('first, second', APART.values(), ids=APART)
def test_what_does_something_else_is_another(first, second):
    assert identity(defined(first)) != identity(defined(second))
    assert identity(defined(first)) == identity(defined(first)), 'defined anew, it is the same'


def test_partials_go_by_their_arguments():
    def ramp(a, x): return a * x
    assert identity(partial(ramp, 1)) == identity(partial(ramp, 1))
    assert identity(partial(ramp, 1)) != identity(partial(ramp, 2))
    assert identity(partial(ramp, a=1)) != identity(partial(ramp, 1))


def test_a_recursive_function_has_an_end():
    assert identity(defined('def mine(n): return n and mine(n - 1)')) != identity(defined('def mine(n): return n and mine(n - 2)'))


def test_a_file_beside_the_notebook_counts(tmp_path, monkeypatch):
    "A module of one's own, which the function reaches by name."
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib
    def with_helper(source):
        (tmp_path/'my_helpers.py').write_text(source)
        sys.modules.pop('my_helpers', None)
        importlib.invalidate_caches()
        return identity(defined('def mine(x): return my_helpers.f(x)', my_helpers=importlib.import_module('my_helpers')))

    assert with_helper('def f(x): return x\n') != with_helper('def f(x): return -x  # longer\n')


def test_the_course_s_own_code_counts(monkeypatch):
    before = identity(BalancedLoss)
    monkeypatch.setattr(BalancedLoss, 'after_train', lambda self: None)
    assert identity(BalancedLoss) != before
    assert identity(BalancedLoss) != identity(BalancedSampler)


def test_installed_functions_go_by_name_and_version():
    assert identity(torch.nn.GELU) == ['torch.nn.modules.activation.GELU', version('torch')]
    assert identity(torch.sigmoid) != identity(torch.relu)
    assert identity(np.sin) != identity(np.cos)


def test_every_setting_of_a_usual_recipe_has_an_identity(pics):
    recipe = replace(RECIPE, augment=pipeline(.3), callbacks=(BalancedLoss, BalancedSampler), model=dict(act_layer=torch.nn.GELU))
    assert run_config(pics, recipe, 'cpu') == run_config(pics, recipe, 'cpu')


# ---- not kept ----

UNTELLABLE = {
    'an object': 'mine = object()',
    'a generator of numbers': 'rng = np.random.default_rng(0)\ndef mine(x): return rng.random()',
    'a network': 'net = torch.nn.Linear(2, 2)\ndef mine(x): return net(x)',
    'a method of a list': 'mine = [].append',
}


@pytest.mark.parametrize('source', UNTELLABLE.values(), ids=UNTELLABLE)
@pytest.mark.fault
def test_what_cannot_be_told_is_not_kept(source, pics):
    with pytest.raises(NoIdentity): identity(defined(source))
    with pytest.raises(CourseError, match='cannot be kept: pass keep=False') as e: run_config(pics, replace(RECIPE, schedule=defined(source)), 'cpu')
    assert ' at 0x' not in str(e.value)


# ---- another session ----

SESSION = '''
import json
from course_utils.training.identity import identity
{classes}
words = {{'b', 'a', 'c', 'd', 'e'}}
def helper(x): return x in {{'left', 'right', 'up', 'down'}} and x in words
def mine(x, a=(1, 2)):
    try: return helper(x)
    except ValueError: return [k for k in a]
class Mine:
    rate = .5
    def after(self): return mine(self.rate)
print(json.dumps([identity(mine), identity(Mine), identity(lambda x: mine(x))]))
'''


def test_another_session_finds_the_same(tmp_path):
    "Another order of sets, other addresses, other line numbers."
    def told(seed, classes=''):
        (tmp_path/'cell.py').write_text(SESSION.format(classes=classes))
        env = dict(os.environ, PYTHONHASHSEED=str(seed))
        return subprocess.run([sys.executable, 'cell.py'], cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    first = told(1)
    assert first == told(2)
    assert first == told(3, 'class Other: pass\n\n')
