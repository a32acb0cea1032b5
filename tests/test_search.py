"Search: nothing is lost and nothing done twice, whatever is killed; and what choosing does to a score is measured."
import multiprocessing, os, random, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, optuna, pandas as pd, pytest
from hypothesis import given, settings, strategies as st
from optuna.trial import TrialState

from course_utils.techniques import search as S
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.techniques.search import AGAIN, OF, SURPLUS, FileLock, Report, best_score, choosing, finished, give_back, hold_out, median_rule, one_trial, open_storage, open_study, random_sampler, right_on, search, storage_address, tpe_sampler
from course_utils.explorers.search import search_explorer
from course_utils.training.learner import make_learner
from course_utils.training.train import train

FORK = multiprocessing.get_context('fork') if hasattr(os, 'fork') else None
needs_fork = pytest.mark.skipif(FORK is None, reason='needs fork')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160)

@pytest.fixture
def path(tmp_path): return str(tmp_path/'search.journal')

def study_at(path, name='s', sampler=None): return open_study(name, sampler or random_sampler(), storage=open_storage(path), fresh=False)

def objective(trial, takes=0.):
    x = trial.suggest_float('x', 0, 1)
    time.sleep(takes / 2)
    trial.suggest_float('y', 0, 1)
    time.sleep(takes / 2)
    return x

def undisturbed(n, seed=0):
    study = optuna.create_study(direction='maximize', sampler=random_sampler(seed))
    search(study, objective, n, quiet=True)
    return params(study)

def params(study, states=S.DONE): return sorted((t.params['x'], t.params['y']) for t in study.get_trials(states=states))

def states(study): return [t.state.name for t in study.trials]


# ---- stop and start again ----

def test_a_search_in_pieces_is_the_undisturbed_one(path):
    for n in (1, 4, 4, 9): assert len(search(study_at(path), objective, n, quiet=True)) == n
    assert params(study_at(path)) == undisturbed(9)

def test_samplers_of_optuna_alone_repeat_their_draws(path):
    "Why `ByPlace` is there: after a restart the same seed draws the same settings."
    for n in (3, 6): search(study_at(path, sampler=optuna.samplers.RandomSampler(seed=0)), objective, n, quiet=True)
    p = params(study_at(path))
    assert len(p) == 6 and len(set(p)) == 3
    assert len(set(undisturbed(6))) == 6

def test_seeds_differ(): assert not set(undisturbed(5, 0)) & set(undisturbed(5, 1))

def test_tpe_in_pieces_is_the_undisturbed_one(path):
    for n in (4, 7, 12): search(study_at(path, sampler=tpe_sampler(3)), objective, n, quiet=True)
    whole = optuna.create_study(direction='maximize', sampler=tpe_sampler(3))
    search(whole, objective, 12, quiet=True)
    assert params(study_at(path)) == params(whole)

def test_tpe_learns():
    peak = lambda trial: -(trial.suggest_float('x', 0, 1) - .3) ** 2
    late = []
    for seed in range(5):
        study = optuna.create_study(direction='maximize', sampler=tpe_sampler(seed))
        late += search(study, peak, 30, quiet=True).x[15:].sub(.3).abs().tolist()
    assert np.mean(late) < .15, 'drawn at random it would be 0.29'

@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.fault
def test_what_is_interrupted_is_given_back(path, error):
    def stops(trial):
        score = objective(trial)
        if trial.number == 2: raise error
        return score
    with pytest.raises(error): search(study_at(path), stops, 5, quiet=True)
    assert states(study_at(path)) == ['COMPLETE', 'COMPLETE', 'FAIL', 'WAITING']
    table = search(study_at(path), objective, 5, quiet=True)
    assert list(table.index) == [0, 1, 3, 4, 5] and AGAIN not in table
    assert params(study_at(path)) == undisturbed(5)

