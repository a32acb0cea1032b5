"The recipe of `recommend`: the frozen half first, fine-tuning only where folds of the training pictures show a gain."
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.advice import choice, plan
from course_utils.advice.choice import HalvesCompared, choose_half, frozen_answers, inner_folds, warm_head, with_inner_fold
from course_utils.advice.notebook import NOTEBOOK_TEMPLATE, recipe_notebook
from course_utils.advice.plan import PLAN_SIZES, Costs, Plan, Work, affordable_epochs, largest_size, make_plan
from course_utils.advice.series import Leak
from course_utils.data import painted
from course_utils.data.decode import Found
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.techniques.deep_features import linear_probe, recipe_features
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.training.learner import build_model
from course_utils.training.recipe import Recipe
from course_utils.training.run import probabilities

RECIPE = Recipe('tf_efficientnet_lite0', 1, pretrained=True, freeze_stages=5, kept_views=2, bs=16, batchnorm='still')
N_LAST = 1280  # channels of that network's last map


@pytest.fixture(autouse=True)
def private(tmp_path_factory, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path_factory.getbasetemp()/'cache'))
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')


def noise(n=120, n_valid=20, groups=None, labels=None) -> Pictures:
    "Pictures of noise whose labels say nothing of them."
    rng = np.random.default_rng(0)
    labels = rng.permutation(n) % 2 if labels is None else labels
    table = pd.DataFrame(dict(path=[f'{k}.png' for k in range(n)], label=labels, stratum=labels.astype(str), split='train'))
    table.loc[table.index[-n_valid:], 'split'] = 'valid'
    if groups is not None: table['group'] = groups
    return Pictures('noise', rng.integers(0, 256, (n, 32, 32, 3), np.uint8), ['apple', 'pear'], table, Found())


@pytest.fixture(scope='module')
def pics(): return noise()


@pytest.fixture
def tuned(monkeypatch):
    "Fine-tuning that names a share of the pictures right, as is planted; it notes the places that it learnt from."
    planted = SimpleNamespace(share=1., seen=[])

    def tune(pics, features, recipe, n_last, seed):
        planted.seen.append(pics.train)
        labels = pics.y[pics.valid]
        right = np.arange(len(labels)) < planted.share * len(labels)
        return SimpleNamespace(probs=np.eye(2)[np.where(right, labels, 1 - labels)], targets=labels)

    monkeypatch.setattr(choice, 'tune', tune)
    return planted


# ---- the rule ----

def test_fine_tuning_that_gains_is_kept(pics, tuned):
    frozen = linear_probe(pics, RECIPE)
    tuned.share = .95
    chosen = choose_half(pics, frozen, RECIPE)
    assert chosen.is_tuned
    assert chosen.trial.interval[0] > 0
    assert 'the fine-tuned network is kept' in chosen.words
    assert np.array_equal(tuned.seen[-1], pics.train), 'the last training is on all training pictures'


def test_fine_tuning_that_loses_is_not(pics, tuned):
    frozen = linear_probe(pics, RECIPE)
    tuned.share = .1
    chosen = choose_half(pics, frozen, RECIPE)
    assert chosen.run is frozen
    assert 'the frozen network is kept' in chosen.words
    assert len(tuned.seen) == 3, 'no training but those of the folds'


def test_a_gain_that_may_be_chance_is_not(pics, tuned):
    frozen = linear_probe(pics, RECIPE)
    tuned.share = .5
    assert choose_half(pics, frozen, RECIPE).run is frozen


def test_no_folds_no_fine_tuning(pics, tuned):
    frozen = linear_probe(pics, RECIPE)
    chosen = choose_half(pics, frozen, RECIPE, folds=0)
    assert chosen.run is frozen
    assert not tuned.seen


def test_what_could_not_be_shown_is_not_tried(tuned):
    "Light pictures and dark ones: the frozen half makes no mistake."
    easy = noise()
    easy.x[:] = np.where(easy.y == 1, 230, 20).astype(np.uint8)[:, None, None, None] + easy.x // 16
    frozen = linear_probe(easy, RECIPE)
    chosen = choose_half(easy, frozen, RECIPE)
    assert chosen.run is frozen
    assert 'could not be shown to be better' in chosen.words
    assert not tuned.seen


answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=6, max_size=80)


