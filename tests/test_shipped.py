"The exported file is the run's: its classes, size, normalisation and greys; on the same file it answers as the training path did."
import json
from dataclasses import replace

import numpy as np, onnx, pandas as pd, pytest, timm, torch
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.decode import Found
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.techniques.answer import classify
from course_utils.techniques.export import CONTRACT, cpu_copy, export
from course_utils.training.recipe import Recipe
from course_utils.training.run import RESIZE, DataFacts, Run, predict
from course_utils.training.train import train

RECIPE = Recipe('resnet10t', 1, bs=16)
SIZES = [(50, 50), (64, 64), (65, 64), (333, 500), (700, 430), (1200, 900)]


def stripes(seed, kind, width=72, height=72):
    "Grey stripes in a direction, with noise."
    rng = np.random.default_rng(9 * seed + kind)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(.4 * (x * np.cos(kind) + y * np.sin(kind)) + rng.uniform(0, 6))
    return 128 + 60 * waves[..., None] + rng.normal(0, 25, (height, width, 3))


def save_8_bits(values, path): Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)


def class_folder(root, name, kind, n=8, save=save_8_bits, ending='png', **size):
    (root/name).mkdir(parents=True)
    for k in range(n): save(stripes(k, kind, **size), root/name/f'{k}.{ending}')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('pictures')
    for kind, name in enumerate(('beta', 'gamma')): class_folder(root, name, kind, n=40)
    return root


@pytest.fixture(scope='module', autouse=True)
def apart(tmp_path_factory):
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSE_CACHE', str(tmp_path_factory.mktemp('cache')))
        m.delenv('COURSE_FRESH', raising=False)
        yield


@pytest.fixture(scope='module')
def pics(root, apart): return load_pictures(root, size=64)


@pytest.fixture(scope='module')
def run(pics): return train(pics, RECIPE, keep=True, quiet=True, device='cpu')


def facts_in(file): return {p.key: json.loads(p.value) for p in onnx.load(file).metadata_props}


# ---- the run knows ----

def test_a_run_knows_what_it_was_trained_on(run, pics):
    mean, std = run.model.pretrained_cfg['mean'], run.model.pretrained_cfg['std']
    assert run.data == DataFacts(('beta', 'gamma'), 64, mean, std, None, RESIZE, run.config['data'])
    assert train(pics, RECIPE, quiet=True, device='cpu').data == run.data, 'kept or not'
    with pytest.raises(AttributeError): run.data.size = 32


def test_a_run_that_was_found_knows_it_too(run, pics):
    found = train(pics, RECIPE, keep=True, quiet=True, device='cpu')
    assert found.learn is None
    assert found.data == run.data


def test_export_asks_the_run(run, pics, tmp_path):
    "Three ways to call it."
    first, second, third = export(run, tmp_path), export(run, pics, tmp_path), export(run, tmp_path, name='mine')
    facts = facts_in(first['onnx'])
    assert facts == facts_in(third['onnx']) == json.loads(first['json'].read_text(encoding='utf-8'))
    known = dict(labels=['beta', 'gamma'], size=64, mean=list(run.data.mean), std=list(run.data.std), grey_range=None, resize=RESIZE, contract=CONTRACT)
    assert facts | known == facts
    assert facts_in(second['onnx']) | known == facts_in(second['onnx'])
    assert third['onnx'].name == 'mine.onnx'
    assert max(files['difference'] for files in (first, second, third)) < 1e-5


# ---- refused ----

def with_classes(pics, classes): return Pictures(pics.name, pics.x, classes, pics.table, pics.found)


@pytest.mark.fault
def test_a_class_folder_more_is_refused(run, root, tmp_path):
    "The field's case: three labels for two outputs, shifted."
    alpha = root/'alpha'
    class_folder(root, 'alpha', 2)
    try: grown = load_pictures(root, size=64)
    finally:
        for file in alpha.iterdir(): file.unlink()
        alpha.rmdir()
    with pytest.raises(CourseError, match='trained on the classes beta; gamma, but these pictures have alpha; beta; gamma'): export(run, grown, tmp_path)
    assert not list(tmp_path.iterdir())
    assert facts_in(export(run, tmp_path)['onnx'])['labels'] == ['beta', 'gamma']


@pytest.mark.parametrize('classes, says', [(['gamma', 'beta'], 'gamma; beta in another order'), (['a', 'x'], 'these pictures have a; x:')])
@pytest.mark.fault
def test_other_classes_are_refused(run, pics, classes, says, tmp_path):
    with pytest.raises(CourseError, match=says): export(run, with_classes(pics, classes), tmp_path)


@pytest.mark.fault
def test_another_size_is_refused(run, root, tmp_path):
    with pytest.raises(CourseError, match='64×64 pixels, but these have 128×128'): export(run, load_pictures(root, size=128), tmp_path)


