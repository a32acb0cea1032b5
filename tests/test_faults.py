"Faults: whatever is killed, full, tampered with or oddly named, it ends in one plain sentence, or in nothing lost."
import hashlib, html, json, os, re, subprocess, sys, threading, time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat, numpy as np, optuna, pandas as pd, pytest, torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from jupyter_client.manager import start_new_kernel
from PIL import Image

from course_utils import config
from course_utils.config import CourseError
from course_utils.data import decode
from course_utils.data.decode import read_picture
from course_utils.data.pictures import load_pictures
from course_utils.report.cards import Card
from course_utils.report.stats import compare
from course_utils.show.draw import grid
from course_utils.show.figures import dots, show
from course_utils.techniques.imbalance import BalancedLoss, BalancedSampler
from course_utils.techniques.lr_finder import lr_find
from course_utils.training.keep import digests
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import Diverged, fit, train
from course_utils.training.untouched import learner_state

from .conftest import pytest_terminal_summary

pytestmark = pytest.mark.fault
ROOT = Path(__file__).resolve().parent.parent
SMALL = Recipe('resnet10t', 1)
train_on_cpu = partial(train, quiet=True, device='cpu')
learner_on_cpu = partial(make_learner, quiet=True, device='cpu')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160)

@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


# ---- killed, two at once, little memory, many pictures: in processes of their own ----
# They are forks of one process, so that torch is imported once.

FORKS = r'''
import json, os, resource, signal, sys, time, traceback
from pathlib import Path
import nbformat, numpy as np
from PIL import Image
from course_utils import config
from course_utils.data import decode
from course_utils.data.pictures import load_pictures
from course_utils.training import keep
from course_utils.training.learner import History
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
from data_scripts.lessons import notebooks as lessons
RECIPE = Recipe('resnet10t', 2)
top, out, start = Path(sys.argv[1]), {}, time.perf_counter()
def took(what): print(f'{what}: {time.perf_counter() - start:.1f} s', file=sys.stderr, flush=True)
pics = load_pictures('solar', size=32, limit=160, cache=False)

def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def child(f):
    if pid := os.fork(): return pid
    try: f(); os._exit(0)
    except BaseException: traceback.print_exc()
    os._exit(1)
def ended(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def use(cache): os.environ['COURSE_CACHE'] = str(top/cache)
def training(): return train(pics, RECIPE, keep=True, quiet=True, device='cpu').probs
def reading(): return np.asarray(load_pictures('solar', size=32, limit=160).x)

def patch(module, name, then):
    "`then` gets what stands there and gives what comes in its place."
    setattr(module, name, then(getattr(module, name)))
half_bytes = lambda real: lambda path, *_, **__: (Path(path).write_bytes(b'half'), die())
half_text = lambda real: lambda path, text, **__: (real(path, text[:len(text) // 2]), die())
after = lambda real: lambda *a: (real(*a), die())
instead = lambda real: die
def second(real):
    def f(self): real(self); len(self.rows) == 1 and die()
    return f
POINTS = {
    'training, after an epoch': (training, History, 'after_epoch', second),
    'training, in the numbers': (training, keep.np, 'savez', half_bytes),
    'training, in the weights': (training, keep.torch, 'save', lambda real: lambda state, path: (Path(path).write_bytes(b'half'), die())),
    'training, before the end': (training, config.os, 'rename', instead),
    'training, kept just now': (training, config.os, 'rename', after),
    'reading, in the pictures': (reading, decode.np, 'save', half_bytes),
    'reading, in the list': (reading, Path, 'write_text', half_text),
    'reading, before the end': (reading, config.os, 'rename', instead),
    'reading, kept just now': (reading, config.os, 'rename', after),
}
def keep_answer(f, cache, name): use(cache); np.save(top/name, f())
for f in (training, reading): ended(child(lambda: keep_answer(f, f'alone {f.__name__}', f'{f.__name__}.npy')))
for name, (f, *where) in POINTS.items():
    use(name)
    killed = ended(child(lambda: (patch(*where), f())))
    kept = len(list((top/name).glob('*/[!.]*')))
    again = ended(child(lambda: keep_answer(f, name, 'again.npy')))
    out[name] = dict(killed=killed, kept=kept, again=again, same=np.array_equal(np.load(top/'again.npy'), np.load(top/f'{f.__name__}.npy')))

took('before two kernels on one cache')
# two kernels on one cache, from nothing
def both(k): use('both'); np.savez(top/f'both{k}.npz', probs=training(), x=reading())
out['both'] = [ended(p) for p in [child(lambda: both(k)) for k in (0, 1)]]
out['both left'] = sorted(p.name[:5] for p in (top/'both').glob('*/.*'))

took('before two writers of')
# two writers of one file, and a reader; `mine`: has each writer a part of its own?
def writers(mine):
    path, bad = top/f'file {mine}.json', 0
    def write():
        if not mine: config.os.getpid = lambda: 1
        for k in range(150): config.write_whole(path, json.dumps([k] * 100_000))
    pids = [child(write) for _ in range(2)]
    codes = {}
    while len(codes) < 2:
        for p in pids:
            if p not in codes and (r := os.waitpid(p, os.WNOHANG))[0]: codes[p] = os.waitstatus_to_exitcode(r[1])
        try: json.loads(path.read_text())
        except FileNotFoundError: pass
        except ValueError: bad += 1
    return bad + sum(map(bool, codes.values()))
sys.stderr.flush(); quiet, err = os.open(os.devnull, os.O_WRONLY), os.dup(2)
out['writers'] = writers(True)
os.dup2(quiet, 2); out['writers with one part'] = writers(False); os.dup2(err, 2)

took('before a notebook half')
# a notebook half saved: as it is, and with a plain write in its place
def saved(naive):
    of, path = lambda n: nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('1 + 1') for _ in range(n)]), top/f'naive {naive}.ipynb'
    lessons.write_notebook(of(3), path)
    before = path.read_text()
    def again():
        if naive: lessons.write_whole = lambda p, text: p.write_text(text)
        patch(Path, 'write_text', half_text)
        lessons.write_notebook(of(9), path)
    return ended(child(again)), path.read_text() == before
out['notebook'], out['notebook, naive'] = saved(False), saved(True)

took('before a cap on')
# a cap on memory
def capped():
    large = load_pictures('solar', size=128, limit=360, cache=False)
    room = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize() + 1000 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    go = lambda bs: train(large, Recipe('resnet10t', 1, bs=bs), quiet=True, device='cpu')
    try: go(256); says = ''
    except config.CourseError as e: says = str(e)
    (top/'capped').write_text(says)
    if 'bs=' in says: (top/'trained').write_text(str(go(int(says.split('bs=')[1].split(',')[0])).accuracy))
if sys.platform == 'linux': out['capped'] = ended(child(capped)), (top/'capped').read_text(), (top/'trained').exists()

took('before ten thousand')
# ten thousand pictures
def many():
    for k in range(10):
        (top/'many'/f'class {k % 2}').mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(one := top/'many'/f'class {k % 2}'/f'{k}.png')
        for i in range(999): os.link(one, one.with_name(f'{k} {i}.png'))
    use('many cache')
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    before, start = peak(), time.perf_counter()
    p = load_pictures(str(top/'many'), size=32)
    (top/'many.json').write_text(json.dumps(dict(n=len(p), valid=len(p.valid), bytes=p.x.nbytes, grew=peak() - before, seconds=time.perf_counter() - start)))
out['many'] = ended(child(many)), json.loads((top/'many.json').read_text())
took('all')
print(json.dumps(out))
'''

