"""A classifier for others: the file knows what it needs, and Python, the plain code, the app and the page read it alike."""
import json, platform, re, subprocess, sys, tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest, timm, torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from course_utils.config import CourseError, root
from course_utils.data.decode import Found, centre_square, read_picture
from course_utils.data.pictures import Pictures
from course_utils.publish import app, page, serve, space
from course_utils.publish.small import half_weights, quantized
from course_utils.report.intervals import proportion_interval
from course_utils.techniques.answer import SHIPPED_TO_ASK, answer, calibrated, classify, open_model, refused, standalone
from course_utils.techniques.calibration import temperature
from course_utils.techniques.deep_features import pool_maps
from course_utils.techniques.export import cpu_copy, export, features_and_early, has_early_maps, held_out_facts, last_layer
from course_utils.techniques.gradcam import gradcam
from course_utils.techniques.novelty import FEWEST_PICTURES, find_threshold, fit_novelty
from course_utils.training.run import probabilities

LABELS = ['<b>one</b>', 'two & "three"']
SIZE = 64


def striped(rng, n, upright) -> np.ndarray:
    "Pictures with stripes, the one way or the other, and noise."
    waves = 128 + 90 * np.sin(np.arange(SIZE) / rng.uniform(2, 5, (n, 1)))
    images = np.broadcast_to(waves[:, None, :, None], (n, SIZE, SIZE, 3))
    if upright: images = images.transpose(0, 2, 1, 3)
    return (images + rng.normal(0, 9, images.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def pics():
    rng = np.random.default_rng(0)
    x = np.concatenate([striped(rng, 60, False), striped(rng, 60, True)])
    labels = np.repeat([0, 1], 60)
    table = pd.DataFrame(dict(path='', label=labels, stratum=labels.astype(str), split=['train', 'valid'] * 60))
    return Pictures('stripes', x, LABELS, table, Found())


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return timm.create_model('resnet10t', num_classes=2).eval()


@pytest.fixture(scope='module')
def exported(network, pics, tmp_path_factory):
    return export(network, pics, tmp_path_factory.mktemp('away'), troubles=['They are *striped*.'])


@pytest.fixture(scope='module')
def opened(exported): return open_model(exported['onnx'])


# ---- the resize ----

def by_contract(image, size) -> np.ndarray:
    "Bicubic with a = −½, widened where it makes smaller, in whole numbers, across and then down: what the page does, in NumPy."
    def bicubic(x):
        x = abs(x)
        if x < 1: return (1.5 * x - 2.5) * x * x + 1
        return (((x - 5) * x + 8) * x - 4) * -.5 if x < 2 else 0.

    def matrix(n, start, length):
        scale = length / size
        wide = max(scale, 1)
        rows = np.zeros((size, n))
        for i in range(size):
            centre = start + (i + .5) * scale
            places = range(max(int(centre - 2 * wide + .5), 0), min(int(centre + 2 * wide + .5), n))
            weights = np.array([bicubic((j - centre + .5) / wide) for j in places])
            rows[i, places] = np.round(weights / weights.sum() * 2**22)
        return rows

    def to_bytes(sums): return np.clip((sums + 2**21) // 2**22, 0, 255)

    height, width = image.shape[:2]
    side = min(width, height)
    across = to_bytes(np.einsum('xw,hwc->hxc', matrix(width, (width - side) / 2, side), image.astype(float)))
    return to_bytes(np.einsum('yh,hxc->yxc', matrix(height, (height - side) / 2, side), across))


@given(st.integers(5, 90), st.integers(5, 90), st.integers(3, 60), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_resize_is_the_contract_at_any_size(width, height, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    resized = np.asarray(centre_square(Image.fromarray(image), size))
    assert (resized == by_contract(image, size)).all()


def test_it_is_pillows_fit_where_a_picture_is_wide():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 131, 3)).astype(np.uint8))
    assert (np.asarray(centre_square(image, 32)) == np.asarray(ImageOps.fit(image, (32, 32), Image.Resampling.BICUBIC))).all()


def test_a_large_jpeg_is_decoded_whole(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8))
    image.save(tmp_path/'large.jpg')
    with Image.open(tmp_path/'large.jpg') as file: whole = np.asarray(file)
    assert (read_picture(tmp_path/'large.jpg', 64)[0] == by_contract(whole, 64)).all()


# ---- the map ----

@pytest.mark.parametrize('arch', ['resnet10t', 'tf_efficientnet_lite0', 'regnetx_002'])
def test_the_map_is_grad_cam_up_to_a_factor(arch):
    "Behind the mean over h·w places and one linear layer, Grad-CAM's weights are the layer's, divided by h·w."
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=3).eval()
    x = torch.randn(2, 3, 128, 128)
    last = last_layer(model, x)
    with torch.inference_mode(): features = model.forward_features(x)
    cam = torch.einsum('bnhw,cn->bchw', features, last.weight).relu().detach().numpy()
    layer = [name for name, module in model.named_modules() if name][[m for _, m in model.named_modules()].index(last) - 1]
    deepest = dict(resnet10t='layer4', tf_efficientnet_lite0='bn2', regnetx_002='final_conv').get(arch, layer)
    for label in range(3):
        maps = gradcam(model, x, label, deepest)
        places = maps.shape[1] * maps.shape[2]
        assert np.allclose(places * maps, cam[:, label], rtol=1e-3, atol=1e-5 * abs(cam).max() + 1e-6)


