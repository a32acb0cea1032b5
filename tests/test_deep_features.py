"Features of several depths: equal to pooling by hand, kept by content, a head that is scikit-learn's, and one network of it all."
import json

import numpy as np, onnxruntime, pytest, torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course_utils.config import CourseError
from course_utils.data.loader import to_input
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.publish.small import half_weights
from course_utils.techniques.answer import open_model
from course_utils.techniques.deep_features import DeepClassifier, deep_features, fit_linear_head, linear_probe, view_features
from course_utils.techniques.export import export
from course_utils.techniques.gradcam import gradcam, target_layer
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.techniques.tta import symmetric_views
from course_utils.training.frozen_maps import FrozenMaps
from course_utils.training.recipe import Recipe
from course_utils.training.run import probabilities


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=96)


@pytest.fixture(scope='module')
def model(): return create_model('tf_efficientnet_lite0')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch): monkeypatch.setenv('COURSE_CACHE', str(tmp_path))


@pytest.fixture
def computed(monkeypatch):
    "How many pictures pass the network."
    seen, compute = [], FrozenMaps.compute
    monkeypatch.setattr(FrozenMaps, 'compute', lambda self, places, *view: seen.append(len(places)) or compute(self, places, *view))
    return seen


def by_hand(model, images):
    with torch.no_grad(): last, maps = model.eval().forward_intermediates(to_input(images, *norm_of(model)), indices=3)
    return torch.cat([pool for x in [*maps, last] for pool in (x.mean((2, 3)), x.amax((2, 3)))], 1).numpy()


def test_equal_to_pooling_by_hand(pics, model):
    assert np.allclose(deep_features(model, pics), by_hand(model, pics.x), rtol=1e-4, atol=1e-4)


def test_views_are_averaged(pics, model):
    expected = np.mean([by_hand(model, view(pics.x)) for view in symmetric_views()], 0)
    assert np.allclose(deep_features(model, pics, views=8), expected, rtol=1e-4, atol=1e-4)


def test_a_second_call_computes_nothing_anew(pics, model, computed):
    first = deep_features(model, pics)
    computed.clear()
    again = deep_features(model, pics)
    assert sum(computed) == 1  # one to learn the shape
    assert np.array_equal(first, again)


def test_without_a_cache_nothing_is_kept(pics, model, tmp_path):
    plain = deep_features(model, pics, cache=False)
    assert not list(tmp_path.rglob('*.npy'))
    assert np.array_equal(plain, deep_features(model, pics))


def test_other_weights_are_other_features(pics):
    untrained = create_model('tf_efficientnet_lite0', pretrained=False)
    first = deep_features(untrained, pics)
    with torch.no_grad(): untrained.conv_stem.weight.mul_(2)
    assert not np.allclose(first, deep_features(untrained, pics))


@pytest.mark.fault
def test_features_that_were_cut_off_are_computed_again(pics, model, monkeypatch):
    "A file that was begun is no file of features: what is missing in it is computed."
    compute, batches = FrozenMaps.compute, []

    def stops(self, places, *view):
        batches.append(places)
        if len(batches) == 3: raise KeyboardInterrupt
        return compute(self, places, *view)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenMaps, 'compute', stops)
        with pytest.raises(KeyboardInterrupt): deep_features(model, pics, bs=32)
    assert np.allclose(deep_features(model, pics, bs=32), by_hand(model, pics.x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('n_classes', [2, 3])
def test_the_head_is_scikit_learn_s(n_classes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (120, 8)), rng.integers(0, n_classes, 120)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=.01, max_iter=300)).fit(x, y)
    assert np.allclose(fit_linear_head(x, y, n_classes).probs(x), peer.predict_proba(x), atol=1e-6)


def test_a_class_without_pictures_is_never_named():
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2 * 2
    assert 1 not in fit_linear_head(x, y, 3).probs(x).argmax(1)


@pytest.mark.fault
def test_one_class_alone():
    with pytest.raises(CourseError, match='one class only'): fit_linear_head(np.zeros((4, 2)), np.zeros(4, int), 2)


