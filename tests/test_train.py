"Training: equal to a plain PyTorch loop, repeatable, kept whole or not at all."
import copy, os, platform, signal, subprocess, sys, time
from functools import partial

import numpy as np, pytest, torch

from course_utils.techniques.augment import pipeline
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.training.recipe import body_and_head
from course_utils.training.learner import make_learner
from course_utils.training.keep import fingerprint
from course_utils.training.train import fit, train
from course_utils.training.run import predict

CPU = partial(train, arch='resnet10t', quiet=True, device='cpu')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160)

@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.delenv('COURSE_FRESH', raising=False)
    return tmp_path


def test_equal_to_a_plain_loop(pics):
    learn = make_learner(pics, 'resnet10t', quiet=True, device='cpu')
    model = learn.model.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=.01)
    losses = []
    for _ in range(2):
        model.train(); total = n = 0
        for x, y in learn.dls.train:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward(); opt.step(); opt.zero_grad()
            total, n = total + loss.item() * len(y), n + len(y)
        losses.append(total / n)
    probs, _ = predict(model, learn.dls.valid)
    run = CPU(pics, epochs=2, lr_max=1e-3, schedule='constant')
    assert np.allclose(run.history.train_loss, losses, rtol=1e-5) and np.allclose(run.probs, probs, atol=1e-4)


def test_a_fused_step_is_a_step(pics):
    "It trusts that weights, gradients and moments lie in memory in the same order: channels last, with depthwise layers, too."
    learn = make_learner(pics, 'tf_efficientnet_lite0', quiet=True, device='cpu')
    model = learn.model.to(memory_format=torch.channels_last).train()
    plain = copy.deepcopy(model)
    opt, (x, y) = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=.01, fused=False), learn.dls.train.one_batch()
    learn.create_opt()
    assert learn.opt.opt.defaults['fused']
    torch.manual_seed(0); torch.nn.functional.cross_entropy(model(x), y).backward(); learn.opt.step()
    for p, q in zip(model.parameters(), plain.parameters()): q.grad = p.grad.clone()
    opt.step()
    assert all(torch.allclose(p, q, rtol=1e-4, atol=1e-6) for p, q in zip(model.parameters(), plain.parameters()))


def test_history_is_the_plain_mean(pics):
    run = CPU(pics, epochs=1)
    loss = -np.log(run.probs[np.arange(len(run.targets)), run.targets]).mean()
    assert run.history.valid_loss.iloc[-1] == pytest.approx(loss, rel=1e-4)
    assert run.history.valid_accuracy.iloc[-1] == pytest.approx(run.accuracy)
    assert run.targets.tolist() == pics.y[pics.valid].tolist()


def test_same_seed_same_run(pics):
    a, b, c = (CPU(pics, epochs=1, tfm=pipeline(.33), seed=s) for s in (0, 0, 1))
    assert np.array_equal(a.probs, b.probs) and not np.array_equal(a.probs, c.probs)


