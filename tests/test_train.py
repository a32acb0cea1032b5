"Training: equal to a plain PyTorch loop, repeatable, kept whole or not at all."
import copy, ctypes, os, platform, signal, subprocess, sys, time
from dataclasses import replace
from functools import partial

import numpy as np, pytest, torch
from torch.nn.functional import cross_entropy

from course_utils.config import M_MMAP_THRESHOLD, CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.techniques.augment import pipeline
from course_utils.techniques.newer_techniques import AverageWeights
from course_utils.training.keep import fingerprint
from course_utils.training.learner import ValidateAtEnd, has_bf16, make_learner
from course_utils.training.recipe import Recipe, body_and_head
from course_utils.training.run import predict
from course_utils.training.train import fit, train

RECIPE = Recipe('resnet10t', 1)
train_on_cpu = partial(train, quiet=True, device='cpu')
learner_on_cpu = partial(make_learner, quiet=True, device='cpu')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.delenv('COURSE_FRESH', raising=False)
    return tmp_path


def plain_epoch(model, loader, opt):
    "One epoch as anyone would write it; returns the mean loss."
    model.train()
    total = n = 0
    for images, labels in loader:
        loss = cross_entropy(model(images), labels)
        loss.backward()
        opt.step()
        opt.zero_grad()
        total += loss.item() * len(labels)
        n += len(labels)
    return total / n


def test_equal_to_a_plain_loop(pics):
    learn = learner_on_cpu(pics, RECIPE)
    model = learn.model.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=.01)
    losses = [plain_epoch(model, learn.dls.train, opt) for _ in range(2)]
    probs, _ = predict(model, learn.dls.valid)
    run = train_on_cpu(pics, replace(RECIPE, epochs=2, lr_max=1e-3, schedule='constant'))
    assert np.allclose(run.history.train_loss, losses, rtol=1e-5)
    assert np.allclose(run.probs, probs, atol=1e-4)


def test_a_fused_step_is_a_step(pics):
    "It trusts that weights, gradients and moments lie in memory in the same order: channels last, with depthwise layers, too."
    learn = learner_on_cpu(pics, Recipe('tf_efficientnet_lite0', 1))
    model = learn.model.to(memory_format=torch.channels_last).train()
    peer = copy.deepcopy(model)
    opt = torch.optim.AdamW(peer.parameters(), lr=1e-3, weight_decay=.01, fused=False)
    images, labels = learn.dls.train.one_batch()
    learn.create_opt()
    assert learn.opt.opt.defaults['fused']
    torch.manual_seed(0)
    cross_entropy(model(images), labels).backward()
    learn.opt.step()
    pairs = list(zip(model.parameters(), peer.parameters()))
    for p, q in pairs: q.grad = p.grad.clone()
    opt.step()
    assert all(torch.allclose(p, q, rtol=1e-4, atol=1e-6) for p, q in pairs)


def test_history_is_the_plain_mean(pics):
    run = train_on_cpu(pics, RECIPE)
    of_target = run.probs[np.arange(len(run.targets)), run.targets]
    last = run.history.iloc[-1]
    assert last.valid_loss == pytest.approx(-np.log(of_target).mean(), rel=1e-4)
    assert last.valid_accuracy == pytest.approx(run.accuracy)
    assert run.targets.tolist() == pics.y[pics.valid].tolist()


def test_one_look_at_the_end_is_the_last_of_many(pics):
    each_epoch = replace(RECIPE, epochs=2)
    many = train_on_cpu(pics, each_epoch)
    once = train_on_cpu(pics, replace(each_epoch, callbacks=(ValidateAtEnd,)))
    assert np.array_equal(once.probs, many.probs)
    assert once.history.train_loss.tolist() == many.history.train_loss.tolist()
    first, last = once.history.valid_loss
    assert np.isnan(first)
    assert np.isclose(last, many.history.valid_loss.iloc[-1], atol=1e-6)
    assert np.isclose(once.history.valid_accuracy.iloc[-1], many.accuracy)