@pytest.fixture(scope='module')
def forks(tmp_path_factory):
    if not hasattr(os, 'fork'): pytest.skip('needs fork')
    top = tmp_path_factory.mktemp('forks')
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']]))
    r = subprocess.run([sys.executable, '-c', FORKS, str(top)], env=env, capture_output=True, text=True, timeout=1800)
    assert r.returncode == 0, r.stderr[-3000:]
    print(r.stderr[-6000:])
    return json.loads(r.stdout.splitlines()[-1]), top, r.stderr[-3000:]


@pytest.mark.parametrize('point', re.findall(r"^    '(.+)': \((?:training|reading)", FORKS, re.M))
def test_killed_there_the_same_comes_again(forks, point):
    r = forks[0][point]
    assert r['killed'] == -9, 'it was not killed'
    assert r['kept'] == point.endswith('kept just now'), 'half of it looks whole'
    assert r['again'] == 0, forks[2]
    assert r['same'], forks[2]


def test_two_kernels_on_one_empty_cache(forks):
    out, top, err = forks
    assert out['both'] == [0, 0], err
    a, b = (np.load(top/f'both{k}.npz') for k in (0, 1))
    assert np.array_equal(a['probs'], b['probs'])
    assert np.array_equal(a['x'], b['x'])
    assert np.array_equal(a['probs'], np.load(top/'training.npy'))
    assert not out['both left']
    assert all(len(list((top/'both'/d).iterdir())) == 1 for d in ('runs', 'pictures'))


def test_two_writers_of_one_file(forks):
    assert forks[0]['writers'] == 0, forks[2]
    assert forks[0]['writers with one part'], 'the test would not have seen it'


def test_a_notebook_whose_saving_is_killed_is_the_old_one(forks):
    assert forks[0]['notebook'] == [-9, True]
    assert forks[0]['notebook, naive'] == [-9, False], 'the test would not have seen it'