def test_one_cycle_is_its_closed_form(pics):
    "Cosine from lr_max/25 up over a quarter of the steps, then cosine down to lr_max/1e5."
    learn = make_learner(pics, 'resnet10t', bs=8, quiet=True, device='cpu')
    fit(learn, 2, lr_max=.01)
    cos = lambda a, b, t: a + (1 + np.cos(np.pi * (1 - t))) / 2 * (b - a)
    n = len(learn.recorder.lrs)
    want = [cos(.01 / 25, .01, t / .25) if t < .25 else cos(.01, .01 / 1e5, (t - .25) / .75) for t in np.arange(n) / n]
    assert n == 2 * (len(pics.train) // 8) and np.allclose(learn.recorder.lrs, want, rtol=1e-5)


@pytest.mark.parametrize('schedule,last', [('constant', 1.), ('cosine', 0.), (lambda pos: 1 - pos, 0.)])
def test_schedules_reach_every_group(pics, schedule, last):
    learn = make_learner(pics, 'resnet10t', quiet=True, device='cpu')
    fit(learn, 4, lr_max=[1e-4, 1e-2], schedule=schedule)
    rates = [h['lr'] for h in learn.opt.hypers]
    assert rates[1] == pytest.approx(100 * rates[0])
    n = len(learn.recorder.lrs)
    assert learn.recorder.lrs[0] == pytest.approx(1e-2) and learn.recorder.lrs[-1] == pytest.approx(1e-2 * (last or 0), abs=1e-2 * 2 / n)


@pytest.mark.fault
def test_unknown_schedule(pics):
    with pytest.raises(CourseError, match='one_cycle, constant, cosine'): CPU(pics, epochs=1, schedule='zigzag')


def test_groups_are_body_and_head():
    model = create_model('tf_efficientnet_lite0', 2, pretrained=False)
    body, head = body_and_head(model)
    assert sum(p.numel() for p in head) == 1280 * 2 + 2 and len(body) + len(head) == len(list(model.parameters()))


def test_frozen_body_stays(pics):
    start = {k: v.clone() for k, v in make_learner(pics, 'resnet10t', quiet=True, device='cpu').model.named_parameters()}
    learn = make_learner(pics, 'resnet10t', quiet=True, device='cpu')
    learn.freeze(); fit(learn, 1)
    for name, p in learn.model.named_parameters():
        norm = 'bn' in name or '.1.' in name  # BatchNorm learns on while frozen: fastai's choice, shown in lesson 02
        if name.startswith('fc'): assert not torch.equal(p, start[name])
        elif p.ndim == 4: assert torch.equal(p, start[name]), name


def test_a_head_of_ones_own(pics):
    head = lambda n_in, n_out: torch.nn.Sequential(torch.nn.BatchNorm1d(n_in), torch.nn.Linear(n_in, n_out))
    learn = make_learner(pics, 'resnet10t', head=head, quiet=True, device='cpu')
    assert isinstance(learn.model.fc, torch.nn.Sequential) and len(learn.splitter(learn.model)[1]) == 4


@pytest.mark.fault
def test_loss_that_is_no_number(pics):
    with pytest.raises(CourseError) as e: CPU(pics, epochs=2, lr_max=1e20, schedule='constant')
    assert 'rate is too high' in str(e.value) and '\n' not in str(e.value)


# ── kept runs ──

def test_kept_run_is_found(pics, cache, capsys):
    a = CPU(pics, epochs=1, keep=True)
    b = CPU(pics, epochs=1, keep=True)
    assert b.learn is None and np.array_equal(a.probs, b.probs) and a.history.equals(b.history) and a.seconds == b.seconds
    dl = make_learner(pics, 'resnet10t', quiet=True, device='cpu').dls.valid
    assert np.allclose(predict(b.model.cpu(), dl)[0], a.probs, atol=1e-6)
    train(pics, 'resnet10t', 1, keep=True, device='cpu')
    assert 'Found, not trained' in capsys.readouterr().out


def test_run_with_a_head_is_found(pics, cache):
    a, b = (CPU(pics, epochs=1, keep=True, head=small_head) for _ in range(2))
    assert b.learn is None and np.array_equal(a.probs, b.probs) and isinstance(b.model.fc, torch.nn.Sequential)

def small_head(n_in, n_out): return torch.nn.Sequential(torch.nn.Dropout(.1), torch.nn.Linear(n_in, n_out))


def test_fresh_trains_again(pics, cache, monkeypatch):
    CPU(pics, epochs=1, keep=True)
    assert CPU(pics, epochs=1, keep=True, fresh=True).learn is not None
    monkeypatch.setenv('COURSE_FRESH', '1')
    assert CPU(pics, epochs=1, keep=True).learn is not None


def test_nothing_is_kept_unasked(pics, cache):
    CPU(pics, epochs=1)
    assert not (cache/'runs').exists()


@pytest.mark.parametrize('change', [dict(seed=1), dict(epochs=2), dict(lr_max=2e-3), dict(tfm=pipeline(.1)), dict(schedule='cosine'), dict(bs=32), dict(wd=.1), dict(freeze_epochs=1), dict(drop_rate=.2)])
def test_any_setting_changes_the_key(pics, cache, change):
    CPU(pics, epochs=1, keep=True)
    assert CPU(pics, **(dict(epochs=1, keep=True) | change)).learn is not None


def test_data_change_the_key(pics):
    other = pics.take(np.arange(len(pics))); other.table.loc[0, 'label'] = 1 - other.table.label[0]
    assert len({fingerprint(pics), fingerprint(other), fingerprint(pics.subset(50))}) == 3


@pytest.mark.fault
def test_damaged_run_is_trained_again(pics, cache, capsys):
    CPU(pics, epochs=1, keep=True)
    [f] = (cache/'runs').rglob('model.pt'); f.write_bytes(f.read_bytes()[:1000])
    assert CPU(pics, epochs=1, keep=True).learn is not None and 'damaged' in capsys.readouterr().out
    assert CPU(pics, epochs=1, keep=True).learn is None


@pytest.mark.fault
def test_what_cannot_be_described_cannot_be_kept(pics):
    with pytest.raises(CourseError, match='keep=False'): CPU(pics, epochs=1, keep=True, schedule=lambda pos: 1)
    with pytest.raises(CourseError, match='keep=False'): CPU(pics, epochs=1, keep=True, cbs=[object()])


@pytest.mark.fault
def test_killed_run_leaves_nothing(tmp_path):
    "SIGKILL at several moments of a short training: afterwards there is a whole run or none."
    code = "from course_utils.data import load_pictures\nfrom course_utils.train import train\nprint('go', flush=True)\ntrain(load_pictures('solar', size=32, limit=160), 'resnet10t', 1, keep=True, quiet=True, device='cpu')"
    hit = 0
    for delay in (.1, .4, 1.):
        p = subprocess.Popen([sys.executable, '-c', code], env=dict(os.environ, COURSE_CACHE=str(tmp_path)), stdout=subprocess.PIPE)
        p.stdout.readline(); time.sleep(delay); p.send_signal(signal.SIGKILL)
        hit += p.wait() == -signal.SIGKILL
        for run in (tmp_path/'runs').glob('[!.]*'): assert {f.name for f in run.iterdir()} == {'config.json', 'history.json', 'valid.npz', 'model.pt'}
    assert hit, 'every training had ended before its kill'


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU on this machine: bfloat16 is checked where there is one')
def test_on_a_gpu(pics):
    learn, seen = make_learner(pics, 'resnet10t', quiet=True), set()
    learn.model.register_forward_hook(lambda model, x, out: seen.add((out.device.type, out.dtype)))
    fit(learn, 1)
    want = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    assert seen == {('cuda', want)} and next(learn.model.parameters()).dtype == torch.float32 and np.isfinite(learn.history.rows[-1]['valid_loss'])


STEPS = """import sys
if 'course' in sys.argv: import course_utils.config
import resource, torch
from torch import nn
model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
def step(): model(torch.ones(32, 3, 64, 64)).sum().backward(); model.zero_grad()
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"""

@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason="only glibc's malloc hands the memory of each batch back")
def test_the_memory_of_a_batch_is_used_again():
    "Every page that the system gives anew is zeroed first, in each step."
    env = {k: v for k, v in os.environ.items() if not k.startswith(('MALLOC_', 'GLIBC_TUNABLES'))}
    def faults(*args): return int(subprocess.run([sys.executable, '-c', STEPS, *args], capture_output=True, text=True, env=env, check=True).stdout)
    ours, plain = faults('course'), faults()
    assert 2 * ours < plain, f'{ours} pages were given anew, {plain} without the course'