@pytest.mark.parametrize('arch', ['mobilenetv3_small_050', 'convnext_atto', 'vit_tiny_patch16_224'])
def test_a_network_with_more_behind_the_map_has_none(arch):
    model = timm.create_model(arch, num_classes=3).eval()
    with torch.no_grad():
        for parameter in model.parameters(): parameter.add_(.05 * torch.randn_like(parameter))
    assert last_layer(model, torch.randn(2, 3, 224, 224)) is None


def test_the_map_sums_up_to_the_logits(network, opened):
    session, facts = opened
    x = np.random.default_rng(0).normal(size=(3, 3, SIZE, SIZE)).astype(np.float32)
    logits, maps = session.run(['logits', 'maps'], dict(pictures=x))
    bias = network.get_classifier().bias.detach().numpy()
    assert np.allclose(maps.mean((2, 3)) + bias, logits, atol=1e-4)


# ---- the detector ----

def test_the_distance_is_that_of_the_covariance_written_out():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)) * [5, 4, 3, 1, 1, 1]
    labels = np.arange(300) % 2
    features[labels == 1] += 4
    novelty = fit_novelty(features, labels, k=3)
    features = features / features.std(0)
    directions, variances = novelty.directions.numpy(), novelty.variances.numpy()
    covariance = directions @ np.diag(variances - float(novelty.rest)) @ directions.T + float(novelty.rest) * np.eye(6)
    point = rng.normal(size=6)
    scaled = point * novelty.scale.numpy()
    means = [features[labels == label].mean(0) for label in (0, 1)]
    expected = min((scaled - mean) @ np.linalg.inv(covariance) @ (scaled - mean) for mean in means) / 6
    assert float(novelty(torch.tensor(point[None], dtype=torch.float32))) == pytest.approx(expected, rel=1e-3)


def test_false_alarms_are_as_many_as_they_are_said_to_be():
    rng = np.random.default_rng(0)
    threshold = find_threshold(rng.chisquare(5, 4000))
    later = rng.chisquare(5, 40_000)
    assert threshold.false_alarms == pytest.approx(.05, abs=.01)
    assert (later > threshold.value).mean() == pytest.approx(.05, abs=.01)


def test_false_alarms_of_groups_are_those_on_new_groups():
    "Cells of one module lie alike far off: a new module brings its own distance, which cells of known ones do not tell."
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 60)
    distances = rng.normal(size=20)[groups] + .1 * rng.normal(size=len(groups))
    by_picture, by_group = find_threshold(distances), find_threshold(distances, groups=groups)
    assert by_picture.value == by_group.value
    assert by_picture.false_alarms == pytest.approx(.05, abs=.02)
    assert by_group.false_alarms > 1.5 * by_picture.false_alarms


def test_of_few_pictures_nothing_is_said():
    assert find_threshold(np.arange(FEWEST_PICTURES - 1)) is None
    assert fit_novelty(np.zeros((10, 3)), [0, 1] * 5) is None