@pytest.mark.skipif(sys.platform != 'linux', reason='a cap on memory that holds is Linux')
def test_a_cap_on_memory(forks):
    "What the sentence says fits was tried: training with it goes through under the same cap."
    code, says, trained = forks[0]['capped']
    assert code == 0, (says, forks[2])
    assert '256 pictures of 128×128' in says, (says, forks[2])
    assert re.search(r'pass bs=\d+,', says), (says, forks[2])
    assert trained, (says, forks[2])


def test_ten_thousand_pictures(forks):
    code, r = forks[0]['many']
    assert code == 0
    assert (r['n'], r['valid']) == (10_000, 2_500)
    print(f"10,000 pictures: {r['seconds']:.1f} s, {r['grew'] / 1e6:.0f} MB for {r['bytes'] / 1e6:.0f} MB of pixels")
    assert r['grew'] < 4 * r['bytes'] + 50e6, r


# ---- memory that runs out ----

def full_from(n, error):
    "A head that finds no room for more than `n` pictures."
    class Full(torch.nn.Linear):
        def forward(self, x):
            if len(x) > n[0]: raise error
            return super().forward(x)
    return Full

ERRORS = [torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB.'), MemoryError(),
          RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 411041792 bytes."),
          RuntimeError('std::bad_alloc'), RuntimeError('could not create a primitive')]

@pytest.mark.parametrize('error', ERRORS, ids=lambda e: str(e)[:12])
def test_the_batch_that_fits_is_told(pics, error):
    recipe = replace(SMALL, bs=32, head=full_from([10], error))
    with pytest.raises(CourseError) as e: train_on_cpu(pics, recipe)
    message = str(e.value)
    assert 'of 32 pictures of 32×32' in message
    assert 'pass bs=4,' in message
    assert '\n' not in message
    # 8 would do to train, but twice as many are shown at once for validation; and a quarter is kept to spare
    train_on_cpu(pics, replace(recipe, bs=4))


def test_a_thread_that_gets_no_room_ever_after_is_told(pics):
    "oneDNN keeps its first failure for as long as the thread lives: what fits, fits after a restart only."
    class Spoilt(torch.nn.Linear):
        def forward(self, x):
            if threading.current_thread() is threading.main_thread(): raise RuntimeError('could not create a primitive')
            return super().forward(x)
    with pytest.raises(CourseError, match='restart the kernel and pass bs=16,'):
        train_on_cpu(pics, replace(SMALL, bs=32, head=Spoilt))


def test_where_not_even_two_fit_a_smaller_size_is_told(pics):
    recipe = replace(SMALL, bs=32, head=full_from([0], ERRORS[0]))
    with pytest.raises(CourseError, match='nor of 2: .* smaller size'): train_on_cpu(pics, recipe)


def test_trying_what_fits_changes_nothing(pics):
    room = [10]
    learn = learner_on_cpu(pics, replace(SMALL, bs=32, head=full_from(room, ERRORS[0])))
    before = [p.clone() for p in learn.model.parameters()]
    with pytest.raises(CourseError, match='bs=4'): fit(learn, 1)
    assert all(p.grad is None for p in learn.model.parameters())
    assert all(torch.equal(p, old) for p, old in zip(learn.model.parameters(), before))
    counts = {int(b) for name, b in learn.model.named_buffers() if name.endswith('num_batches_tracked')}
    assert counts == {1}, 'the step that failed counts once; trying adds nothing'
    assert learn.xb == (None,)
    state = learner_state(learn)
    with pytest.raises(CourseError, match='bs=4'): lr_find(learn, n=5)
    assert learner_state(learn) == state
    room[0] = 64
    fit(learn, 1)
    assert np.isfinite(learn.history.rows[-1]['valid_loss'])


def test_another_error_stays_what_it_is(pics):
    recipe = replace(SMALL, bs=32, head=full_from([9], RuntimeError('mat1 and mat2')))
    with pytest.raises(RuntimeError, match='^mat1 and mat2$'): train_on_cpu(pics, recipe)


def test_more_pictures_than_memory(monkeypatch):
    def no_room(*_, **__): raise MemoryError
    monkeypatch.setattr(decode, 'np', SimpleNamespace(**vars(np) | {'empty': no_room}))
    with pytest.raises(CourseError, match='2,624 pictures of 1024×1024 pixels need 8,254 MB'): load_pictures('solar', size=1024, cache=False)


# ---- Ctrl-C ----

