"The data path: what is read, how it is split, what is kept, and one clear sentence for everything that can be wrong."
import errno, json, shutil, warnings
from collections import Counter
from pathlib import Path

import albumentations as A, numpy as np, pandas as pd, pytest, torch
from fastai.torch_core import set_seed
from hypothesis import given, settings, strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from course_utils import config
from course_utils.config import CourseError, profile
from course_utils.data import decode
from course_utils.data.decode import read_picture
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import data_facts, data_names, photo, subset_note
from course_utils.data.split import stratified_split
from course_utils.show.draw import heat
from course_utils.techniques.augment import pipeline


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    "No test sees what another has kept."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.delenv('COURSE_DATA', raising=False)


def noise(seed=0, size=(48, 40)):
    "A picture of random colours; its width and height."
    width, height = size
    x = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(x)


def fill(folder, n, seed=0, prefix='', suffix='.png'):
    "Makes a folder of `n` pictures."
    folder.mkdir(parents=True)
    for i in range(n): noise(seed + i).save(folder/f'{prefix}{i}{suffix}')


@pytest.fixture
def folder(tmp_path):
    "Two classes of eight good pictures each."
    fill(tmp_path/'pics'/'cat', 8)
    fill(tmp_path/'pics'/'dog', 8, seed=10)
    return tmp_path/'pics'


@pytest.fixture(scope='module')
def solar(tmp_path_factory):
    "200 solar cells."
    return load_pictures('solar', size=32, limit=200, cache=False)


def one_sentence(error):
    "The message of an error: one line, ended like a sentence or a question of what to do, no traceback in it."
    text = str(error.value)
    assert '\n' not in text, text
    assert 'Traceback' not in text, text
    assert len(text) > 30, text
    return text


def load_error(source, **kwargs):
    "What `load_pictures` says instead of loading."
    with pytest.raises(CourseError) as e: load_pictures(str(source), **kwargs)
    return one_sentence(e)


# ---- profiles ----

@pytest.mark.fault
def test_unknown_profile(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'huge')
    with pytest.raises(CourseError) as e: profile()
    text = one_sentence(e)
    assert 'huge' in text
    assert 'smoke, cpu, gpu' in text


def test_in_a_notebook_the_sentence_stands_alone():
    with capture_output() as captured:
        InteractiveShell.instance().run_cell("from course_utils.data.pictures import load_pictures; load_pictures('moon')")
    text = captured.stdout + captured.stderr
    assert 'Traceback' not in text
    assert "There is no data set named 'moon'" in text


def test_profile_picks():
    assert [profile(name).pick(smoke=1, cpu=2, gpu=3) for name in config.PROFILES] == [1, 2, 3]
    assert profile('gpu').pick(smoke=1, cpu=2) == 2


# ---- what cannot be loaded ----

@pytest.mark.fault
def test_unknown_data_name():
    text = load_error('moon')
    assert 'moon' in text
    assert 'solar' in text


@pytest.mark.fault
def test_missing_folder(tmp_path):
    assert 'nowhere' in load_error(tmp_path/'nowhere')


@pytest.mark.fault
def test_empty_folder(tmp_path):
    (tmp_path/'empty').mkdir()
    assert 'no pictures in class folders' in load_error(tmp_path/'empty')


@pytest.mark.fault
def test_one_class(folder):
    shutil.rmtree(folder/'dog')
    assert 'at least two classes' in load_error(folder)


@pytest.mark.fault
def test_class_of_unreadable_pictures_only(folder):
    for file in (folder/'dog').iterdir(): file.write_bytes(b'')
    assert '8 files set aside' in load_error(folder)


@pytest.mark.fault
def test_class_of_one_picture(folder):
    for file in sorted((folder/'dog').iterdir())[1:]: file.unlink()
    assert "'dog'" in load_error(folder)


@pytest.mark.fault
def test_class_of_one_readable_picture(folder):
    for file in sorted((folder/'dog').iterdir())[1:]: file.write_bytes(b'')
    assert "'dog' of pics has 1 readable picture:" in load_error(folder)