@pytest.mark.parametrize('score, error, says', [(float('nan'), CourseError, 'score of trial 0 is nan'), (float('inf'), CourseError, 'inf'), (None, TypeError, 'NoneType')])
@pytest.mark.fault
def test_a_score_that_is_no_number_ends_the_search(path, score, error, says):
    "Optuna alone would fail the trial with a warning, and a search for n good trials would never end."
    with pytest.raises(error, match=says): search(study_at(path), lambda t: score, 1, quiet=True)
    assert states(study_at(path)) == ['FAIL', 'WAITING']

def test_a_trial_stopped_half_drawn_draws_the_rest_as_it_would_have(path):
    def half(trial):
        trial.suggest_float('x', 0, 1)
        raise KeyboardInterrupt
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt): search(study_at(path), half, 2, quiet=True)
    search(study_at(path), objective, 2, quiet=True)
    assert params(study_at(path)) == undisturbed(2) and states(study_at(path)).count('FAIL') == 3

def test_settings_are_drawn_apart():
    "Draws that belong to a name must not be the same for two names."
    x, y = np.array(undisturbed(60)).T
    assert abs(np.corrcoef(x, y)[0, 1]) < .3 and .4 < x.mean() < .6 and .2 < x.std() < .4

def test_more_trials_later_and_fewer_change_nothing(path):
    search(study_at(path), objective, 3, quiet=True)
    assert len(search(study_at(path), None, 2, quiet=True)) == 3, 'enough are there, so none is run'

def test_an_enqueued_recipe_comes_first(path):
    study = study_at(path)
    study.enqueue_trial(dict(x=.25, y=.5))
    assert search(study, objective, 3, quiet=True).x.iloc[0] == .25 and len(study.trials) == 3


# ---- killed ----

def worker(path, n, takes, every, log):
    def noted(trial):
        score = objective(trial, takes)
        with open(log, 'a') as f: f.write(f'{os.getpid()} {trial.params["x"]}\n')
        return score
    search(study_at(path), noted, n, every=every, quiet=True)

def start(*args):
    p = FORK.Process(target=worker, args=args)
    p.start()
    return p

@needs_fork
@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.fault
def test_killed_at_random_moments_nothing_is_lost_or_doubled(path, tmp_path, seed):
    "SIGKILL, again and again, until a worker gets through. The trials are those of an undisturbed search."
    rng, n, kills = random.Random(seed), 8, 0
    while True:
        p = start(path, n, .15, .15, tmp_path/'log')
        p.join(rng.uniform(.05, .6) if kills < 10 else 60)
        if p.exitcode is not None: break
        os.kill(p.pid, signal.SIGKILL); p.join(); kills += 1
    assert p.exitcode == 0 and kills >= 3
    study = study_at(path)
    done = params(study)
    assert len(done) == len(set(done)) == n and set(states(study)) <= {'COMPLETE', 'FAIL'}
    assert done == undisturbed(n), 'what was killed came back with its settings'
    assert 'FAIL' in states(study)

@needs_fork
def test_two_workers_share_a_search(path, tmp_path):
    n = 14
    workers = [start(path, n, .1, 2., tmp_path/'log') for _ in range(2)]
    for w in workers: w.join(60)
    assert [w.exitcode for w in workers] == [0, 0]
    study, log = study_at(path), [line.split() for line in (tmp_path/'log').read_text().splitlines()]
    assert params(study) == undisturbed(n), 'no trial lost, none doubled, and no draw twice'
    assert len(log) == n and len({pid for pid, _ in log}) == 2, 'each was run once, and both took part'

@needs_fork
@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.fault
def test_two_workers_killed_at_random_moments(path, tmp_path, seed):
    rng, n = random.Random(seed), 10
    for _ in range(5):
        pair = [start(path, n, .15, .2, tmp_path/'log') for _ in range(2)]
        time.sleep(rng.uniform(.1, .6))
        for p in rng.sample(pair, 2): os.kill(p.pid, signal.SIGKILL); p.join()
    pair = [start(path, n, .05, .2, tmp_path/'log') for _ in range(2)]
    for p in pair: p.join(60)
    assert [p.exitcode for p in pair] == [0, 0] and params(study_at(path)) == undisturbed(n)