BEGIN = '''
import numpy as np, optuna, torch
from course_utils.config import cache_dir
from course_utils.data.pictures import load_pictures
import gc
from course_utils.machine.preflight import time_machine
from course_utils.techniques.gradcam import maps_of
from course_utils.techniques.layer_groups import inspect_groups
from dataclasses import replace
from course_utils.techniques.ladder import climb, climbed
from course_utils.techniques.lr_finder import lr_find
from course_utils.training.recipe import Recipe
from course_utils.training.untouched import learner_state
from course_utils.techniques.scaling import costs
from course_utils.techniques.search import open_study, random_sampler, search
from course_utils.training.train import fit, train
from course_utils.training.learner import make_learner
from course_utils.techniques.transfer import fit_head, frozen_features
from course_utils.techniques.tta import symmetric_views, tta
from course_utils.techniques.near_duplicates import near_duplicates
pics = load_pictures('solar', size=32, limit=160)
learn = make_learner(pics, Recipe('resnet10t', 1), quiet=True, device='cpu')
fit(learn, 1)
study = open_study('s', random_sampler)
long, cpu = Recipe('resnet10t', 500), dict(quiet=True, device='cpu')
hooks = lambda: [len(d) for m in learn.model.modules() for k, d in vars(m).items() if 'hooks' in k]
averaged, coarse, kept_features = tta(learn.model, pics)[0], maps_of(learn.model, pics.x[:4]), frozen_features(learn.model, pics, pics.valid)[0]
was, hooked, cbs = learner_state(learn), hooks(), list(learn.cbs)
weights = {k: v.clone() for k, v in learn.model.state_dict().items()}
def untouched():
    same = all(torch.equal(v, weights[k]) for k, v in learn.model.state_dict().items())
    return same and hooks() == hooked and all(p.requires_grad for p in learn.model.parameters()) and torch.is_grad_enabled()
gc.collect()  # Python drops a Ctrl-C that falls into the removal of what is left over
'''
STOPPED = {  # what is stopped, and what must hold in the same kernel afterwards
    'load_pictures': ("load_pictures('solar', size=96)", "assert not list((cache_dir()/'pictures').glob('.*')); load_pictures('solar', size=96, limit=50)"),
    'lr_find': ('lr_find(learn, 1e-9, 1e-8, n=5000)', 'assert learner_state(learn) == was; lr_find(learn, n=5); assert learner_state(learn) == was'),
    # each leaves the model alone, so this comes before what trains it
    'tta': ('tta(learn.model, pics, symmetric_views() * 500)', 'assert untouched() and np.array_equal(tta(learn.model, pics)[0], averaged)'),
    'maps_of': ('maps_of(learn.model, np.repeat(pics.x, 300, 0))', 'assert untouched() and np.allclose(maps_of(learn.model, pics.x[:4]), coarse)'),
    'frozen_features': ('frozen_features(learn.model, pics, np.tile(pics.train, 300))', 'assert untouched() and torch.equal(frozen_features(learn.model, pics, pics.valid)[0], kept_features)'),
    'fit_head': ('fit_head(torch.nn.Linear(8, 2), torch.zeros(64, 8), torch.zeros(64, dtype=torch.long), epochs=10**6)', 'assert torch.is_grad_enabled()'),
    'costs': ('costs(learn.model, 32, n=10**5)', "assert untouched() and costs(learn.model, 32, n=1)['parameters'] > 0"),
    'near_duplicates': ('near_duplicates(np.repeat(pics.x, 60, 0))', 'near_duplicates(pics.x)'),
    'preflight': ("time_machine('smoke', seconds=600)", "assert time_machine('smoke', seconds=0)['train_s'] > 0 and not torch.is_autocast_enabled('cpu')"),
    'fit': ('fit(learn, 500)', "assert hooks() == hooked and list(learn.cbs) == cbs; fit(learn, 1); assert learn.history.rows[-1]['valid_loss'] > 0"),
    'inspect_groups': ('inspect_groups(learn, 1e-4, k=10**4)', 'assert list(learn.cbs) == cbs and len(inspect_groups(learn, 1e-4, k=2)) == 2'),
    'train': ('train(pics, long, keep=True, **cpu)', "assert not list((cache_dir()/'runs').glob('*')); train(pics, replace(long, epochs=1), keep=True, **cpu)"),
    'search': ('search(study, lambda t: train(pics, replace(long, lr_max=t.suggest_float("x", 1e-4, 1e-3)), **cpu).accuracy, 2)',
               "assert [t.state.name for t in study.trials] == ['FAIL', 'WAITING']; assert len(search(study, lambda t: t.suggest_float('x', 1e-4, 1e-3), 2)) == 2"),
    'ladder': ("climb(climbed('baseline').with_recipe(epochs=500), limit=100)", "climb(climbed('baseline').with_recipe(epochs=1), limit=100)"),
}

def answer_to(request, messages, text=''):
    "The first message about this request that holds the text. Others lie in the queue: on a busy machine a kernel is asked several times whether it is there."
    for message in messages:
        is_of_request = message['parent_header'].get('msg_id') == request
        if is_of_request and text in message['content'].get('text', ''): return message['content']