@pytest.mark.parametrize('size', [31, 0, -5, 2000])
@pytest.mark.fault
def test_size_out_of_range(size):
    assert 'between 32 and 1024' in load_error('solar', size=size)


# ---- what is set aside ----

def write_bad_files(folder):
    "One file of each kind that cannot be read."
    noise().save(folder/'cut.jpg', quality=95)
    (folder/'cut.jpg').write_bytes((folder/'cut.jpg').read_bytes()[:700])
    (folder/'nothing.jpg').write_bytes(b'')
    (folder/'words.jpg').write_text('this is no picture')
    (folder/'head only.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    return {'cut.jpg', 'nothing.jpg', 'words.jpg', 'head only.png'}


@pytest.mark.fault
def test_unreadable_pictures_are_named_and_set_aside(folder):
    bad = write_bad_files(folder/'cat')
    pics = load_pictures(str(folder), size=32)
    assert len(pics) == 16
    assert {Path(file).name for file in pics.found.unreadable} == bad
    assert all(reason.strip() for reason in pics.found.unreadable.values())
    assert all(name in pics.report() for name in bad)


@pytest.mark.fault
def test_gigantic_picture_is_set_aside(folder, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # any of ours is gigantic now
    for file in folder.rglob('[0-9].png'): noise(size=(8, 8)).save(file)
    noise(size=(20, 20)).save(folder/'cat'/'big.png')
    pics = load_pictures(str(folder), size=32)
    assert [Path(file).name for file in pics.found.unreadable] == ['big.png']
    assert 'too many pixels' in pics.report()


def test_many_readers_leave_the_filters_of_warnings_alone(folder):
    before = list(warnings.filters)
    for size in (32, 40, 48): load_pictures(str(folder), size=size)
    assert warnings.filters == before


def test_hidden_files_are_passed_by(folder):
    (folder/'cat'/'.DS_Store').write_bytes(b'x')
    (folder/'cat'/'Thumbs.db').write_bytes(b'x')
    (folder/'.git').mkdir()
    assert not load_pictures(str(folder), size=32).found.unreadable


# ---- one picture ----

MODES = ('RGB', 'L', '1', 'P', 'LA', 'RGBA')


def in_mode(picture, mode):
    if mode == 'P': return picture.convert('P', palette=Image.Palette.ADAPTIVE)
    return picture.convert(mode)


def largest_difference(x, y): return np.abs(x.astype(int) - np.asarray(y)).max()


@pytest.mark.parametrize('mode', MODES)
def test_modes_become_rgb(mode, tmp_path):
    picture = in_mode(Image.fromarray(photo('chelsea', 64)), mode)
    picture.save(tmp_path/'x.png')
    x, _, shape = read_picture(tmp_path/'x.png', 64)
    assert x.shape == (64, 64, 3)
    assert x.dtype == np.uint8
    assert shape == (64, 64)
    assert largest_difference(x, picture.convert('RGB')) <= 1


def test_cmyk(tmp_path):
    original = photo('chelsea', 64)
    Image.fromarray(original).convert('CMYK').save(tmp_path/'x.jpg', quality=95)
    x, mode, _ = read_picture(tmp_path/'x.jpg', 64)
    assert mode == 'CMYK'
    assert np.abs(x.astype(int) - original).mean() < 12


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path/'x.png')
    x, mode, _ = read_picture(tmp_path/'x.png', 64)
    assert mode.startswith('I;16')
    assert largest_difference(x[..., 0], ramp // 257) <= 1


def test_animation_gives_its_first_frame(tmp_path):
    red, blue = (Image.new('RGB', (40, 40), colour) for colour in ('red', 'blue'))
    red.save(tmp_path/'x.gif', save_all=True, append_images=[blue])
    x, mode, _ = read_picture(tmp_path/'x.gif', 32)
    assert mode.endswith('animated')
    assert x[..., 0].min() > 250
    assert x[..., 2].max() < 5


def test_transparency_is_laid_on_white(tmp_path):
    Image.new('RGBA', (40, 40), (255, 0, 0, 0)).save(tmp_path/'x.png')
    assert read_picture(tmp_path/'x.png', 32)[0].min() == 255


def test_camera_orientation_is_followed(tmp_path):
    picture = noise(size=(60, 40))
    exif = picture.getexif()
    exif[274] = 6
    picture.save(tmp_path/'x.png', exif=exif)
    upright = picture.rotate(-90, expand=True).crop((0, 10, 40, 50))
    assert np.array_equal(read_picture(tmp_path/'x.png', 40)[0], np.asarray(upright))


@pytest.mark.parametrize('size', [(1, 1), (1, 300), (500, 3)])
@pytest.mark.fault
def test_one_pixel_and_odd_shapes(tmp_path, size):
    noise(size=size).save(tmp_path/'x.png')
    assert read_picture(tmp_path/'x.png', 32)[0].shape == (32, 32, 3)


# ---- folders ----

def names(paths): return [Path(path).name for path in paths]


def test_official_split_is_kept(tmp_path):
    for part, n in (('train', 5), ('val', 3), ('test', 2)):
        for class_name in 'ab': fill(tmp_path/'d'/part/class_name, n, prefix=part)
    pics = load_pictures(str(tmp_path/'d'), size=32)
    assert all(name.startswith('train') for name in names(pics.table.path[pics.train]))
    assert all(name.startswith('val') for name in names(pics.table.path[pics.valid]))
    assert (len(pics.train), len(pics.valid)) == (10, 6)


@pytest.mark.fault
def test_strange_class_names(tmp_path):
    classes = ['a b', 'ünï', '🙂', 'x' * 200, '<script>alert(1)<_script>']
    for name in classes: fill(tmp_path/'d'/name, 2)
    pics = load_pictures(str(tmp_path/'d'), size=32)
    assert pics.classes == sorted(classes)
    assert '<script>' not in pics.counts()._repr_html_()


# ── solar cells ──

def test_solar_cells_are_the_published_set():
    pics = load_pictures('solar', size=32)
    table = pics.table
    counts = Counter(zip(table.type, table.probability.round(2)))
    assert [counts['mono', p] for p in (0, .33, .67, 1)] == [588, 117, 56, 313]
    assert [counts['poly', p] for p in (0, .33, .67, 1)] == [920, 178, 50, 402]
    assert ((table.probability >= .5) == (pics.y == 1)).all()


def test_a_quarter_of_every_stratum_is_held_out():
    pics = load_pictures('solar', size=32, split='random')
    assert (len(pics.train), len(pics.valid)) == (1968, 656)
    assert set(pics.train).isdisjoint(pics.valid)
    by_stratum = pd.crosstab(pics.table.stratum, pics.table.split)
    quarter = by_stratum.sum(axis=1) / 4
    assert len(by_stratum) == 8
    assert (by_stratum.valid - quarter).abs().max() < 1
    assert pics.majority == (pics.y[pics.valid] == 0).mean()


def test_split_depends_on_the_seed_only():
    first, again, other_seed = (load_pictures('solar', size=32, seed=seed).table.split for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other_seed).any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=6), st.floats(.1, .5), st.integers(0, 1000))