@needs_fork
@pytest.mark.fault
def test_a_worker_takes_over_from_one_that_was_killed(path, tmp_path):
    first = start(path, 4, 30., .2, tmp_path/'log')  # would take half a minute a trial
    while not any(t.params for t in study_at(path).trials): time.sleep(.05)
    os.kill(first.pid, signal.SIGKILL); first.join()
    began = time.time()
    second = start(path, 4, .05, .2, tmp_path/'log')
    second.join(60)
    assert second.exitcode == 0 and 1 < time.time() - began
    assert params(study_at(path)) == undisturbed(4) and len(study_at(path).trials) == 5

@needs_fork
def test_a_living_worker_is_left_in_peace(path, tmp_path):
    "Its trial is much longer than a heart may be silent."
    slow = start(path, 1, 3., .1, tmp_path/'log')
    time.sleep(.3)
    search(study_at(path), lambda t: pytest.fail('its trial was taken'), 1, every=.1, quiet=True)
    slow.join(60)
    assert states(study_at(path)) == ['COMPLETE']

@needs_fork
@pytest.mark.parametrize('hours', [-1, 1])
@pytest.mark.fault
def test_a_clock_that_is_set_changes_nothing(path, tmp_path, monkeypatch, hours):
    "This machine's clock jumps: who is killed is still found, and who lives is left in peace."
    for takes, killed in ((30., True), (2., False)):
        at = f'{path}-{killed}'
        other = start(at, 1, takes, .1, tmp_path/'log')
        while not any(t.params for t in study_at(at).trials): time.sleep(.05)
        if killed: os.kill(other.pid, signal.SIGKILL); other.join()
        now = time.time
        with monkeypatch.context() as m:
            m.setattr(time, 'time', lambda: now() + 3600 * hours)
            search(study_at(at), objective if killed else lambda t: pytest.fail('its trial was taken'), 1, every=.1, quiet=True)
        other.join(60)
        assert states(study_at(at)) == (['FAIL', 'COMPLETE'] if killed else ['COMPLETE'])

@needs_fork
def test_without_a_heartbeat_it_would_be_taken(path, tmp_path, monkeypatch):
    "The mutant that shows that the test above can fail."
    from contextlib import nullcontext
    monkeypatch.setattr(S, 'beating', lambda *a: nullcontext())
    slow = start(path, 1, 3., .1, tmp_path/'log')
    time.sleep(.3)
    search(study_at(path), objective, 1, every=.1, quiet=True)
    slow.join(60)
    assert states(study_at(path)) == ['FAIL', 'COMPLETE'] and slow.exitcode == 0

@pytest.mark.fault
def test_a_trial_that_was_taken_over_is_not_done_twice(path, capsys):
    "As after a laptop's sleep: another worker has given the trial back meanwhile."
    study, calls = study_at(path), []
    def sleepy(trial):
        calls.append(trial.number)
        score = objective(trial)
        if trial.number == 0: give_back(study_at(path), 0)
        return score
    search(study, sleepy, 2, quiet=True)
    assert params(study) == undisturbed(2) and states(study).count('COMPLETE') == 2 and 'taken over' in capsys.readouterr().out

@pytest.mark.fault
def test_a_trial_that_was_taken_over_stops_at_its_next_word(path, capsys):
    study = study_at(path)
    def sleepy(trial):
        x = trial.suggest_float('x', 0, 1)
        if trial.number == 0: give_back(study_at(path), 0)
        trial.suggest_float('y', 0, 1)
        assert trial.number > 0, 'it goes no further'
        return x
    search(study, sleepy, 2, quiet=True)
    assert params(study) == undisturbed(2) and 'taken over' in capsys.readouterr().out