@pytest.fixture(scope='module')
def kernel(tmp_path_factory):
    env = dict(os.environ, COURSE_CACHE=str(tmp_path_factory.mktemp('kernel')), COURSE_PROFILE='smoke', PYTHONPATH=os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']]))
    km, kc = start_new_kernel(env=env)
    def run(code, stop_after_s=None):
        request = kc.execute(f"print('begun', flush=True)\n{code}", stop_on_error=False)  # else what comes right after an error is thrown away
        if stop_after_s:  # counted from where the kernel has begun: on a busy machine it may take its time, and an idle kernel hears no Ctrl-C
            answer_to(request, iter(lambda: kc.get_iopub_msg(timeout=120), None), 'begun')
            time.sleep(stop_after_s)
            km.interrupt_kernel()
        return answer_to(request, iter(lambda: kc.get_shell_msg(timeout=600), None))
    assert (r := run(BEGIN))['status'] == 'ok', r
    yield run
    kc.stop_channels()
    km.shutdown_kernel(now=True)

@pytest.mark.parametrize('call', STOPPED)
def test_ctrl_c_leaves_the_notebook_usable(kernel, call):
    long, then = STOPPED[call]
    r = kernel(long, stop_after_s=.8)
    assert (r['status'], r.get('ename')) == ('error', 'KeyboardInterrupt'), r
    r = kernel(then)
    assert r['status'] == 'ok', r


def test_ctrl_c_while_reading_waits_for_nothing(tmp_path, monkeypatch):
    "Pictures that were not begun are not read any more."
    read = []
    monkeypatch.setattr(decode, 'read_picture', lambda p, size: read.append(p) or time.sleep(.005) or (np.zeros((size, size, 3), np.uint8), 'RGB', (1, 1)))
    def stops(it, **_):
        for k, x in enumerate(it):
            if k == 10: raise KeyboardInterrupt
            yield x
    monkeypatch.setattr(decode, 'tqdm', stops)
    with pytest.raises(KeyboardInterrupt): decode.decode(range(1000), 32)
    assert len(read) < 200


class Stop(Callback):
    "Ctrl-C at one event."
    def __init__(self, event): setattr(self, event, self.stop)
    def stop(self): raise KeyboardInterrupt

@pytest.mark.parametrize('event', ['before_fit', 'before_epoch', 'after_pred', 'before_step', 'before_validate', 'after_epoch'])
def test_ctrl_c_at_each_event(pics, event):
    learn = learner_on_cpu(pics, SMALL)
    cbs = list(learn.cbs)
    with pytest.raises(KeyboardInterrupt): fit(learn, 1, callbacks=[Stop(event)])
    assert list(learn.cbs) == cbs
    assert learn.xb == (None,)
    fit(learn, 1)
    assert len(learn.history.rows) >= 1


@pytest.mark.parametrize('changes', [BalancedLoss, BalancedSampler])
def test_ctrl_c_undoes_what_a_callback_changed(pics, changes):
    "Such as the weights of the loss, and how pictures are drawn: fastai asks no callback to tidy up after a Ctrl-C."
    def left(how):
        learn = learner_on_cpu(pics, SMALL)
        loss = learn.loss_func
        with pytest.raises(KeyboardInterrupt): how(learn, [changes, Stop('after_pred')])
        return learn.loss_func is not loss or 'shuffle_fn' in vars(learn.dls.train)
    assert not left(lambda learn, cbs: fit(learn, 1, callbacks=cbs))
    assert left(lambda learn, cbs: learn.fit(1, cbs=cbs))


def test_bfloat16_ends_with_a_training_that_is_stopped(pics):
    "fastai leaves it open in the middle of a step. All that follows would be computed in it, with the weights of that step."
    class OnCPU(MixedPrecision):
        name = 'mixed_precision'
        def before_fit(self): self.autocast, self.learn.scaler, self.scales = torch.autocast('cpu', torch.bfloat16), torch.amp.GradScaler('cpu', enabled=False), []
    def stopped(how):
        learn = learner_on_cpu(pics, SMALL)
        learn.add_cb(OnCPU())
        with pytest.raises(KeyboardInterrupt): how(learn)
        return learn, torch.is_autocast_enabled('cpu')
    learn, left_on = stopped(lambda learn: learn.fit(1, cbs=[Stop('after_pred')]))
    learn.mixed_precision.autocast.__exit__(None, None, None)
    assert left_on, 'fastai ends it itself now: left_usable need not'
    assert not stopped(lambda learn: fit(learn, 1, callbacks=[Stop('after_pred')]))[1]


# ---- tampered with ----

class Trap:
    "A pickle that makes a folder when it is read."
    def __init__(self, path): self.path = str(path)
    def __reduce__(self): return os.mkdir, (self.path,)

SPOIL = {
    'a pickle in the weights': lambda run, trap: torch.save(Trap(trap), run/'model.pt'),
    'a pickle among the weights': lambda run, trap: torch.save({'fc.bias': Trap(trap)}, run/'model.pt'),
    'a pickle in the numbers': lambda run, trap: np.savez(run/'valid.npz', probs=np.array([Trap(trap)], object), targets=[0]),
    "another model's weights": lambda run, trap: torch.save({'a': torch.zeros(1)}, run/'model.pt'),
    'no numbers': lambda run, trap: np.savez(run/'valid.npz'),
    'no history': lambda run, trap: (run/'history.json').write_text('{}'),
    'half a line': lambda run, trap: (run/'config.json').write_text('{"a'),
}
def flip_a_bit(file):
    b = bytearray(file.read_bytes())
    b[len(b) // 2] ^= 1
    file.write_bytes(b)
FLIPPED = {f'a flipped bit in {name}': lambda run, trap, name=name: flip_a_bit(run/name) for name in ('model.pt', 'valid.npz')}

@pytest.mark.parametrize('spoil', SPOIL | FLIPPED)
def test_a_kept_run_that_was_tampered_with_is_trained_again(pics, cache, tmp_path, capsys, spoil):
    "What was done on purpose comes with the right checksums: nothing rests on them but what nobody meant."
    first = train_on_cpu(pics, SMALL, keep=True)
    [run] = (cache/'runs').iterdir()
    (SPOIL | FLIPPED)[spoil](run, tmp_path/'trap')
    if spoil in SPOIL: (run/'history.json').write_text(json.dumps(json.loads((run/'history.json').read_text()) | dict(sha256=digests(run))))
    again = train_on_cpu(pics, SMALL, keep=True)
    assert again.learn is not None
    assert np.array_equal(again.probs, first.probs)
    assert capsys.readouterr().out.count('damaged') == 1
    assert not (tmp_path/'trap').exists()
    assert train_on_cpu(pics, SMALL, keep=True).learn is None


def test_torch_does_not_see_a_flipped_bit(tmp_path):
    "The reason for the checksums. If this fails one day, they may go."
    torch.save(dict(a=torch.zeros(1000)), tmp_path/'x.pt')
    flip_a_bit(tmp_path/'x.pt')
    assert torch.load(tmp_path/'x.pt', weights_only=True)['a'].any()


def test_a_pickle_in_the_picture_cache_runs_nothing(cache, tmp_path, capsys):
    "Even with the right checksum."
    first = load_pictures('solar', size=32, limit=60).x.copy()
    [x] = cache.rglob('x.npy')
    np.save(x, np.array([Trap(tmp_path/'trap')] * 60, object))
    info = json.loads((x.parent/'info.json').read_text())
    (x.parent/'info.json').write_text(json.dumps(info | dict(sha256=hashlib.sha256(x.read_bytes()).hexdigest())))
    assert np.array_equal(load_pictures('solar', size=32, limit=60).x, first)
    assert 'damaged' in capsys.readouterr().out
    assert not (tmp_path/'trap').exists()


def test_the_trap_can_spring(tmp_path):
    torch.save(Trap(tmp_path/'trap'), tmp_path/'x.pt')
    torch.load(tmp_path/'x.pt', weights_only=False)
    assert (tmp_path/'trap').is_dir()


# ---- no number, a clock that goes back, a home that cannot be written ----

def test_a_loss_that_is_no_number_is_not_kept(pics, cache):
    with pytest.raises(Diverged, match='no longer a number'): train_on_cpu(pics, replace(SMALL, epochs=2, lr_max=1e20, schedule='constant'), keep=True)
    assert not list(cache.glob('runs/*'))


def test_the_clock_goes_back_while_it_trains(pics, monkeypatch):
    def back(now=[time.time()]):
        now[0] -= 3600
        return now[0]
    monkeypatch.setattr(time, 'time', back)
    run = train_on_cpu(pics, SMALL)
    assert run.seconds > 0
    assert (run.history.seconds > 0).all()
    monkeypatch.setattr(time, 'perf_counter', back)  # as if seconds were taken from the clock
    assert train_on_cpu(pics, SMALL).seconds < 0


def test_the_clock_goes_back_while_it_searches():
    from course_utils.techniques.search_trials import trials_table
    now, study = datetime.now(), optuna.create_study()
    t = optuna.trial.create_trial(value=1.)
    t.datetime_start, t.datetime_complete = now, now - timedelta(hours=1)
    study.add_trial(t)
    assert trials_table(study).seconds.tolist() == [0]


READ_ONLY = '''
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.classroom.answers import answers_record
from course_utils.techniques.search_storage import open_storage
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
def says(f):
    try: f()
    except CourseError as e: print('says:', e)
def answer():
    with answers_record() as record: record['exercises']['00-1'] = {}
says(lambda: load_pictures('solar', size=32, limit=60)); says(answer); says(open_storage)
pics = load_pictures('solar', size=32, limit=60, cache=False)
run = train(pics, Recipe('resnet10t', 1), keep=True, quiet=True, device='cpu')
print('trained:', run.learn is not None)
'''

def test_a_read_only_home(tmp_path):
    "Everything still works; what cannot be kept is said. A training that has run is not lost."
    if subprocess.run(['unshare', '-rm', 'true'], capture_output=True).returncode: pytest.skip('A read-only home needs the right to use unshare -rm (Linux).')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('XDG_', 'MPL', 'HF_HOME', 'COURSE_'))}
    env |= dict(HOME=str(tmp_path), COURSE_CACHE=str(tmp_path/'cache'), COURSE_HOME=str(tmp_path/'home'), PYTHONPATH=os.pathsep.join([str(ROOT), env['PYTHONPATH']]))
    r = subprocess.run(['unshare', '-rm', 'bash', '-c', 'mount -t tmpfs -o ro none "$1" || exit 99; cd /; exec "$2" -c "$3"', 'x', str(tmp_path), sys.executable, READ_ONLY],
                       capture_output=True, text=True, env=env)
    if r.returncode == 99: pytest.skip('Mounting a tmpfs is not allowed here.')
    assert r.returncode == 0, r.stderr[-2000:]
    said = [l for l in r.stdout.splitlines() if l]
    assert len(said) == 5, said
    assert 'COURSE_CACHE' in said[0], said
    assert 'COURSE_HOME' in said[1], said
    assert 'COURSE_STORAGE' in said[2], said
    assert said[4] == 'trained: True', said
    assert said[3].startswith('The finished run could not be kept')
    assert all('Read-only' in said[k] for k in (0, 1, 3))