def test_features_that_never_move_do_no_harm():
    "More features than pictures, and most of them constant."
    features = np.zeros((60, 200))
    features[:, 0] = np.random.default_rng(0).normal(size=60)
    distances = fit_novelty(features, [0, 1] * 30)(torch.tensor(features, dtype=torch.float32))
    assert torch.isfinite(distances).all()


def test_something_else_is_called_unlike(opened, pics):
    session, facts = opened
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    assert answer(session, facts, noise)['is_unlike'] is True
    alike = [answer(session, facts, pics.x[place])['is_unlike'] for place in pics.valid]
    assert np.mean(alike) <= .1


@pytest.mark.parametrize('arch', ['resnet10t', 'tf_efficientnet_lite0', 'regnetx_002', 'convnext_atto', 'vit_tiny_patch16_224'])
def test_early_maps_come_with_the_same_last_features(arch):
    "timm's `forward_intermediates` gives what `forward_features` gives, and the maps of the stages before."
    model = timm.create_model(arch, num_classes=3).eval()
    x = torch.randn(1, 3, 224, 224)
    assert has_early_maps(model, x)
    with torch.inference_mode():
        features, compared = features_and_early(model, x, with_early=True)
        maps = model.forward_intermediates(x, indices=3, intermediates_only=True)
        assert torch.allclose(model.forward_head(features), model(x), rtol=1e-3, atol=1e-4)
    assert torch.equal(compared, pool_maps(maps))


def test_without_early_maps_the_last_features_have_to_do():
    class Others(torch.nn.Module):
        "Gives maps of another network than the one it answers with."
        def forward_features(self, x): return x.mean((2, 3))

        def forward_head(self, features, pre_logits=False): return features

        def forward_intermediates(self, x, indices): return 2 * x.mean((2, 3)), [x] * indices

    x = torch.randn(2, 3, 8, 8)
    assert not has_early_maps(Others(), x)
    features, compared = features_and_early(Others(), x, with_early=False)
    assert torch.equal(features, compared)


# ---- the file ----

def test_the_file_holds_what_its_user_needs(opened):
    session, facts = opened
    assert [output.name for output in session.get_outputs()] == ['logits', 'maps', 'distance']
    assert facts['contract']['filter'] == 'bicubic'
    assert facts['contract']['antialias'] is True
    assert facts['views'][0] == [0, False]
    assert facts['unlike']['pictures'] == 60
    assert facts['map'] == 'all'


def test_the_temperature_is_that_of_the_held_out_pictures(network, pics, opened):
    probs = probabilities(cpu_copy(network), pics.x[pics.valid])
    assert opened[1]['temperature'] == pytest.approx(temperature(np.log(probs), pics.y[pics.valid]), rel=1e-3)


def test_views_that_turn_the_classes_into_each_other_are_left_out(pics, tmp_path):
    "A quarter turn makes the one kind of stripes the other: a network that knows them must not be asked that way."
    class Upright(torch.nn.Module):
        pretrained_cfg = dict(mean=(0, 0, 0), std=(1, 1, 1), architecture='')

        def forward(self, x):
            across, down = x.diff(dim=3).abs().mean((1, 2, 3)), x.diff(dim=2).abs().mean((1, 2, 3))
            return torch.stack([across - down, down - across], 1) * 50 + 0 * self.nothing

        def __init__(self):
            super().__init__()
            self.nothing = torch.nn.Parameter(torch.zeros(()))

    facts = open_model(export(Upright(), pics, tmp_path)['onnx'])[1]
    assert facts['views'] == [[0, False], [2, False], [0, True], [2, True]]