def test_the_last_place_is_taken_once(path):
    "Two workers see it free at once; the second finds that it came too late."
    study = study_at(path)
    search(study, objective, 2, quiet=True)
    study.ask()  # the other worker has it
    one_trial(study, lambda t: pytest.fail('a surplus trial was run'), 3, 5)
    last = study.trials[-1]
    assert last.state == TrialState.FAIL and last.user_attrs[SURPLUS] and len(study.trials) == 4

def dead_in_the_middle(path, n=3):
    "A search whose third trial was begun and drawn, and whose worker then died."
    study = study_at(path)
    search(study, objective, n - 1, quiet=True)
    trial = study.ask()
    trial.suggest_float('x', 0, 1)
    return study

@pytest.mark.fault
def test_killed_while_it_gives_back(path, monkeypatch):
    "Between queueing and marking: the queued one is run, the other marked, and nothing queued again."
    study = dead_in_the_middle(path)
    def killed(*_): raise SystemExit
    with monkeypatch.context() as m:
        m.setattr(S, 'failed', killed)
        with pytest.raises(SystemExit): give_back(study, 2)
    assert states(study)[2:] == ['RUNNING', 'WAITING']
    search(study_at(path), objective, 3, quiet=True)
    assert states(study)[2:] == ['FAIL', 'COMPLETE'] and params(study) == undisturbed(3)

@pytest.mark.fault
def test_given_back_by_two_at_once_it_is_run_once(path):
    study = dead_in_the_middle(path)
    t = study.trials[2]
    for _ in range(2): study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, params=t.params, distributions=t.distributions, user_attrs={AGAIN: 2, OF: 2}))
    search(study_at(path), objective, 3, quiet=True)
    assert states(study)[2:] == ['FAIL', 'COMPLETE', 'FAIL'] and params(study) == undisturbed(3)
    assert len(search(study_at(path), objective, 4, quiet=True)) == 4 and params(study) == undisturbed(4)

def test_what_finished_after_all_is_not_repeated(path):
    "It was queued again, and then its worker woke up."
    study = dead_in_the_middle(path)
    t = study.trials[2]
    study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, params=t.params, distributions=t.distributions, user_attrs={AGAIN: 2, OF: 2}))
    study.tell(2, 1.)
    search(study_at(path), lambda t: pytest.fail('it was run again'), 3, quiet=True)
    assert states(study)[2:] == ['COMPLETE', 'FAIL']

def test_a_surplus_trial_is_never_queued(path):
    study = dead_in_the_middle(path)
    study.ask().set_user_attr(SURPLUS, True)  # killed before it was marked as failed
    give_back(study, 3)
    assert states(study)[3:] == ['FAIL']

def test_giving_back_twice_queues_once(path):
    study = study_at(path)
    study.ask()
    give_back(study, 0); give_back(study_at(path), 0)
    assert states(study) == ['FAIL', 'WAITING']
    search(study, objective, 1, quiet=True)
    give_back(study, 1)
    assert states(study) == ['FAIL', 'COMPLETE'], 'what is finished stays'


# ---- the file ----

@pytest.mark.fault
def test_the_lock_dies_with_its_process(tmp_path):
    if S.fcntl is None: pytest.skip('no flock here')
    path = tmp_path/'j'
    path.write_bytes(b'{}\n')
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'rb+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, '-S', '-c', code, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'held\n'
    lock, got = FileLock(path), []
    import threading
    waiting = threading.Thread(target=lambda: got.append(lock.acquire())); waiting.start()
    waiting.join(.3); assert not got, 'it is held'
    holder.kill(); waiting.join(10)
    assert got == [True]
    lock.release()

@pytest.mark.skipif(S.fcntl is None, reason='no flock here')
@pytest.mark.parametrize('whole, half', [(b'{"a":1}\n{"b":2}\n', b'{"c":'), (b'', b'{"a"'), (b'{"a":1}\n', b'')])
@pytest.mark.fault
def test_half_a_line_is_cut_off(tmp_path, whole, half):
    path = tmp_path/'j'
    path.write_bytes(whole + half)
    lock = FileLock(path)
    lock.acquire(); lock.release()
    assert path.read_bytes() == whole

