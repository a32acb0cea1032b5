"Mixup, CutMix, label smoothing, averaged weights, TrivialAugment and growing pictures: beside the libraries', and in a training."
from dataclasses import replace

import albumentations as A, numpy as np, pytest, torch
from fastai.callback.core import Callback
from hypothesis import given, settings, strategies as st
from PIL import Image
from timm.data.mixup import Mixup as TimmMixup
from timm.utils import ModelEmaV3
from torch.nn.functional import cross_entropy, one_hot
from torchvision.transforms.autoaugment import TrivialAugmentWide, _apply_op
from torchvision.transforms.functional import InterpolationMode

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.techniques import newer_techniques as T
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.techniques.trivial_augment import OPERATIONS, TrivialAugment, operated
from course_utils.training.keep import describe
from course_utils.training.recipe import Recipe
from course_utils.training.train import train

RECIPE = Recipe('resnet10t', 2, bs=16, schedule='constant')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=96)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch): monkeypatch.setenv('COURSE_CACHE', str(tmp_path))


def batch(n: int=8, size: int=32):
    torch.manual_seed(0)
    return torch.rand(n, 3, size, size), torch.arange(n) % 3


# ---- mixup and CutMix: timm's ----

def timm_mixed(x, y, seed: int, **alphas):
    "timm's mixed pictures and labels. It mixes each batch with itself in reverse order."
    np.random.seed(seed)
    mixer = TimmMixup(num_classes=3, label_smoothing=0, **alphas)
    return mixer(x.clone(), y)


def reversed_order(x) -> np.ndarray: return np.arange(len(x))[::-1].copy()


@pytest.mark.parametrize('seed', range(5))
def test_mixup_is_timms(seed):
    x, y = batch()
    expected, expected_labels = timm_mixed(x, y, seed, mixup_alpha=.4, cutmix_alpha=0)
    np.random.seed(seed)
    np.random.rand()  # timm asks first whether it mixes at all
    share = np.random.beta(.4, .4)
    order, labels = reversed_order(x), one_hot(y, 3).float()
    torch.testing.assert_close(T.mix(x, x[order], share), expected)
    torch.testing.assert_close(T.mix(labels, labels[order], share), expected_labels)


@pytest.mark.parametrize('seed', range(8))
def test_cutmix_is_timms(seed):
    x, y = batch()
    expected, expected_labels = timm_mixed(x, y, seed, mixup_alpha=0, cutmix_alpha=1.)
    np.random.seed(seed)
    np.random.rand()
    share = np.random.beta(1., 1.)
    centre = [int(np.random.randint(0, 32, size=None)) for _ in range(2)]
    order, labels = reversed_order(x), one_hot(y, 3).float()
    pasted, left = T.paste(x, x[order], T.box(32, share, centre))
    torch.testing.assert_close(pasted, expected)
    torch.testing.assert_close(T.mix(labels, labels[order], left), expected_labels)


@given(share=st.floats(0, 1), y=st.integers(0, 31), x=st.integers(0, 31))
def test_a_label_weighs_what_is_seen(share, y, x):
    "The share of the first label is the share of its pixels that is left, also where the box is cut off at the edge."
    pasted, left = T.paste(torch.zeros(2, 3, 32, 32), torch.ones(2, 3, 32, 32), T.box(32, share, (y, x)))
    assert left == pytest.approx(1 - float(pasted.mean()), abs=1e-6)