def test_one_look_at_the_end_leaves_averaged_weights_to_their_own(pics):
    "What puts other weights in for validation puts the network's own back, whichever callback is named first."
    averaged = replace(RECIPE, epochs=2, callbacks=(AverageWeights,))
    alone = train_on_cpu(pics, averaged)
    for both in ((ValidateAtEnd, AverageWeights), (AverageWeights, ValidateAtEnd)):
        run = train_on_cpu(pics, replace(averaged, callbacks=both))
        assert np.array_equal(run.probs, alone.probs)


def test_same_seed_same_run(pics):
    recipe = replace(RECIPE, augment=pipeline(.33))
    first, again, other_seed = (train_on_cpu(pics, replace(recipe, seed=seed)).probs for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other_seed)


def cosine(start, end, t):
    "From start to end as t goes from 0 to 1."
    return start + (1 + np.cos(np.pi * (1 - t))) / 2 * (end - start)


def one_cycle(lr_max, t):
    if t < .25: return cosine(lr_max / 25, lr_max, t / .25)
    return cosine(lr_max, lr_max / 1e5, (t - .25) / .75)


def test_one_cycle_is_its_closed_form(pics):
    "Cosine from lr_max/25 up over a quarter of the steps, then cosine down to lr_max/1e5."
    learn = learner_on_cpu(pics, replace(RECIPE, bs=8))
    fit(learn, 2, lr_max=.01)
    n = len(learn.recorder.lrs)
    expected = [one_cycle(.01, t) for t in np.arange(n) / n]
    assert n == 2 * (len(pics.train) // 8)
    assert np.allclose(learn.recorder.lrs, expected, rtol=1e-5)


@pytest.mark.parametrize('schedule,last', [('constant', 1.), ('cosine', 0.), (lambda done: 1 - done, 0.)])
def test_schedules_reach_every_group(pics, schedule, last):
    learn = learner_on_cpu(pics, RECIPE)
    fit(learn, 4, lr_max=[1e-4, 1e-2], schedule=schedule)
    body_lr, head_lr = (hyper['lr'] for hyper in learn.opt.hypers)
    assert head_lr == pytest.approx(100 * body_lr)
    lrs = learn.recorder.lrs
    assert lrs[0] == pytest.approx(1e-2)
    assert lrs[-1] == pytest.approx(1e-2 * last, abs=1e-2 * 2 / len(lrs))


@pytest.mark.fault
def test_unknown_schedule(pics):
    with pytest.raises(CourseError, match='one_cycle, constant, cosine'):
        train_on_cpu(pics, replace(RECIPE, schedule='zigzag'))


def test_groups_are_body_and_head():
    model = create_model('tf_efficientnet_lite0', 2, pretrained=False)
    body, head = body_and_head(model)
    assert sum(p.numel() for p in head) == 1280 * 2 + 2
    assert len(body) + len(head) == len(list(model.parameters()))


def test_frozen_body_stays(pics):
    "Its convolutions do. Normalisation learns on while frozen: fastai's choice, shown in lesson 02."
    learn = learner_on_cpu(pics, RECIPE)
    start = {name: p.clone() for name, p in learn.model.named_parameters()}
    learn.freeze()
    fit(learn, 1)
    changed = {name for name, p in learn.model.named_parameters() if not torch.equal(p, start[name])}
    convolutions = {name for name, p in start.items() if p.ndim == 4}
    assert {'fc.weight', 'fc.bias'} <= changed
    assert convolutions
    assert not convolutions & changed


def batchnorm_head(n_in, n_out): return torch.nn.Sequential(torch.nn.BatchNorm1d(n_in), torch.nn.Linear(n_in, n_out))


def test_a_head_of_ones_own(pics):
    learn = learner_on_cpu(pics, replace(RECIPE, head=batchnorm_head))
    _, head = learn.splitter(learn.model)
    assert isinstance(learn.model.fc, torch.nn.Sequential)
    assert len(head) == 4


@pytest.mark.fault
def test_loss_that_is_no_number(pics):
    with pytest.raises(CourseError) as e:
        train_on_cpu(pics, replace(RECIPE, epochs=2, lr_max=1e20, schedule='constant'))
    assert 'rate is too high' in str(e.value)
    assert '\n' not in str(e.value)


# ── kept runs ──

def test_kept_run_is_found(pics, cache, capsys):
    first = train_on_cpu(pics, RECIPE, keep=True)
    found = train_on_cpu(pics, RECIPE, keep=True)
    assert found.learn is None
    assert np.array_equal(first.probs, found.probs)
    assert first.history.equals(found.history)
    assert first.seconds == found.seconds
    loader = learner_on_cpu(pics, RECIPE).dls.valid
    probs, _ = predict(found.model.cpu(), loader)
    assert np.allclose(probs, first.probs, atol=1e-6)
    train(pics, RECIPE, keep=True, device='cpu')
    assert 'Found, not trained' in capsys.readouterr().out


def small_head(n_in, n_out): return torch.nn.Sequential(torch.nn.Dropout(.1), torch.nn.Linear(n_in, n_out))


def test_run_with_a_head_is_found(pics, cache):
    recipe = replace(RECIPE, head=small_head)
    first, found = (train_on_cpu(pics, recipe, keep=True) for _ in range(2))
    assert found.learn is None
    assert np.array_equal(first.probs, found.probs)
    assert isinstance(found.model.fc, torch.nn.Sequential)


def test_fresh_trains_again(pics, cache, monkeypatch):
    train_on_cpu(pics, RECIPE, keep=True)
    assert train_on_cpu(pics, RECIPE, keep=True, fresh=True).learn is not None
    monkeypatch.setenv('COURSE_FRESH', '1')
    assert train_on_cpu(pics, RECIPE, keep=True).learn is not None


def test_nothing_is_kept_unasked(pics, cache):
    train_on_cpu(pics, RECIPE)
    assert not (cache/'runs').exists()


CHANGES = [
    dict(seed=1),
    dict(epochs=2),
    dict(lr_max=2e-3),
    dict(augment=pipeline(.1)),
    dict(schedule='cosine'),
    dict(bs=32),
    dict(wd=.1),
    dict(freeze_epochs=1),
    dict(model=dict(drop_rate=.2)),
]


@pytest.mark.parametrize('change', CHANGES)
def test_any_setting_changes_the_key(pics, cache, change):
    train_on_cpu(pics, RECIPE, keep=True)
    assert train_on_cpu(pics, replace(RECIPE, **change), keep=True).learn is not None


def test_data_change_the_key(pics):
    relabelled = pics.take(np.arange(len(pics)))
    relabelled.table.loc[0, 'label'] = 1 - relabelled.table.label[0]
    keys = {fingerprint(data) for data in (pics, relabelled, pics.subset(50))}
    assert len(keys) == 3


@pytest.mark.fault
def test_damaged_run_is_trained_again(pics, cache, capsys):
    train_on_cpu(pics, RECIPE, keep=True)
    [file] = (cache/'runs').rglob('model.pt')
    file.write_bytes(file.read_bytes()[:1000])
    assert train_on_cpu(pics, RECIPE, keep=True).learn is not None
    assert 'damaged' in capsys.readouterr().out
    assert train_on_cpu(pics, RECIPE, keep=True).learn is None


RNG = np.random.default_rng(0)
NAMELESS = {'a function that draws': dict(schedule=lambda done: RNG.random()), 'an object': dict(callbacks=(object(),))}


@pytest.mark.parametrize('change', NAMELESS.values(), ids=NAMELESS)
@pytest.mark.fault
def test_what_cannot_be_described_cannot_be_kept(pics, change):
    with pytest.raises(CourseError, match='keep=False'):
        train_on_cpu(pics, replace(RECIPE, **change), keep=True)


KEEP_ONE = '''
from course_utils.data.pictures import load_pictures
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
pics = load_pictures('solar', size=32, limit=160)
print('go', flush=True)
train(pics, Recipe('resnet10t', 1), keep=True, quiet=True, device='cpu')
'''
WHOLE = {'config.json', 'history.json', 'valid.npz', 'model.pt'}


def start_training(cache):
    "In a process of its own, which has loaded its pictures when this returns."
    env = dict(os.environ, COURSE_CACHE=str(cache))
    process = subprocess.Popen([sys.executable, '-c', KEEP_ONE], env=env, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def kept_runs(cache):
    "The names of the files of each."
    return [{file.name for file in run.iterdir()} for run in (cache/'runs').glob('[!.]*')]


@pytest.mark.fault
def test_killed_run_leaves_nothing(tmp_path):
    "SIGKILL at several moments of a short training: afterwards there is a whole run or none."
    killed, runs = [], []
    for delay_s in (.1, .4, 1.):
        process = start_training(tmp_path)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        killed.append(process.wait() == -signal.SIGKILL)
        runs += kept_runs(tmp_path)
    assert any(killed), 'every training had ended before its kill'
    assert all(files == WHOLE for files in runs)
    assert start_training(tmp_path).wait() == 0
    assert kept_runs(tmp_path) == [WHOLE], 'left alone, it keeps one'


def test_a_processor_trains_in_float32(pics, monkeypatch):
    "Even where a GPU beside it, or the processor itself, has bfloat16: autocast on a processor without it is much slower."
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: True)
    learn = make_learner(pics, RECIPE, quiet=True, device='cpu')
    seen = set()
    learn.model.register_forward_hook(lambda model, inputs, output: seen.add((torch.is_autocast_enabled('cpu'), output.dtype)))
    fit(learn, 1)
    assert seen == {(False, torch.float32)}


def test_a_gpu_that_only_emulates_bf16_does_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: including_emulation)
    assert not has_bf16(torch.device('cuda'))
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: True)
    assert has_bf16(torch.device('cuda'))
    assert not has_bf16(torch.device('cpu'))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU on this machine: bfloat16 is checked where there is one')
