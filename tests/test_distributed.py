"""Beyond one machine: several processes train as one does, and workers started from shells share a search. The commands are the page's own."""
import json, os, random, re, shlex, signal, subprocess, sys, time

import nbformat, optuna, psutil, pytest
from fastai.data.load import DataLoader

from course_utils.config import CourseError
from course_utils.techniques.search_storage import open_storage
from course_utils.techniques.search_space import DONE
from data_scripts.experiments import distributed as D
from data_scripts.lessons.notebooks import ROOT

pytestmark = pytest.mark.slow
PAGE = nbformat.read(ROOT/'nbs'/'more_machines.ipynb', 4)
COMMANDS = [line for c in PAGE.cells if c.cell_type == 'markdown' for block in re.findall(r'```bash\n(.*?)```', c.source, re.S) for line in block.splitlines()]
SMALL = ['--limit', '160', '--bs', '16', '--lr', '2e-4', '--epochs', '1']
# Two processes add in another order, and every step multiplies what that changes: at this rate to under 1e-4 of the loss in seven steps, at five times the rate to 6e-2.
TOLERANCE = 1e-3


def command(begins):
    "The page's command that begins so, as this environment runs it."
    line = next(text for text in COMMANDS if text.startswith(begins))
    return [a for word in shlex.split(line) for a in dict(python=[sys.executable], torchrun=[sys.executable, '-m', 'torch.distributed.run']).get(word, [word])]


@pytest.fixture(scope='module')
def env(tmp_path_factory):
    "One thread a process, no GPU, and nothing but this machine's own loopback."
    settings = dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PET_LOCAL_ADDR='127.0.0.1', COURSE_CACHE=str(tmp_path_factory.mktemp('cache')),
                 PYTHONPATH=os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']]))
    return os.environ | settings | (dict(GLOO_SOCKET_IFNAME='lo') if sys.platform == 'linux' else {})


def ended(argv, env, seconds=600):  # against one that hangs: on a busy machine four trainings take minutes
    r = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds)
    assert r.returncode == 0, r.stderr[-3000:]
    return r.stdout


def curve(path): return json.loads(path.read_text())


def difference(a, b):
    "The largest difference of two curves: of each step's loss and of what each epoch's row says, relative."
    assert len(a['steps']) == len(b['steps']) > 0
    assert len(a['epochs']) == len(b['epochs'])
    pairs = list(zip(a['steps'], b['steps']))
    for r, s in zip(a['epochs'], b['epochs']): pairs += [(r[k], s[k]) for k in ('train_loss', 'valid_loss', 'train_accuracy', 'valid_accuracy', 'lr')]
    return max(abs(x - y) / abs(x) for x, y in pairs)


@pytest.fixture(scope='module')
def one_process(env, tmp_path_factory):
    "One process, with the whole batch."
    curves = tmp_path_factory.mktemp('one')/'one.json'
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSE_CACHE', env['COURSE_CACHE'])
        m.setattr(D.torch.cuda, 'is_available', lambda: False)
        D.main([*SMALL, '--out', str(curves)])
    return curve(curves)


def test_two_processes_train_as_one(one_process, env, tmp_path):
    ended(command('torchrun') + [*SMALL, '--out', str(tmp_path/'two.json')], env)
    two = curve(tmp_path/'two.json')
    assert (one_process['processes'], two['processes']) == (1, 2)
    assert one_process['bs'] == two['bs'] == 16
    print(f'Two processes differ from one by {difference(one_process, two):.1e} of the loss.')
    assert difference(one_process, two) < TOLERANCE


MUTANTS = '''
import sys
from data_scripts.experiments import distributed as D
D.teardown_distrib = lambda: None  # one group of processes for all
true = dict(before_fit=D.SharedHistory.before_fit, get_idxs=D.Share.get_idxs, add=D.add)
def unsynchronised(self):
    true['before_fit'](self)
    self.model.require_backward_grad_sync = False
def stretches(self):  # an epoch cut into one stretch a process, as fastai does
    idxs = self.dl.get_idxs()[:len(self) * self.bs * self.world_size]
    return idxs[self.rank * len(idxs) // self.world_size:(self.rank + 1) * len(idxs) // self.world_size]
def main(name, *more): D.main([*sys.argv[2:], *more, '--out', f'{sys.argv[1]}/{name}.json'])
D.SharedHistory.before_fit = unsynchronised; main('gradients'); D.SharedHistory.before_fit = true['before_fit']
D.Share.get_idxs = stretches; main('order'); D.Share.get_idxs = true['get_idxs']
D.add = lambda values: values; main('sums'); D.add = true['add']
main('batch', '--bs', '32')
'''