@pytest.mark.skipif(S.fcntl is None, reason='no flock here')
@pytest.mark.fault
def test_ctrl_c_while_waiting_for_the_lock_leaves_it_free(tmp_path, monkeypatch):
    path = tmp_path/'j'
    path.touch()
    lock = FileLock(path)
    def interrupted(*_): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(S.fcntl, 'flock', interrupted)
        with pytest.raises(KeyboardInterrupt): lock.acquire()
    assert lock.threads.acquire(timeout=1), 'else the next one would wait for ever'

@pytest.mark.fault
def test_a_journal_with_half_a_line_goes_on(path):
    search(study_at(path), objective, 2, quiet=True)
    with open(path, 'ab') as f: f.write(b'{"op_code":4,"wor')
    search(study_at(path), objective, 4, quiet=True)
    assert params(study_at(path)) == undisturbed(4)

def test_address(tmp_path, monkeypatch):
    monkeypatch.delenv('COURSE_STORAGE', raising=False)
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    assert Path(storage_address()) == tmp_path/'cache'/'search.journal'
    search(open_study('a', fresh=False), objective, 1, quiet=True)
    assert (tmp_path/'cache'/'search.journal').exists()
    monkeypatch.setenv('COURSE_STORAGE', f'sqlite:///{tmp_path}/mine.db')
    search(open_study('a', random_sampler(), fresh=False), objective, 3, quiet=True)
    assert (tmp_path/'mine.db').exists() and params(open_study('a', random_sampler(), fresh=False)) == undisturbed(3)

@pytest.mark.parametrize('address', ['nosuch://me:secret@host/db', 'postgresql://me:secret@nowhere.invalid/db', '/dev/null/x'])
@pytest.mark.fault
def test_a_storage_that_cannot_be_opened_gets_one_sentence(address):
    with pytest.raises(CourseError, match='cannot be opened') as e: open_storage(address)
    assert 'secret' not in str(e.value) and '\n' not in str(e.value)

def test_fresh_forgets_one_study(path, monkeypatch):
    storage = open_storage(path)
    for name in 'ab': search(open_study(name, storage=storage, fresh=False), objective, 2, quiet=True)
    monkeypatch.setenv('COURSE_FRESH', '1')
    assert len(open_study('a', storage=storage).trials) == 0 and len(open_study('b', storage=storage, fresh=False).trials) == 2

def test_what_is_printed_at_the_end_says_what_was_there(path, capsys):
    search(study_at(path), objective, 2, quiet=True)
    table = search(study_at(path), objective, 5)
    assert capsys.readouterr().out.endswith(f'2 of 5 trials are there. Now 5, best {table.score.max():.4f}.\n')
    assert best_score(optuna.create_study()) != best_score(optuna.create_study()), 'nan where there is none'


# ---- pruning ----

@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=8), st.integers(0, 4), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_median_rule_is_optuna_s(histories, startup, warmup):
    study = optuna.create_study(direction='maximize', pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup))
    complete = []
    for scores in histories:
        trial = study.ask()
        for step, score in enumerate(scores):
            trial.report(score, step)
            stop = trial.should_prune()
            assert stop == median_rule(scores[:step + 1], complete, startup, warmup)
            if stop: study.tell(trial, state=TrialState.PRUNED); break
        else: study.tell(trial, scores[-1]); complete.append(scores)