def test_on_a_gpu(pics):
    learn = make_learner(pics, RECIPE, quiet=True)
    seen = set()
    learn.model.register_forward_hook(lambda model, inputs, output: seen.add((output.device.type, output.dtype)))
    fit(learn, 1)
    dtype = torch.bfloat16 if has_bf16(torch.device('cuda')) else torch.float32
    assert seen == {('cuda', dtype)}
    assert next(learn.model.parameters()).dtype == torch.float32
    assert np.isfinite(learn.history.rows[-1]['valid_loss'])


STEPS = """
import sys
if 'course' in sys.argv: import course_utils
import resource, torch
from torch import nn
def layers(n_in): return nn.Conv2d(n_in, 32, 3, padding=1), nn.BatchNorm2d(32)
model = nn.Sequential(*layers(3), nn.ReLU(), *layers(32))
def step():
    model(torch.ones(int(sys.argv[1]), 3, 64, 64)).sum().backward()
    model.zero_grad()
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_given_anew(n_pictures, *arguments):
    "Page faults of ten steps, in a process of their own."
    env = {name: value for name, value in os.environ.items() if not name.startswith(('MALLOC_', 'GLIBC_TUNABLES'))}
    r = subprocess.run([sys.executable, '-c', STEPS, str(n_pictures), *arguments], capture_output=True, text=True, env=env, check=True)
    return int(r.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason="only glibc's malloc hands the memory of each batch back")
@pytest.mark.parametrize('n_pictures', [32, 80], ids=['maps of 16 MiB', 'maps of 40 MiB'])
def test_the_memory_of_a_batch_is_used_again(n_pictures):
    "Every page that the system gives anew is zeroed first, in each step."
    if n_pictures > 64 and not ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**28): pytest.skip('this glibc keeps no block over 32 MiB')
    course, plain = pages_given_anew(n_pictures, 'course'), pages_given_anew(n_pictures)
    assert 2 * course < plain, f'{course} pages were given anew, {plain} without the course'