# ---- odd pictures and odd names ----

def noise(seed, w=40, h=40): return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8))

@pytest.mark.parametrize('wh', [(1, 1), (20_000, 1), (1, 20_000), (20_000, 40), (40, 20_000)])
def test_one_pixel_and_twenty_thousand(tmp_path, wh):
    noise(0, *wh).save(tmp_path/'x.png')
    x, _, seen = read_picture(tmp_path/'x.png', 32)
    assert x.shape == (32, 32, 3)
    assert seen == wh
    assert (x.std((0, 1)).max() > 0) == (wh != (1, 1))


ATTACKS = ['<img src=x onerror=alert(1)>', '"><svg onload=alert(1)>', "' onmouseover='alert(1)", '<script>alert(1)<∕script>']
NAMES = [*ATTACKS, 'a b', 'and∕or\\and', '🙂🐈', 'x' * 200, r'$\frac{$', '-rf', '`code`', '{x}%s']

class Attacks(HTMLParser):
    "What of `ATTACKS` a browser would make elements or attributes of."
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ''
        self.feed(text)
        self.close()
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('src') == 'x' or any('alert' in (v or '') for v in a.values() if v not in NAMES) and any(k.startswith('on') for k in a): self.found.append((tag, a))
        if any(k in ('onerror', 'onload', 'onmouseover') for k in a): self.found.append((tag, a))
        self.script = tag == 'script'
    script = False
    def handle_data(self, text):
        if self.script and text.startswith('alert('): self.found.append(('script', text))
        self.script, self.text = False, self.text + text