def test_the_plain_code_gives_the_same_answer(exported, pics, tmp_path):
    files = []
    for k, place in enumerate(pics.valid[:3]):
        files.append(str(tmp_path/f'{k}.png'))
        Image.fromarray(pics.x[place]).resize((90, 150)).save(files[-1])
    code = standalone(SHIPPED_TO_ASK) + f'''
session, facts = open_model({str(exported['onnx'])!r})
for file in {files!r}:
    told = answer(session, facts, read_picture(file, facts['size'])[0])
    print(json.dumps([told['views'].tolist(), told['map'].tolist(), told['distance'], told['agree']]))
'''
    lines = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.splitlines()
    session, facts = open_model(exported['onnx'])
    for file, line in zip(files, lines, strict=True):
        views, evidence, distance, agree = json.loads(line)
        told = answer(session, facts, read_picture(file, SIZE)[0])
        assert np.abs(np.array(views) - told['views']).max() < 1e-6
        assert np.abs(np.array(evidence) - told['map']).max() < 1e-5
        assert agree == told['agree']
        assert classify(exported['onnx'], [file])[1][0] == pytest.approx(told['probs'], abs=1e-5)


def test_calibrated_divides_by_the_temperature():
    logits = np.array([[2., 0.]], np.float32)
    assert calibrated(logits, dict(temperature=2))[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_weights_of_16_bits_are_half_the_file(exported, pics, tmp_path):
    small = half_weights(exported['onnx'], tmp_path/'half.onnx')
    assert small.stat().st_size < .55 * exported['onnx'].stat().st_size
    (session, facts), (whole, _) = open_model(small), open_model(exported['onnx'])
    image = pics.x[pics.valid[0]]
    assert np.abs(answer(session, facts, image)['probs'] - answer(whole, facts, image)['probs']).max() < 5e-3


def test_8_bits_keep_the_map_the_detector_and_the_facts(exported, pics, tmp_path):
    facts = open_model(exported['onnx'])[1]
    small = quantized(exported['onnx'], tmp_path/'small.onnx', pics.x[pics.train[:32]], facts)
    session, same_facts = open_model(small)
    assert same_facts == facts
    assert small.stat().st_size < .35 * exported['onnx'].stat().st_size
    assert answer(session, facts, pics.x[0])['map'].shape == (2, 2)


# ---- what somebody hands in ----

@pytest.mark.fault
def test_odd_files_get_a_sentence(opened, tmp_path):
    session, facts = opened
    (tmp_path/'paper.jpg').write_bytes(b'%PDF-1.4 and so on')
    (tmp_path/'empty.png').write_bytes(b'')
    Image.new('L', (10_000, 10_000)).save(tmp_path/'huge.png')
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(tmp_path/'cut.png')
    (tmp_path/'cut.png').write_bytes((tmp_path/'cut.png').read_bytes()[:60])
    said = {name: app.answer_file(session, facts, tmp_path/name) for name in ('paper.jpg', 'empty.png', 'huge.png', 'cut.png', 'gone.png')}
    assert '100 million pixels' in said['huge.png']
    assert 'is damaged' in said['cut.png']
    for name in ('paper.jpg', 'empty.png', 'gone.png'): assert 'no picture that can be read here' in said[name]
    (tmp_path/'long.png').write_bytes(bytes(2_100_000))
    assert '2 MB, and at most 1 are taken' in refused(tmp_path/'long.png', max_bytes=1_000_000)


def test_names_of_classes_are_text(opened, pics):
    session, facts = opened
    text = app.answer_html(answer(session, facts, pics.x[0]), facts, pics.x[0])
    assert '&lt;b&gt;one&lt;/b&gt;' in text
    assert '<b>one</b>' not in text


def test_what_is_unlike_is_said_first(opened, pics):
    session, facts = opened
    told = answer(session, facts, pics.x[0]) | dict(is_unlike=True)
    assert 'I do not know' in app.answer_html(told, facts, pics.x[0])[:200]
    assert 'I do not know' not in app.answer_html(told | dict(is_unlike=None), facts, pics.x[0])


def test_the_map_is_blue_and_yellow():
    evidence = np.array([[0., 1.], [0., 0.]], np.float32)
    shown = app.map_over(np.zeros((32, 32, 3), np.uint8), evidence).astype(int)
    assert shown[0, -1, 0] > shown[0, -1, 2]
    assert shown[-1, 0, 2] > shown[-1, 0, 0]


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library shares its heaps by itself')
def test_threads_share_heaps():
    "Each of forty threads fills and frees a hundred small blocks: glibc tells how many heaps it has."
    code = """
import ctypes, re, sys, threading
from course_utils.publish.app import share_heaps
if sys.argv[1] == 'shared': share_heaps()
together = threading.Barrier(40)
def work():
    together.wait()
    blocks = [ctypes.create_string_buffer(2000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b'w'))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[2]).read().count('<heap nr='))
"""
    def heaps(how):
        with tempfile.TemporaryDirectory() as folder:
            arguments = [sys.executable, '-c', code, how, str(Path(folder)/'info.xml')]
            return int(subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=root()).stdout)
    assert heaps('shared') <= 2
    assert heaps('apart') > 2