def test_split_is_stratified(counts, share, seed):
    "The share is held out, or one picture of each stratum where that is more; and every stratum gives its part of it."
    strata = np.repeat(np.arange(len(counts)), counts)
    valid = stratified_split(strata, share, seed)
    n_valid = valid.sum()
    assert n_valid >= len(counts)
    assert n_valid == len(counts) or abs(n_valid - share * len(strata)) <= .5
    in_proportion = n_valid * np.array(counts) / len(strata)
    # What small strata get above their part, to have one picture each, larger strata give.
    given_up = np.maximum(1 - in_proportion, 0).sum()
    for stratum, expected in enumerate(in_proportion):
        n_held_out = valid[strata == stratum].sum()
        assert n_held_out >= 1
        assert expected - 1.5 - given_up <= n_held_out <= expected + 1.5


def test_subset_keeps_the_held_out_pictures():
    pics = load_pictures('solar', size=32)
    small = pics.subset(100)
    assert len(small.train) == 100
    assert len(small.valid) == len(pics.valid)
    assert np.array_equal(small.x[small.valid], pics.x[pics.valid])
    assert abs(small.y[small.train].mean() - pics.y[pics.train].mean()) < .02


# ── the cache ──

def load_again(folder):
    "The pictures as an array that stays what it is."
    return load_pictures(str(folder), size=32).x.copy()