@pytest.fixture(scope='module')
def odd(tmp_path_factory):
    "Pictures in folders, and under file names, of those names; and a run on them."
    top = tmp_path_factory.mktemp('odd')/ATTACKS[0]
    for k, name in enumerate(NAMES):
        (top/name).mkdir(parents=True)
        for i in range(6): noise(10 * k + i).save(top/name/f'{ATTACKS[k % 4]} {i}.png')
    pics = load_pictures(str(top), size=32, cache=False)
    return top, pics, train_on_cpu(pics, replace(SMALL, bs=8))

def all_html(top, pics, run):
    "Everything that shows a name, as a browser gets it."
    from course_utils.classroom.guesses import Guess, Quantity, ResultRow, card_message
    from course_utils.machine.doctor import CheckResult, CheckResults
    from course_utils.report.error_analysis import analyse
    from course_utils.show.explorer import Explorer, Slider
    from course_utils.show.html import in_html
    from course_utils.advice import recommend
    bundle = lambda o: o._repr_mimebundle_()['text/html']
    name = ' '.join(ATTACKS)
    e = analyse(run, pics)
    yield 'counts', pics.counts()._repr_html_()
    yield 'table', pics.table._repr_html_()
    yield 'compare', compare({n: run for n in ATTACKS})._repr_html_()
    yield 'figure', bundle(show(grid(pics.x[:4], titles=ATTACKS), f'Four pictures: {name}'))
    yield 'dots', bundle(dots(pd.DataFrame(dict(mean=.1, low=0., high=.2), index=pics.classes), 'gain', name))
    yield 'card', bundle(Card({name: name, 'Pictures': pics.report()}))
    yield 'guess', Guess('00', [name]).html()
    yield 'exercise', in_html(f'Your function gave {name}, `{name}`')
    yield 'explorer', Explorer(lambda k: (pics.x[k], f'{pics.classes[k]} {name}'), [Slider('k', name, 0, 5, 1, 0)], alt=name, title=name).html()
    yield 'errors', e.html()
    yield 'errors, live', ''.join(w.value for w in every(e.widget) if type(w).__name__ == 'HTML')
    yield 'advice', recommend(str(top))._repr_html_()
    quantity = Quantity('00', name, name, (0, 1), None, False, '{:.0f}', None)
    said = card_message('00', [ResultRow(quantity, 1., None, None)], 'near', [f'The class {name} has few.'])
    yield 'result card', said._repr_html_()
    yield 'doctor', CheckResults([CheckResult('bad', name, name, name=name)])._repr_html_()