@given(answers, st.integers(0, 99), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_kept_one_is_never_the_worse_on_the_pictures_that_chose(rows, seed, weighed):
    rng = np.random.default_rng(seed)
    frozen, tuned = np.array(rows, float).T
    weights = rng.uniform(.5, 2, len(rows)) if weighed else np.ones(len(rows))
    trial = HalvesCompared(frozen, tuned, np.arange(len(rows)) % 3, rng.integers(0, 9, len(rows)), weights / weights.mean())
    before, after = trial.accuracies
    assert not trial.is_shown or after > before
    assert trial.gain == pytest.approx(after - before)


def test_a_gain_that_one_fold_lacks_is_chance_of_a_training():
    frozen, tuned, folds = np.zeros(90), np.zeros(90), np.arange(90) % 3
    tuned[folds < 2] = 1
    trial = HalvesCompared(frozen, tuned, folds, None, np.ones(90))
    assert trial.interval[0] > 0
    assert trial.fold_gains == [1, 1, 0]
    assert not trial.is_shown


def test_the_interval_counts_groups():
    rng = np.random.default_rng(0)
    frozen = (rng.random(120) < .5).astype(float)
    tuned = np.maximum(frozen, np.repeat(rng.random(12) < .5, 10))
    alone = HalvesCompared(frozen, tuned, np.arange(120) % 3, None, np.ones(120))
    grouped = replace(alone, groups=np.repeat(np.arange(12), 10))
    assert grouped.interval[0] < alone.interval[0]


def test_where_classes_are_weighed_a_rare_one_counts_as_much(pics):
    rare = noise(labels=np.repeat([0, 1], [96, 24]))
    weighed = replace(RECIPE, callbacks=(BalancedLoss,))
    weights = choice.picture_weights(rare, np.arange(120), weighed)
    assert weights[:96].sum() == pytest.approx(weights[96:].sum())
    assert (choice.picture_weights(pics, pics.train, RECIPE) == 1).all()


# ---- folds of the training pictures ----

def test_each_training_picture_is_held_out_once(pics):
    numbers = inner_folds(pics, 3)
    held_out = np.concatenate([with_inner_fold(pics, numbers, fold).valid for fold in range(3)])
    assert np.array_equal(np.sort(held_out), pics.train)


def test_what_is_held_out_takes_no_part_in_the_choice(pics):
    inner = with_inner_fold(pics, inner_folds(pics, 3), 0)
    assert not {*pics.valid} & {*inner.train, *inner.valid}
    assert inner.x is pics.x


def test_groups_stay_whole():
    grouped = noise(groups=np.arange(120) // 5)
    inner = with_inner_fold(grouped, inner_folds(grouped, 3), 1)
    groups = grouped.table.group.to_numpy()
    assert not {*groups[inner.train]} & {*groups[inner.valid]}


def test_solar_modules_stay_whole():
    cells = load_pictures('solar', size=32, limit=300)
    numbers = inner_folds(cells, 3)
    table = cells.table.assign(fold=numbers)[numbers >= 0]
    assert (table.groupby('module').fold.nunique() == 1).all()


def test_runs_of_a_series_stay_whole(tuned):
    series = noise()
    frozen = linear_probe(series, RECIPE)
    chosen = choose_half(series, frozen, RECIPE, neighbours='in file order')
    runs = chosen.trial.groups
    assert len(np.unique(runs)) == 20  # of five pictures each; four more are held out
    assert (pd.Series(chosen.trial.folds).groupby(runs).nunique() == 1).all()
    assert chosen.run.targets is not None
    assert 'group' not in series.table


def test_a_series_that_was_found_goes_into_the_plan(timed):
    made = make_plan(noise(), minutes=60)
    leak = Leak('in file order', 20, random=.9, apart=.8, low=.05, high=.15)
    assert made.with_neighbours(None).neighbours == ''
    assert made.with_neighbours(replace(leak, low=-.1)).neighbours == ''
    assert made.with_neighbours(replace(leak, order='by module')).neighbours == ''
    nb = recipe_notebook('x', [], made.with_neighbours(leak))
    assert "neighbours='in file order')" in '\n'.join(cell.source for cell in nb.cells)


def test_a_fold_that_would_take_all_of_a_class(tuned):
    lone = noise(groups=np.arange(120) // 60, labels=np.repeat([0, 1], 60))
    lone.table['split'] = np.where(np.arange(120) % 6 == 0, 'valid', 'train')
    assert inner_folds(lone, 2) is None
    frozen = linear_probe(lone, RECIPE)
    assert choose_half(lone, frozen, RECIPE, folds=2).run is frozen
    assert not tuned.seen


def test_no_head_has_seen_the_fold_that_it_names(pics):
    "Of noise nothing can be told; a head that had seen these pictures would name them all."
    features = recipe_features(pics, RECIPE)
    right = frozen_answers(pics, inner_folds(pics, 3), features, RECIPE)[pics.train]
    assert right.mean() < .75


# ---- where fine-tuning begins ----

def test_fine_tuning_begins_where_a_linear_head_has_come(pics):
    features = recipe_features(pics, RECIPE)
    head = warm_head(features, pics, pics.train, RECIPE, N_LAST)
    network = build_model(replace(RECIPE, head=head), 2).eval()
    means = features[0][:, -2 * N_LAST:-N_LAST]
    logits = means @ head.weight.T + head.bias
    odds = np.exp(logits - logits.max(1, keepdims=True))
    assert np.allclose(probabilities(network, pics.x), odds / odds.sum(1, keepdims=True), atol=1e-4)


def test_a_head_of_another_shape_is_drawn_at_random():
    head = choice.WarmHead(np.zeros((2, 7)), np.zeros(2))
    assert head(9, 2).weight.shape == (2, 9)


def test_both_halves_for_real():
    "On painted cracks, with one epoch: whatever it comes to, the rule holds."
    cracks, _ = painted.crack_task(load_pictures('solar', size=32, limit=150))
    frozen = linear_probe(cracks, RECIPE)
    chosen = choose_half(cracks, frozen, RECIPE, folds=2)
    before, after = chosen.trial.accuracies
    assert chosen.is_tuned == chosen.trial.is_shown
    assert not chosen.is_tuned or after > before
    assert len(chosen.trial.tuned) == len(cracks.train)


# ---- minutes ----

COSTS = Costs(size=128, forward=.01, step=.02, head=1.)


def test_minutes_choose_the_size():
    work = Work(1000, 750, 1, COSTS)
    sizes = [largest_size(minutes, work) for minutes in (.01, .2, .4, .7, 5)]
    assert sizes == [96, 128, 192, 224, 224]


@given(st.floats(.01, 60), st.integers(10, 20_000))
@settings(max_examples=60, deadline=None)
def test_no_size_takes_longer_than_it_may(minutes, n):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COURSE_PROFILE', 'cpu')
        work = Work(n, n * 3 // 4, 1, COSTS)
        size = largest_size(minutes, work)
        epochs = affordable_epochs(minutes, work, size)
    assert size in PLAN_SIZES
    assert size == 96 or work.frozen_minutes(size) <= minutes
    assert epochs == 0 or 3 <= epochs <= 12
    assert not epochs or work.frozen_minutes(size) + work.tuning_minutes(size, epochs) <= minutes * (1 + 1e-9)


@pytest.fixture
def timed(monkeypatch): monkeypatch.setattr(plan, 'timed_costs', lambda *_: COSTS)


def many(n=400):
    few = noise()
    return few.take(np.resize(np.arange(len(few)), n))


def test_few_minutes_leave_the_mirror_and_fine_tuning_out(timed):
    made = make_plan(many(), minutes=.25)
    assert made.size == 224
    assert made.recipe.kept_views == 1
    assert made.folds == 0
    assert made.minutes <= .25
    assert 'no fine-tuning' in str(made)


def test_many_minutes_allow_both(timed):
    made = make_plan(many(), minutes=60)
    assert made.recipe.kept_views == 2
    assert made.folds == 3
    assert made.recipe.epochs == 12
    assert 'kept only if they show a gain' in str(made)


def test_on_few_pictures_fine_tuning_is_not_tried(timed): assert make_plan(noise(), minutes=60).folds == 0


def test_where_names_speak_of_sides_nothing_is_mirrored(timed):
    assert make_plan(replace(many(), classes=['left', 'right']), minutes=60).recipe.kept_views == 1


def test_a_rare_class_is_weighed(timed):
    made = make_plan(noise(labels=np.repeat([0, 1, 0], [80, 16, 24])), minutes=60)
    assert made.weighs_classes
    assert 'classes weighed' in str(made)


def test_costs_are_timed():
    costs = plan.timed_costs('tf_efficientnet_lite0', 2, 50)
    assert min(costs.forward, costs.step, costs.head) > 0


# ---- the notebook ----

def test_steps_follow_in_order():
    text = NOTEBOOK_TEMPLATE.read_text(encoding='utf-8')
    steps = ['leave_out(pics', 'linear_probe(pics', 'choose_half(pics', 'run = choice.run', 'analyse(run', 'export(run', 'write_page(model_file']
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def test_no_line_of_code_is_longer_than_100_characters():
    nb = recipe_notebook('x', [], Plan(RECIPE, size=96, folds=3, minutes=1))
    lines = [line for cell in nb.cells if cell.cell_type == 'code' and 'def classify' not in cell.source for line in cell.source.splitlines()]
    assert max(map(len, lines)) <= 100
    assert not re.search(r'\$\w', '\n'.join(lines))