def test_another_c_library_keeps_its_heaps(monkeypatch):
    class Library: pass
    monkeypatch.setattr(app.ctypes, 'CDLL', lambda _: Library())
    app.share_heaps()


def test_uploads_are_forgotten(tmp_path):
    (tmp_path/'deep').mkdir()
    (tmp_path/'deep'/'picture.png').write_bytes(b'1')
    app.forget_uploads(str(tmp_path), age_s=60)
    assert (tmp_path/'deep'/'picture.png').exists()
    app.forget_uploads(str(tmp_path), age_s=-1)
    assert not (tmp_path/'deep'/'picture.png').exists()


# ---- what is told of it ----

def test_the_detector_is_told_in_the_same_words_everywhere(hosted, opened, written, pics):
    "Card, page, app and the page's script."
    session, facts = opened
    alarms = app.alarm_words(facts)
    assert 'of 60 held-out pictures' in alarms.lower()
    assert alarms in (hosted/'README.md').read_text(encoding='utf-8')
    assert alarms in (written['folder']/'index.html').read_text(encoding='utf-8')
    told = answer(session, facts, pics.x[0]) | dict(is_unlike=True)
    unknown = app.unknown_words(facts)
    assert unknown in app.answer_html(told, facts, pics.x[0])
    assert json.loads((written['folder']/'model.json').read_text(encoding='utf-8'))['unknown'] == unknown
    assert 'held-out' not in (written['folder']/'page.js').read_text(encoding='utf-8')


def test_pictures_of_one_group_count_less(network, pics, tmp_path):
    "As in `compare`: the interval of the card is that of the run, groups held out whole."
    groups = np.arange(60) // 10
    targets = pics.y[pics.valid]
    probs = np.eye(2)[np.where(groups < 2, 1 - targets, targets)]
    probs = probs.clip(.01, .99)
    facts = held_out_facts(SimpleNamespace(probs=probs, targets=targets, groups=groups), network, None, ())
    assert facts['card']['by_group'] == [[10, 0]] * 2 + [[10, 10]] * 4
    low, high = proportion_interval(groups >= 2, groups=groups)
    assert f'of 60 held-out pictures, of 6 groups, are named right ({low:.1%} to {high:.1%}' in space.accuracy_words(facts)
    alone = proportion_interval(groups >= 2)
    assert high - low > 1.5 * (alone[1] - alone[0])