def test_views_stand_apart(pics, model):
    mirrored = pics.x[:, :, ::-1].copy()
    assert np.allclose(view_features(model, pics, 2)[1], by_hand(model, mirrored), rtol=1e-4, atol=1e-4)


def test_a_balanced_head_weighs_its_classes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (200, 5)), (np.arange(200) % 10 == 0).astype(int)
    x[y == 1] += .5
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=.01, max_iter=300, class_weight='balanced')).fit(x, y)
    assert np.allclose(fit_linear_head(x, y, 2, balanced=True).probs(x), peer.predict_proba(x), atol=1e-6)


# ---- one network of it all ----

RECIPE = Recipe('tf_efficientnet_lite0', 1, pretrained=True, freeze_stages=5, kept_views=2)


@pytest.fixture(scope='module')
def probe(pics, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COURSE_CACHE', str(tmp_path_factory.mktemp('probe')))
        return linear_probe(pics, RECIPE)


@pytest.fixture(scope='module')
def away(probe, pics, tmp_path_factory): return export(probe, pics, tmp_path_factory.mktemp('away'))


def answered(file, x) -> dict:
    "All outputs of an exported file."
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {'pictures': x.contiguous().numpy()})))


def test_the_network_says_what_the_head_says(probe, pics):
    assert np.allclose(probabilities(probe.model, pics.x[pics.valid]), probe.probs, atol=1e-4)


def test_the_probe_learns_what_it_trains_on(probe):
    [row] = probe.history.to_dict('records')
    assert row['train_accuracy'] > row['valid_accuracy'] - .1
    assert probe.accuracy == row['valid_accuracy']


def test_the_exported_file_says_the_same(probe, pics, away):
    x = to_input(pics.x[pics.valid], *norm_of(probe.model))
    with torch.inference_mode(): expected = probe.model(x).numpy()
    assert np.abs(answered(away['onnx'], x)['logits'] - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
    assert away['difference'] <= 1e-4


def test_its_map_is_grad_cam(probe, pics, away):
    x = to_input(pics.x[:4], *norm_of(probe.model))
    maps = answered(away['onnx'], x)['maps']
    layer = target_layer(probe.model, pics.size, least=1)
    assert layer == 'depths.body.bn2'
    for label in range(2):
        cam = gradcam(probe.model, x, label, layer)
        places = cam.shape[1] * cam.shape[2]
        assert np.allclose(places * cam, maps[:, label].clip(0), rtol=1e-3, atol=1e-5 * np.abs(maps).max())


def test_its_detector_is_there(away):
    session, facts = open_model(away['onnx'])
    assert [output.name for output in session.get_outputs()] == ['logits', 'maps', 'distance']
    assert facts['unlike']['pictures'] == 26
    assert facts['map'] == 'last'


def test_its_weights_make_the_same_network(probe, pics, away):
    again = DeepClassifier(create_model(RECIPE.arch, pretrained=False), 2)
    again.load_state_dict(torch.load(away['pt'], weights_only=True))
    assert np.allclose(probabilities(again, pics.x[:9]), probabilities(probe.model, pics.x[:9]), atol=1e-5)


def test_16_bits_keep_what_it_says(probe, pics, away, tmp_path):
    x = to_input(pics.x[pics.valid], *norm_of(probe.model))
    files = half_weights(away['onnx'], tmp_path/'half.onnx'), away['onnx']
    half, whole = (softmax(answered(file, x)['logits'], axis=1) for file in files)
    assert np.abs(half - whole).max() < 5e-3


def test_its_facts_are_those_of_the_pictures(pics, away):
    facts = json.loads(away['json'].read_text(encoding='utf-8'))
    assert facts['labels'] == pics.classes
    assert facts['size'] == pics.size


def test_a_recipe_that_weighs_its_classes_weighs_them_here(pics):
    weighed = Recipe('tf_efficientnet_lite0', 1, pretrained=True, callbacks=(BalancedLoss,))
    plain = Recipe('tf_efficientnet_lite0', 1, pretrained=True)
    shares = [linear_probe(pics, recipe).probs[:, 1].mean() for recipe in (plain, weighed)]
    assert shares[1] > shares[0], 'the rarer class is named more often'