def test_decoded_once(folder, monkeypatch):
    first = load_again(folder)
    monkeypatch.setattr(decode, 'read_picture', None)  # any decoding would fail now
    assert np.array_equal(load_again(folder), first)


@pytest.mark.fault
def test_changed_file_is_read_again(folder):
    first = load_again(folder)
    noise(99).save(folder/'cat'/'0.png')
    assert not np.array_equal(load_again(folder), first)


@pytest.mark.fault
def test_damaged_cache_is_read_again(folder, capsys):
    first = load_again(folder)
    [file] = config.cache_dir().rglob('x.npy')
    content = bytearray(file.read_bytes())
    content[-1] ^= 255
    file.write_bytes(content)
    assert np.array_equal(load_again(folder), first)
    assert 'damaged' in capsys.readouterr().out


@pytest.mark.fault
def test_no_disk_space(folder, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10))
    assert 'COURSE_CACHE' in load_error(folder, size=32)


@pytest.mark.fault
def test_disk_full_while_writing(folder, monkeypatch):
    def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(np, 'save', full)
    assert 'No space left' in load_error(folder, size=32)
    assert not list((config.cache_dir()/'pictures').iterdir()), 'something half-made was left'


@pytest.mark.fault
def test_folder_is_whole_or_absent(tmp_path):
    with pytest.raises(KeyboardInterrupt), config.whole_folder(tmp_path/'a', 'This') as work:
        (work/'half').write_text('x')
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


# ── loaders ──

MEAN, STD = (.4, .5, .6), (.2, .3, .4)


def as_bytes(batches):
    "Pictures of batches that were not normalised, `(N, H, W, 3)` uint8."
    x = torch.cat(list(batches))
    return x.mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def test_batches_are_normalised_bytes(solar):
    x, y = solar.loaders(MEAN, STD, bs=16).valid.one_batch()
    first = solar.valid[:32]
    expected = (solar.x[first] / 255 - MEAN) / STD
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.dtype == torch.float32
    assert np.allclose(x.permute(0, 2, 3, 1), expected, atol=1e-5)
    assert y.tolist() == solar.y[first].tolist()


def blacken(x, **_): return np.zeros_like(x)


def test_validation_pictures_are_never_augmented(solar):
    black = A.Compose([A.Lambda(image=blacken, p=1)])
    dls = solar.loaders((0,) * 3, (1,) * 3, bs=16, tfm=black)
    assert max(float(x.max()) for x, _ in dls.train) == 0, 'the training pictures were to be augmented'
    seen = as_bytes(x for x, _ in dls.valid)
    assert np.array_equal(seen, solar.x[solar.valid])


def test_every_training_picture_once_an_epoch(solar):
    loader = solar.loaders(MEAN, STD, bs=10).train
    loader.drop_last = False
    seen = [i for batch in loader.chunkify(loader.get_idxs()) for i in batch]
    assert sorted(seen) == list(range(len(solar.train)))


def test_repeats_are_cardinality(solar):
    once, thrice = (solar.loaders(MEAN, STD, bs=10, repeats=repeats).train for repeats in (1, 3))
    assert thrice.n == 3 * once.n
    n_seen = sum(len(y) for _, y in thrice)
    assert n_seen == 3 * len(solar.train) // 10 * 10