def test_what_would_make_them_differ_is_seen(one_process, env, tmp_path):
    "Gradients of one's own, fastai's order, one process's loss for all, or a batch per process instead of for all."
    (tmp_path/'mutants.py').write_text(MUTANTS)
    ended([*command('torchrun')[:-4], str(tmp_path/'mutants.py'), str(tmp_path), *SMALL], env)
    gradients, order, sums, batch = [curve(tmp_path/f'{name}.json') for name in ('gradients', 'order', 'sums', 'batch')]
    print('The mutants:', [f'{difference(one_process, m):.1e}' for m in (gradients, order, sums)])
    assert min(difference(one_process, m) for m in (gradients, order, sums)) > 5 * TOLERANCE
    assert len(batch['steps']) != len(one_process['steps'])


@pytest.mark.fault
def test_a_killed_process_ends_the_run(env, tmp_path):
    "The other one does not wait for ever, nothing half done is written, and the status says that it failed."
    log = open(tmp_path/'log', 'w+')
    run = subprocess.Popen(command('torchrun') + [*SMALL, '--epochs', '1000', '--out', str(tmp_path/'two.json')], cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        while 'train_loss' not in (tmp_path/'log').read_text():
            assert run.poll() is None
            time.sleep(.1)
        ranks = {p.environ()['RANK']: p for p in psutil.Process(run.pid).children() if 'RANK' in p.environ()}
        ranks['1'].kill()
        assert run.wait(60) > 0
    finally: run.kill()
    assert not ranks['0'].is_running()
    assert not (tmp_path/'two.json').exists()
    assert re.search(r'rank +: 1 .*\n.*exitcode +: -9', (tmp_path/'log').read_text()), 'it says which one was killed'


def test_a_batch_that_cannot_be_shared(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '3')
    with pytest.raises(CourseError, match='multiple of 3'): D.main(['--bs', '64'])

def test_too_few_pictures():
    with pytest.raises(CourseError, match='too few'): D.main(['--limit', '40', '--bs', '64'])

@pytest.mark.parametrize('world', [1, 2, 3, 4])
@pytest.mark.parametrize('n', [97, 96, 41, 33, 32, 7, 5])
def test_shares(n, world):
    "The processes' batches side by side are one process's; held-out pictures come once each, in as many batches everywhere."
    def epochs(training, bs, world):
        curves = []
        for rank in range(world):
            random.seed(0)
            share = D.Share(DataLoader(list(range(n)), bs=bs, shuffle=training, drop_last=training), rank, world)
            curves.append([b.tolist() for b in share])
            assert len(share) == len(curves[-1])
        return curves
    bs = 4
    if n >= bs * world:
        whole, = epochs(True, bs * world, 1)
        assert [sorted(sum(bs_, [])) for bs_ in zip(*epochs(True, bs, world))] == [sorted(b) for b in whole]
    held = epochs(False, bs, world)
    assert len({len(h) for h in held}) == 1
    assert sorted(i for h in held for b in h for i in b) == list(range(n))


# ---- a search shared by workers ----

def study_of(storage):
    "The search that the workers share; None before it begins."
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage) if names else None


def running_trials(storage) -> list:
    "Trials that a worker is at, with both settings drawn."
    study = study_of(storage)
    trials = study.get_trials() if study else []
    return [t for t in trials if t.state.name == 'RUNNING' and len(t.params) == 2]


def kill_in_a_trial(worker, storage, workers):
    "Stopped first, so that it is certain to be in a trial when it is killed."
    while True:
        while len(running_trials(storage)) < 2:
            assert all(w.poll() is None for w in workers)
            time.sleep(.05)
        worker.send_signal(signal.SIGSTOP)
        if len(running_trials(storage)) == 2: break
        worker.send_signal(signal.SIGCONT)
    worker.kill()
    worker.wait()


def test_a_worker_killed_in_its_shell_loses_and_doubles_nothing(env, tmp_path):
    "Two workers of the page's command, one storage; SIGKILL hits one in the middle of a trial."
    env = env | dict(COURSE_STORAGE=str(tmp_path/'search.db'))
    n = 3
    args = command('python -m course_utils sweep') + ['--n', str(n), '--limit', '100', '--epochs', '2', '--every', '1']
    pair = [subprocess.Popen(args, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    storage = open_storage(env['COURSE_STORAGE'])
    try:
        kill_in_a_trial(pair[0], storage, pair)
        printed, wrong = pair[1].communicate(timeout=180)
    finally:
        for worker in pair: worker.kill()
    assert pair[1].returncode == 0, wrong
    study = study_of(storage)
    finished = [tuple(sorted(t.params.items())) for t in study.get_trials(states=DONE)]
    assert len(finished) == n
    assert len(set(finished)) == n, 'no settings twice'
    assert f'Now {n}' in printed
    given_up = [t for t in study.trials if t.state.name == 'FAIL']
    assert len(given_up) <= 1, 'only the killed one fails'