def test_report_prunes_a_training(pics):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study, trial): return trial.last_step == 1
    study = optuna.create_study(direction='maximize', pruner=Always(), sampler=random_sampler())
    seen = {}
    def fit(trial):
        trial.suggest_float('x', 0, 1)
        return train(pics, 'resnet10t', 3, freeze_epochs=1, cbs=[Report(trial)], quiet=True, device='cpu').accuracy
    table = search(study, fit, 1, quiet=True)
    t = study.trials[0]
    assert t.state == TrialState.PRUNED and list(t.intermediate_values) == [0, 1] and table.state.tolist() == ['pruned']
    assert table.score[0] == t.intermediate_values[1] and finished(study) == 1

def test_report_tells_what_the_history_says(pics):
    study = optuna.create_study(direction='maximize', pruner=optuna.pruners.NopPruner())
    trial = study.ask()
    run = train(pics, 'resnet10t', 2, freeze_epochs=1, cbs=[Report(trial)], quiet=True, device='cpu')
    assert list(study.trials[0].intermediate_values.values()) == run.history.valid_accuracy.tolist()


# ---- choosing ----

def test_hold_out_takes_from_training_only(pics):
    before = pics.table.copy()
    inner = hold_out(pics, .25)
    test = set(pics.table.path[pics.valid])
    assert len(inner) == len(pics.train) and not test & set(inner.table.path)
    assert len(inner.valid) == pytest.approx(.25 * len(inner), abs=4) and set(inner.y[inner.valid]) == set(range(len(pics.classes)))
    assert pics.table.equals(before) and not np.shares_memory(inner.x, pics.x)
    assert (hold_out(pics, .25, seed=1).valid != inner.valid).any() and (hold_out(pics, .25).valid == inner.valid).all()

@given(st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_choosing_against_all_orders(n, seed):
    from itertools import permutations
    rng = np.random.default_rng(seed)
    valid, test = rng.permutation(n) / n, rng.random(n)  # no two alike, so the best is one
    orders = np.array(list(permutations(range(n))))
    found = choosing(valid, test, n=4000)
    for k in range(1, n + 1):
        best = [o[:k][valid[o[:k]].argmax()] for o in orders]
        assert found.loc[k, 'looks'] == pytest.approx(valid[best].mean(), abs=.05) and found.loc[k, 'is'] == pytest.approx(test[best].mean(), abs=.05)
    assert found.looks.iloc[-1] == pytest.approx(valid.max()) and found['is'].iloc[-1] == pytest.approx(test[valid.argmax()])

def test_where_nothing_differs_but_luck_all_of_the_gain_is_optimism():
    rng = np.random.default_rng(0)
    gain = np.mean([(f.iloc[-1] - f.iloc[0]).to_numpy() for f in (choosing(*rng.binomial(200, .8, (2, 40)) / 200, n=300) for _ in range(60))], 0)
    assert gain[0] > .04 and abs(gain[1]) < .012

def test_right_on(pics):
    learn = make_learner(pics, 'resnet10t', quiet=True, device='cpu')
    r = right_on(learn.model, pics)
    learn.model.eval()
    x, y = next(iter(learn.dls.valid))
    assert r.shape == (len(pics.valid),) and (r[:len(y)] == (learn.model(x).argmax(1) == y).numpy()).all()


# ---- explorer ----

def test_explorer():
    t = pd.DataFrame(dict(state=['complete', 'complete', 'pruned', 'complete'], score=[.6, .7, .9, .65], seconds=1., lr=[1e-3, 1e-2, 1e-1, 3e-3], kind=['a', 'b', 'a', 'b'], test=[.5, .55, .9, .6]))
    e = search_explorer(t, 'lr')
    first, second, third = (e.at(k=k) for k in (1, 2, 3))
    assert '60.0%, at lr 0.001, kind a. On the test pictures it is 50.0%' in first[1] and '70.0%' in second[1] and '70.0%, at lr 0.01, kind b' in third[1]
    assert (first[0] != second[0]).any() and (second[0] != third[0]).any()
    assert 'test' not in search_explorer(t.drop(columns='test'), 'lr').at(k=1)[1]
    with pytest.raises(CourseError, match='one finished trial'): search_explorer(t[:1], 'lr')