def test_a_network_takes_the_groups_of_its_pictures(network, pics, opened):
    split = ['train'] * 108 + ['valid'] * 12
    grouped = replace(pics, table=pics.table.assign(group=np.arange(120) // 4, split=split))
    tallies = held_out_facts(network, network, grouped, ())['card']['by_group']
    assert [n for n, right in tallies] == [4] * 3
    assert opened[1]['card']['by_group'] is None, 'its pictures have no groups'
    assert held_out_facts(torch.nn.Conv2d(4, 4, 1, groups=2), network, None, ())['card']['by_group'] is None, 'groups of channels are others'


def test_files_of_before_are_told_of_as_before(opened):
    facts = opened[1]
    old = dict(facts['card'])
    del old['by_group']
    assert space.accuracy_words(facts | dict(card=old)) == space.accuracy_words(facts)
    assert space.accuracy_words(facts) in page.accuracy_paragraph(facts)
    assert page.accuracy_paragraph(facts | dict(card=old)) == ''


# ---- a folder to host ----

@pytest.fixture(scope='module')
def hosted(exported, tmp_path_factory): return space.write_space(exported['onnx'], tmp_path_factory.mktemp('space')/'space', 'Stripes')


def test_the_folder_needs_no_course(hosted):
    names = {path.name for path in hosted.iterdir()}
    assert names == {'app.py', 'answer.py', 'model.onnx', 'requirements.txt', 'README.md'}
    for name in ('app.py', 'answer.py'):
        text = (hosted/name).read_text(encoding='utf-8')
        assert not re.search(r'^\s*(from|import) course_utils', text, re.M)
        compile(text, name, 'exec')


def test_its_app_answers(hosted, pics, tmp_path):
    Image.fromarray(pics.x[0]).save(tmp_path/'0.png')
    code = f"import app; print(app.answer_file(*app.open_model('model.onnx'), {str(tmp_path/'0.png')!r}))"
    told = subprocess.run([sys.executable, '-c', code], cwd=hosted, capture_output=True, text=True, check=True).stdout
    assert 'views of it' in told


def test_the_card_tells_what_is_known(hosted):
    card = (hosted/'README.md').read_text(encoding='utf-8')
    assert 'sdk: gradio' in card
    assert re.search(r'of 60 held-out pictures are named right \(\d+\.\d% to \d+\.\d%', card)
    assert r'They are \*striped\*.' in card
    assert r'\<b\>one' in card


def test_the_host_is_asked_for_this_python(hosted):
    "The versions of requirements.txt are those of this Python; a host's own may be too old for them."
    assert f'python_version: "{sys.version_info.major}.{sys.version_info.minor}"\n' in (hosted/'README.md').read_text(encoding='utf-8')


def test_what_is_here_is_required_where_this_gradio_takes_it(monkeypatch):
    versions = dict(gradio='7.0', numpy='2.4.6', pillow='13.0.0', onnxruntime='1.31.1')
    monkeypatch.setattr(space, 'installed', lambda package, otherwise='': versions[package])
    monkeypatch.setattr(space, 'gradio_wants', lambda: ['numpy<3.0,>=1.0', 'Pillow<13.0,>=8.0', 'mcp<2.0; extra == "mcp"'])
    assert space.requirements() == 'gradio==7.0\nnumpy==2.4.6\npillow<13.0,>=8.0\nonnxruntime==1.31.1\n'
    versions.update(numpy='', pillow='12.1.0', onnxruntime='')
    assert space.requirements() == 'gradio==7.0\nnumpy<3.0,>=1.0\npillow==12.1.0\nonnxruntime\n'


def test_requirements_are_the_apps_alone(hosted):
    names = {re.split('[=><]', line)[0] for line in (hosted/'requirements.txt').read_text().split()}
    assert names == {'gradio', 'numpy', 'pillow', 'onnxruntime'}


@pytest.mark.fault
def test_other_files_are_refused(tmp_path):
    (tmp_path/'model.onnx').write_bytes(b'none')
    for write in (space.write_space, page.write_page):
        with pytest.raises(CourseError, match='no ONNX file that can be run'): write(tmp_path/'model.onnx', tmp_path/'out')
        with pytest.raises(CourseError, match='There is no file'): write(tmp_path/'gone.onnx', tmp_path/'out')


@pytest.mark.fault
def test_the_app_says_what_it_lacks(exported, monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.setattr(serve, 'find_spec', lambda name: None)
    with pytest.raises(CourseError, match='add --install'): serve.main([str(exported['onnx'])])


@pytest.fixture
def app_cache(monkeypatch, tmp_path):
    "A cache of its own, and a course without Gradio."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.setattr(serve, 'find_spec', lambda name: None)
    return tmp_path


def stand_in(imports: str):
    "In place of an install: an environment whose Python is this one and runs `imports` first."
    def install(requirements):
        python = serve.app_environment()
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{imports}"\n')  # a first line holds no path with a space
        python.chmod(0o755)
    return install


@pytest.mark.fault
@pytest.mark.skipif(platform.system() == 'Windows', reason='a script stands in for Python')
def test_an_install_that_failed_counts_as_none(app_cache, monkeypatch):
    stand_in('import no_such_gradio')(None)
    with pytest.raises(CourseError, match="No module named 'no_such_gradio'.*add --install"): serve.app_python(app_cache, install=False)
    monkeypatch.setattr(serve, 'install_app', stand_in('import no_such_numpy'))
    with pytest.raises(CourseError, match="cannot be imported .*No module named 'no_such_numpy'"): serve.app_python(app_cache, install=True)


@pytest.mark.skipif(platform.system() == 'Windows', reason='a script stands in for Python')
def test_it_is_installed_once(app_cache, monkeypatch):
    installs = []
    monkeypatch.setattr(serve, 'install_app', lambda requirements: installs.append(requirements) or stand_in('')(requirements))
    pythons = {serve.app_python(app_cache, install=True) for _ in range(2)}
    assert pythons == {str(serve.app_environment())}
    assert len(installs) == 1


# ---- the page's files; tests/browser/test_page.py runs them ----

@pytest.fixture(scope='module')
def runtime(tmp_path_factory):
    "Two files with the right names: enough to write a page."
    folder = tmp_path_factory.mktemp('runtime')
    for name in (page.MODULE, page.PACKED): (folder/name).write_bytes(b'runtime')
    return folder


@pytest.fixture
def written(exported, runtime, pics, tmp_path):
    Image.fromarray(pics.x[0]).save(tmp_path/'sample.png')
    return page.write_page(exported['onnx'], tmp_path/'page', '<Stripes>', [(tmp_path/'sample.png', LABELS[0])], runtime=runtime)


def test_the_page_asks_nobody(written):
    for path in written['folder'].rglob('*'):
        if path.suffix not in ('.html', '.js', '.css'): continue
        addresses = re.findall(r'https?://[^\s\'"<]+', path.read_text(encoding='utf-8'))
        assert not [address for address in addresses if not address.startswith('http://127.0.0.1')]
    assert "default-src 'none'" in (written['folder']/'index.html').read_text(encoding='utf-8')


def test_what_is_asked_for_early_is_there(written):
    text = (written['folder']/'index.html').read_text(encoding='utf-8')
    asked = re.findall(r'<link rel="(?:module)?preload" href="([^"]+)"', text)
    assert len(asked) == 7
    assert all((written['folder']/name).is_file() for name in asked)


def test_8_bits_alone_are_optimised_in_the_browser(exported, pics, tmp_path):
    facts = open_model(exported['onnx'])[1]
    small = quantized(exported['onnx'], tmp_path/'small.onnx', pics.x[pics.train[:8]], facts)
    assert page.needs_optimising(small)
    assert not page.needs_optimising(exported['onnx'])


def test_the_page_says_of_its_map_what_is_true(opened):
    facts = opened[1]
    assert page.map_reason(facts).startswith('The map is CAM')
    assert 'maps of several depths' in page.map_reason(facts | dict(map='last'))
    assert 'no map' in page.map_reason(facts | dict(map=''))
    assert page.map_reason({}) == page.map_reason(facts), 'files of before do not say it'


def test_names_are_text_in_it(written):
    text = (written['folder']/'index.html').read_text(encoding='utf-8')
    assert '<title>&lt;Stripes&gt;</title>' in text
    assert '<b>one</b>' not in text
    assert '$' not in text


def test_it_keeps_all_its_files(written):
    text = (written['folder']/'offline.js').read_text(encoding='utf-8')
    files = json.loads(re.search(r'FILES = (.*);', text)[1])
    present = {path.relative_to(written['folder']).as_posix() for path in written['folder'].rglob('*') if path.is_file()}
    assert set(files) == present - {'offline.js'} | {'./'}


def test_a_page_is_written_over_an_older_one_alone(written, exported, runtime, tmp_path):
    page.write_page(exported['onnx'], written['folder'], runtime=runtime)
    assert not (written['folder']/'samples'/'0.jpg').exists()
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'letter.txt').write_text('dear')
    with pytest.raises(CourseError, match='holds other things'): page.write_page(exported['onnx'], tmp_path/'mine', runtime=runtime)
    assert (tmp_path/'mine'/'letter.txt').exists()
    own_model = written['folder']/'model.onnx'
    with pytest.raises(CourseError, match='emptied first'): page.write_page(own_model, written['folder'], runtime=runtime)
    assert own_model.exists()


def test_a_large_model_has_its_weights_halved(exported, runtime, monkeypatch, tmp_path):
    monkeypatch.setattr(page, 'MOST_BYTES', 1_000_000)
    done = page.write_page(exported['onnx'], tmp_path/'page', runtime=runtime)
    assert (done['folder']/'model.onnx').stat().st_size < .55 * exported['onnx'].stat().st_size


def test_at_smoke_nothing_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setattr(page, 'fetch_runtime', lambda work: pytest.fail('it was fetched'))
    with pytest.raises(CourseError, match='smoke fetches nothing'): page.runtime_folder()


@pytest.mark.fault
def test_another_runtime_than_the_pinned_one_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    (tmp_path/'other.tgz').write_bytes(b'something else')
    monkeypatch.setattr(page, 'fetch_runtime', lambda work: tmp_path/'other.tgz')
    with pytest.raises(CourseError, match='checksum differs'): page.runtime_folder()
    assert not (tmp_path/'cache').exists()


def test_the_pinned_runtime_is_taken(monkeypatch, tmp_path):
    (tmp_path/'package.tgz').write_bytes(b'abc')
    published = '3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=='  # of b'abc', FIPS 180-2
    monkeypatch.setattr(page, 'RUNTIME_SHA512', published)
    page.check_runtime(tmp_path/'package.tgz')


@pytest.mark.fault
def test_without_npm_the_page_says_so(exported, pics, monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.setenv('PATH', str(tmp_path))
    Image.fromarray(pics.x[0]).save(tmp_path/'sample.png')
    done = page.write_page(exported['onnx'], tmp_path/'page', samples=[(tmp_path/'sample.png', '')])
    text = (tmp_path/'page'/'index.html').read_text(encoding='utf-8')
    assert 'install Node.js' in done['missing'], 'who writes the page is told what to do'
    assert page.NO_NPM in text
    assert 'still.png' in text
    assert '<script' not in text


def test_the_sample_carries_nothing_but_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x8298] = 'somebody'
    Image.new('RGB', (900, 300), 'red').save(tmp_path/'a.jpg', exif=exif, comment='by somebody')
    page.read_sample(tmp_path/'a.jpg').save(tmp_path/'b.jpg')
    with Image.open(tmp_path/'b.jpg') as sample:
        assert sample.size == (384, 128)
        assert not dict(sample.getexif())
        assert 'comment' not in sample.info


def test_a_deep_sample_is_as_bright_as_in_training(tmp_path):
    "By the file's range of greys: stretched by itself, a dark picture would come out bright."
    values = np.full((40, 40), 500, np.uint16)
    values[:20] = 1000
    Image.fromarray(values).save(tmp_path/'deep.png')
    sample = page.read_sample(tmp_path/'deep.png', [0, 4000])
    assert sample.mode == 'L'
    assert sorted(set(np.asarray(sample).ravel().tolist())) == [32, 64]
    trained = read_picture(tmp_path/'deep.png', 40, (0, 4000))[0][..., 0]
    assert (np.asarray(sample) == trained).all()


def test_the_page_reads_samples_by_the_range_of_its_file(exported, runtime, monkeypatch, tmp_path):
    facts = space.shipped_facts(exported['onnx']) | dict(grey_range=[0, 4000])
    monkeypatch.setattr(page, 'shipped_facts', lambda file: facts)
    Image.fromarray(np.full((40, 40), 1000, np.uint16)).save(tmp_path/'deep.png')
    done = page.write_page(exported['onnx'], tmp_path/'page', samples=[(tmp_path/'deep.png', '')], runtime=runtime)
    with Image.open(done['folder']/'samples'/'0.jpg') as sample: assert sample.getextrema() == (64, 64)


@pytest.mark.fault
def test_a_sample_that_cannot_be_read_is_named(written, exported, runtime, tmp_path):
    (tmp_path/'paper.png').write_bytes(b'%PDF-1.4 and so on')
    for name, reason in (('paper.png', 'not a picture'), ('gone.png', 'No such file')):
        with pytest.raises(CourseError, match=rf'The sample .*{name} cannot be read \({reason}'):
            page.write_page(exported['onnx'], written['folder'], samples=[(tmp_path/name, '')], runtime=runtime)
    assert (written['folder']/'samples'/'0.jpg').exists(), 'the older page is still there'