@given(alpha=st.floats(.1, 2), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_mixed_labels_stay_probabilities(alpha, seed):
    x, y = batch()
    for kind in (T.Mixup, T.CutMix):
        callback = kind()
        callback.alpha, callback.rng = alpha, np.random.default_rng(seed)
        _, labels = callback.change(x, one_hot(y, 3).float())
        assert torch.allclose(labels.sum(1), torch.ones(len(y)))
        assert labels.min() >= 0


# ---- label smoothing: torch's ----

@given(share=st.floats(0, .9), seed=st.integers(0, 99))
def test_smoothing_is_torchs(share, seed):
    torch.manual_seed(seed)
    logits, y = torch.randn(8, 5), torch.randint(5, (8,))
    expected = cross_entropy(logits, y, label_smoothing=share)
    torch.testing.assert_close(cross_entropy(logits, T.soften(one_hot(y, 5).float(), share)), expected)


def test_smoothing_and_mixing_in_either_order():
    y = one_hot(torch.tensor([0, 1, 2]), 3).float()
    torch.testing.assert_close(T.soften(T.mix(y, y.flip(0), .3)), T.mix(T.soften(y), T.soften(y).flip(0), .3))


# ---- in a training ----

class Watch(Callback):
    "Notes each batch as the network takes it, and the loss that it learns from."
    order = 50
    def before_fit(self): self.batches = []

    def after_loss(self):
        labels = getattr(self.learn, 'soft_labels', None)
        self.batches.append((self.training, self.x.shape[-1], labels, self.learn.loss_grad.item(), self.pred.detach(), self.y))


def watched(pics, *callbacks, **changes) -> list:
    watch = Watch()
    train(pics, replace(RECIPE, callbacks=(*callbacks, watch), **changes), quiet=True, device='cpu')
    return watch.batches


def test_the_loss_is_with_the_soft_labels_while_training_alone(pics):
    for training, _, labels, loss, pred, y in watched(pics, T.CutMix, T.LabelSmoothing):
        expected = cross_entropy(pred, labels) if training else cross_entropy(pred, y)
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        assert (labels is not None) == training


def test_two_callbacks_work_on_one_batch(pics):
    "Smoothed and mixed: no label is certain, none is as smooth as the share alone makes it."
    labels = torch.cat([labels for training, _, labels, *_ in watched(pics, T.Mixup, T.LabelSmoothing) if training])
    n = labels.shape[1]
    assert labels.min() >= T.LabelSmoothing.share / n - 1e-6
    assert ((labels > .2) & (labels < .8)).any()


def test_smoothing_trains_as_torchs_loss_does(pics):
    class TorchLoss(Callback):
        def before_train(self): self.learn.loss_func = torch.nn.CrossEntropyLoss(label_smoothing=.1)
        def after_train(self): self.learn.loss_func = torch.nn.CrossEntropyLoss()

    ours = train(pics, replace(RECIPE, callbacks=(T.LabelSmoothing,)), quiet=True, device='cpu')
    torchs = train(pics, replace(RECIPE, callbacks=(TorchLoss(),)), quiet=True, device='cpu')
    np.testing.assert_allclose(ours.probs, torchs.probs, atol=2e-4)


def test_a_seed_tells_the_mixing(pics):
    draws = [torch.cat([row[2] for row in watched(pics, T.Mixup, seed=seed) if row[0]]) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize('callback', [T.Mixup, T.CutMix, T.GrowingPictures])
def test_frozen_stages_see_what_was_made_of_the_pictures(pics, callback):
    "With the stages cut off in front the training is the same as with BatchNorm and weights held still in place."
    class StillStages(Callback):
        def before_train(self):
            from course_utils.training.freezing import frozen_names, still
            still(self.model, frozen_names(self.model, 3))

    recipe = replace(RECIPE, callbacks=(callback,), pretrained=False)
    cut = train(pics, replace(recipe, freeze_stages=3), quiet=True, device='cpu')
    whole = train(pics, replace(recipe, callbacks=(callback, StillStages())), quiet=True, device='cpu')
    np.testing.assert_allclose(cut.probs, whole.probs, atol=2e-3)


@pytest.mark.parametrize('callback', [T.Mixup, T.GrowingPictures])
def test_kept_views_leave_no_pictures_to_change(pics, callback):
    with pytest.raises(CourseError, match='set kept_views=0'):
        train(pics, replace(RECIPE, callbacks=(callback,), freeze_stages=3, kept_views=2), quiet=True, device='cpu')


# ---- averaged weights: timm's ----

@given(step=st.integers(0, 5000), decay=st.floats(.5, .9999))
def test_the_first_steps_are_timms_warmup(step, decay):
    timms = ModelEmaV3(torch.nn.Linear(1, 1), decay=decay, use_warmup=True, warmup_gamma=10, warmup_power=1)
    assert T.kept_share(step, decay) == pytest.approx(timms.get_decay(step + 1))


def test_the_average_is_timms(pics):
    class Timms(Callback):
        order = T.AverageWeights.order + 1
        def before_fit(self):
            self.mean = ModelEmaV3(self.model, decay=.99, use_warmup=True, warmup_gamma=10, warmup_power=1)
            self.steps = 0
        def after_step(self):
            self.steps += 1
            self.mean.update(self.model, self.steps)

    timms = Timms()
    run = train(pics, replace(RECIPE, callbacks=(T.AverageWeights, timms)), quiet=True, device='cpu')
    expected = timms.mean.module.state_dict()
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def test_the_network_that_learns_is_left_alone(pics):
    "The training loss is that of a training without the average; the held-out loss is not."
    plain = train(pics, RECIPE, quiet=True, device='cpu').history
    averaged = train(pics, replace(RECIPE, callbacks=(T.AverageWeights,)), quiet=True, device='cpu').history
    np.testing.assert_allclose(averaged.train_loss, plain.train_loss, rtol=1e-5)
    assert not np.allclose(averaged.valid_loss, plain.valid_loss)


def test_what_is_judged_is_what_is_handed_over(pics):
    run = train(pics, replace(RECIPE, callbacks=(T.AverageWeights,)), quiet=True, device='cpu')
    assert run.history.valid_loss.iloc[-1] == pytest.approx(run.valid_loss, rel=1e-4)


def test_with_frozen_stages_the_network_is_whole(pics):
    recipe = replace(RECIPE, callbacks=(T.AverageWeights,), freeze_stages=3)
    run = train(pics, recipe, quiet=True, device='cpu')
    assert run.history.valid_loss.iloc[-1] == pytest.approx(run.valid_loss, rel=1e-2)


# ---- pictures that grow ----

def test_pictures_grow_while_training_alone(pics):
    batches = watched(pics, T.GrowingPictures, epochs=4)
    sides = [side for training, side, *_ in batches if training]
    assert sides == sorted(sides)
    assert sides[0] < 32
    assert sides[-1] == 32
    assert {side for training, side, *_ in batches if not training} == {32}


@given(full=st.integers(32, 512), done=st.floats(0, 1))
def test_a_side_is_of_whole_blocks(full, done):
    side = T.side_at(done, full)
    assert side <= full
    assert side % 16 == 0 or side == full


def test_sides_of_the_measured_size():
    assert [T.side_at(done, 96) for done in (0, .375, .75, 1)] == [64, 80, 96, 96]


def test_the_last_quarter_is_full(): assert {T.side_at(done, 100) for done in (.75, .9, 1.)} <= {96, 100}


# ---- TrivialAugment: torchvision's ----

TORCHVISION = dict(zip(OPERATIONS, TrivialAugmentWide()._augmentation_space(31)))  # in the same order


def picture() -> np.ndarray:
    "Smooth, in colours, and not symmetric."
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(40, 216, (6, 6, 3), dtype=np.uint8))
    return np.array(small.resize((48, 48)))


@pytest.mark.parametrize('sign', [-1, 1])
@pytest.mark.parametrize('name', OPERATIONS)
def test_strengths_are_torchvisions(name, sign):
    magnitudes, has_sign = TrivialAugmentWide()._augmentation_space(31)[TORCHVISION[name]]
    expected = magnitudes.double().expand(31) * (sign if has_sign else 1)
    strengths = [OPERATIONS[name].strength(level / 30, sign) for level in range(31)]
    if name == 'posterize': strengths = np.round(strengths)
    np.testing.assert_allclose(strengths, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize('sign', [-1, 1])
@pytest.mark.parametrize('name', OPERATIONS)
def test_a_change_is_torchvisions(name, sign):
    for level in range(0, 31, 3):
        magnitude = OPERATIONS[name].strength(level / 30, sign)
        if name == 'posterize': magnitude = round(magnitude)
        expected = _apply_op(Image.fromarray(picture()), TORCHVISION[name], magnitude, InterpolationMode.NEAREST, None)
        np.testing.assert_array_equal(operated(picture(), name, level / 30, sign), np.array(expected))


def test_every_change_is_drawn_as_often():
    draw = TrivialAugment(p=1)
    draw.set_random_seed(0)
    params = [draw.get_params() for _ in range(14000)]
    counts = [sum(p['name'] == name for p in params) for name in OPERATIONS]
    assert len(counts) == len(TORCHVISION) == 14
    assert 850 < min(counts) <= max(counts) < 1150
    assert {round(p['share'] * 30) for p in params} == set(range(31))
    assert 6600 < sum(p['sign'] == 1 for p in params) < 7400


def test_a_recipe_can_have_it_and_be_kept(pics):
    recipe = replace(RECIPE, epochs=1, augment=A.Compose([A.HorizontalFlip(p=.5), TrivialAugment(p=1)]))
    run = train(pics, recipe, quiet=True, device='cpu', keep=True)
    assert train(pics, recipe, quiet=True, device='cpu', keep=True).kept.startswith('found')
    assert 'TrivialAugment' in str(describe(recipe.augment))
    assert np.isfinite(run.valid_loss)


def test_draws_are_those_of_the_seed(pics):
    x = picture()
    tfm = A.Compose([TrivialAugment(p=1)])
    views = []
    for seed in (0, 0, 1):
        tfm.set_random_seed(seed)
        views.append(np.stack([tfm(image=x)['image'] for _ in range(6)]))
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


# ---- what is compared ----

def test_each_recipe_changes_one_thing(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    first, *rest = T.newer_recipes().values()
    for recipe in rest[:-1]:
        differing = [name for name in vars(recipe) if describe(getattr(recipe, name)) != describe(getattr(first, name))]
        assert differing in (['augment'], ['callbacks'])
        assert len(recipe.callbacks) <= 1
    assert len({str(describe(vars(recipe))) for recipe in rest}) == len(rest)


def test_the_label_says_which_views(monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'cats_dogs')
    assert len(T.newer_recipes()['recipe'].augment.transforms) == 1
    monkeypatch.setenv('COURSE_DATA', 'solar')
    assert len(T.newer_recipes()['recipe'].augment.transforms) == 2


@pytest.mark.fault
@pytest.mark.parametrize('soft', [T.LabelSmoothing, T.Mixup, T.CutMix])
def test_a_loss_of_its_own_is_not_weighed_in_silence(pics, soft):
    recipe = replace(RECIPE, callbacks=(BalancedLoss, soft))
    with pytest.raises(CourseError, match='BalancedLoss would do nothing'): train(pics, recipe, quiet=True, device='cpu')