def every(w):
    yield w
    for c in getattr(w, 'children', ()): yield from every(c)

def test_odd_names_are_learnt_and_no_name_becomes_markup(odd):
    _, pics, run = odd
    assert pics.classes == sorted(NAMES)
    assert not pics.found.unreadable
    assert run.probs.shape[1] == len(NAMES)
    for what, text in all_html(*odd):
        page = Attacks(text)
        assert not page.found, (what, page.found[:2])
        assert 'alert(1)' in page.text + text, f'{what} shows no name'


def test_without_escaping_it_would(odd, monkeypatch):
    monkeypatch.setattr(html, 'escape', lambda s, *_: s)
    assert {'figure', 'card', 'guess', 'exercise', 'explorer', 'advice', 'result card', 'doctor'} <= {what for what, text in all_html(*odd) if Attacks(text).found}


def test_a_kept_run_of_odd_names_is_found(odd, cache):
    for _ in range(2): run = train_on_cpu(odd[1], replace(SMALL, bs=8), keep=True)
    assert run.learn is None


def test_the_site_shows_names_as_text(tmp_path):
    "Outputs of a notebook: what is printed, a value, a table, and a figure's words."
    name = ' '.join(ATTACKS)
    outputs = [nbformat.v4.new_output('stream', text=name), nbformat.v4.new_output('execute_result', data={'text/plain': name}),
               nbformat.v4.new_output('execute_result', data={'text/html': pd.DataFrame({name: [name]})._repr_html_(), 'text/plain': name}),
               nbformat.v4.new_output('display_data', data=Card({name: name})._repr_mimebundle_()),
               nbformat.v4.new_output('error', ename='CourseError', evalue=name, traceback=[f'CourseError: {name}'])]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell('# Names'), nbformat.v4.new_code_cell(f'print({name!r})', outputs=outputs)])
    nbformat.write(nb, tmp_path/'index.ipynb')
    (tmp_path/'_quarto.yml').write_text('project:\n  type: website\n  output-dir: _docs\nwebsite:\n  title: t\n')
    r = subprocess.run([sys.executable, '-m', 'smalldocs.cli', 'render', '.'], cwd=tmp_path, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    page = Attacks((tmp_path/'_docs'/'index.html').read_text())
    assert not page.found, page.found
    assert page.text.count('onerror=alert(1)') >= 5


# ---- who may come in ----

def test_jupyterlab_listens_to_this_machine_and_asks_for_a_token(monkeypatch):
    "What its options come to. tests/test_commands.py asks a running one, without a token and from another address."
    from data_scripts.lab import lab_options
    from jupyter_server.serverapp import ServerApp
    monkeypatch.delenv('JUPYTER_TOKEN', raising=False)
    def opened(*more):
        app = ServerApp()
        app.parse_command_line([*lab_options(ROOT, 8888), *more])
        return app.ip, len(app.identity_provider_class(parent=app, config=app.config).token) >= 32, app.allow_origin, app.disable_check_xsrf
    assert opened() == ('127.0.0.1', True, '', False)
    assert opened('--IdentityProvider.token=') == ('127.0.0.1', False, '', False), 'the test would not have seen it'


def test_faults_are_counted_as_they_are_tried():
    lines, r = [], lambda when, *marks: SimpleNamespace(when=when, keywords=dict.fromkeys(marks, 1))
    stats = dict(passed=[r('call', 'fault'), r('call'), r('setup', 'fault')], failed=[r('call', 'fault')], skipped=[r('call', 'fault')])
    pytest_terminal_summary(SimpleNamespace(stats=stats, write_line=lines.append))
    assert lines == ['Faults and bad inputs tried: 2']


def test_what_killed_runs_left_is_cleared_away(tmp_path):
    "A day later; work that another process has in hand stays."
    old, new = tmp_path/'.work-old', tmp_path/'.work-new'
    for d in (old, new):
        d.mkdir()
        (d/'half.pt').write_bytes(b'half')
    os.utime(old, (time.time() - 90_000,) * 2)
    with config.whole_folder(tmp_path/'a', 'This') as work: (work/'whole').touch()
    assert sorted(p.name for p in tmp_path.iterdir()) == ['.work-new', 'a']