def test_each_epoch_augments_anew_and_a_seed_repeats_it(solar):
    def two_epochs():
        set_seed(3)
        loader = solar.loaders(MEAN, STD, bs=64, tfm=pipeline(.5)).train
        return [torch.cat([x for x, _ in loader]) for _ in range(2)]
    first, second = two_epochs()
    first_again, second_again = two_epochs()
    assert torch.equal(first, first_again)
    assert torch.equal(second, second_again)
    assert not torch.equal(first, second)


def test_workers_draw_differently(solar):
    repeated = np.repeat(solar.train[:1], 64)  # one picture 64 times: equal batches would mean equal draws
    same = solar.take(np.r_[repeated, solar.valid])
    batches = [x for x, _ in same.loaders(MEAN, STD, bs=32, tfm=pipeline(.5), workers=2).train]
    assert len(batches) == 2
    first, second = (batch.sum((1, 2, 3)).sort().values for batch in batches)
    assert not torch.equal(first, second)


def test_heat_grows_lighter():
    colours = heat(np.array([[0., .5, 1.]]), 0, 1)[0].astype(int).sum(axis=1)
    assert (np.diff(colours) > 0).all()


def test_heat_takes_a_flat_map():
    assert heat(np.zeros((2, 2)), 0, 0).shape == (2, 2, 3)


# ---- what make data has fetched ----

NOTE = 'Pets: subset, 18 pictures'


def write_facts(folder, **facts): (folder/'about.json').write_text(json.dumps(facts))


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    "A data set as `make data` leaves it: parts, class folders, a folder of masks beside them, files set aside."
    pets = tmp_path/'data'/'pets'
    for part, n in (('train', 6), ('test', 3)):
        fill(pets/part/'cat', n, prefix='cat', suffix='.jpg')
        fill(pets/part/'dog', n, seed=10, prefix='dog', suffix='.jpg')
    fill(pets/'trimaps', 1)
    fill(pets/'.set_aside'/'cat', 1)
    write_facts(pets, title='Pets', pictures=18, subset=True, beside=['trimaps'])
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'data'))
    return pets


def test_a_fetched_set_is_known_by_its_name(fetched, monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'pets')
    assert data_names() == ['solar', 'pets']
    pics = load_pictures(size=32)
    assert (len(pics.train), len(pics.valid)) == (12, 6)
    assert pics.classes == ['cat', 'dog']


def test_a_fetched_set_says_that_it_is_a_subset(fetched, monkeypatch):
    assert subset_note('pets') == NOTE
    assert f'{NOTE}.' in load_pictures(str(fetched), size=32).report()
    monkeypatch.setenv('COURSE_DATA', 'pets')
    assert subset_note() == NOTE
    assert f'{NOTE}.' in load_pictures(size=32).report()


def test_a_whole_set_says_so(fetched):
    write_facts(fetched, title='Pets', pictures=7_349, subset=False, beside=['trimaps'])
    assert subset_note(str(fetched)) == 'Pets: all of its 7,349 pictures'


def test_the_card_says_how_many(fetched, monkeypatch):
    from course_utils.report.cards import at_a_glance
    def html(**kwargs): return at_a_glance('none', 'x', 'y', **kwargs)._repr_mimebundle_()['text/html']
    assert 'subset' not in html()
    assert f'{NOTE}.' in html(data='pets')
    monkeypatch.setenv('COURSE_DATA', 'pets')
    assert f'{NOTE}.' in html()


@pytest.mark.parametrize('text', ['', '[]', '3', '{}', '{"title": "x"}', '\\xff'])
@pytest.mark.fault
def test_an_about_of_somebody_else_is_passed_by(fetched, text):
    (fetched/'about.json').write_bytes(text.encode('latin1'))
    assert data_facts(str(fetched)) == {}
    assert subset_note(str(fetched)) == ''
    shutil.rmtree(fetched/'trimaps')
    assert len(load_pictures(str(fetched), size=32)) == 18