@pytest.mark.fault
def test_a_bare_network_needs_its_pictures(run, pics, tmp_path):
    with pytest.raises(CourseError, match='give export the pictures, too'): export(run.model, tmp_path)
    with pytest.raises(CourseError, match=r'2 outputs, but these pictures have 3 classes \(a; b; c\)'): export(run.model, with_classes(pics, list('abc')), tmp_path)
    with pytest.raises(CourseError, match='give it a folder'): export(run)
    assert facts_in(export(run.model, pics, tmp_path)['onnx'])['labels'] == ['beta', 'gamma']


def test_a_run_made_by_hand_is_as_a_network(run, pics, tmp_path):
    by_hand = Run(run.history, run.probs, run.targets, None, 1., run.model)
    assert facts_in(export(by_hand, pics, tmp_path)['onnx'])['size'] == 64
    with pytest.raises(CourseError, match='give export the pictures'): export(by_hand, tmp_path)


def test_the_normalisation_is_that_of_the_training(run, tmp_path):
    "Not that of the network's own configuration, where the two differ."
    other = replace(run, data=replace(run.data, mean=(.1, .2, .3), std=(.5, .6, .7)))
    files = export(other, tmp_path)
    assert facts_in(files['onnx'])['mean'] == [.1, .2, .3]
    assert files['difference'] < 1e-5


# ---- the same answer on the same file ----

def save_grey(values, path): Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert('L').save(path)
def save_12_bits(values, path): Image.fromarray((values[..., 0].clip(0, 255) * 4095 / 255).astype(np.uint16)).save(path)
def save_ct(values, path): Image.fromarray((values[..., 0] * 10 - 1000).astype(np.int32)).save(path)


FORMATS = {
    'png': (save_8_bits, 'png'),
    'jpeg': (save_8_bits, 'jpg'),
    'webp': (save_8_bits, 'webp'),
    'bmp': (save_8_bits, 'bmp'),
    'grey png': (save_grey, 'png'),
    '12-bit tif': (save_12_bits, 'tif'),
    'CT values': (save_ct, 'tif'),
}


@pytest.mark.parametrize('name', FORMATS)
def test_the_file_answers_as_the_training_path_did(name, run, tmp_path):
    "Large JPEGs are decoded smaller; greys of more than 8 bits go by the data set's range, which one file cannot know."
    save, ending = FORMATS[name]
    for kind in (0, 1):
        (tmp_path/'in'/f'class{kind}').mkdir(parents=True)
        for k, (width, height) in enumerate(SIZES):
            darker = .3 if k % 2 else 1  # its own range is another
            save(darker * stripes(k, kind, width, height), tmp_path/'in'/f'class{kind}'/f'{k}.{ending}')
    pics = load_pictures(tmp_path/'in', size=64)
    trained = train(pics, RECIPE, quiet=True, device='cpu')
    files = [str(pics.table.path[i]) for i in pics.valid]
    shipped = export(trained, tmp_path)
    labels, probs = classify(shipped['onnx'], files)
    loader_probs, _ = predict(cpu_copy(trained.model), pics.loaders(trained.data.mean, trained.data.std).valid)
    assert labels == ['class0', 'class1']
    assert (pics.found.grey_range is not None) == (name in ('12-bit tif', 'CT values'))
    assert facts_in(shipped['onnx'])['grey_range'] == (pics.found.grey_range and list(pics.found.grey_range))
    assert np.abs(probs - loader_probs).max() < 1e-5
    assert np.abs(probs - trained.probs).max() < 1e-5


def test_a_file_of_an_older_course_is_still_read(run, tmp_path):
    "Its metadata have no range of greys."
    files = export(run, tmp_path)
    model = onnx.load(files['onnx'])
    kept = [p for p in model.metadata_props if p.key not in ('grey_range', 'resize')]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path/'old.onnx')
    save_8_bits(stripes(0, 0), tmp_path/'x.png')
    assert np.array_equal(classify(tmp_path/'old.onnx', [tmp_path/'x.png'])[1], classify(files['onnx'], [tmp_path/'x.png'])[1])


def test_names_of_classes_are_those_of_the_run_even_where_the_list_changes_later(pics):
    copy = with_classes(pics, list(pics.classes))
    fresh = train(copy, RECIPE, quiet=True, device='cpu')
    copy.classes.append('new')
    assert fresh.data.classes == ('beta', 'gamma')


def test_three_outputs_for_three_classes(tmp_path):
    torch.manual_seed(0)
    table = pd.DataFrame(dict(path='', label=[0, 1, 2] * 2, stratum='', split=['train'] * 3 + ['valid'] * 3))
    pics = Pictures('three', np.zeros((6, 48, 48, 3), np.uint8), list('abc'), table, Found())
    assert facts_in(export(timm.create_model('resnet10t', num_classes=3), pics, tmp_path)['onnx'])['labels'] == list('abc')
