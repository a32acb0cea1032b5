"The data path: what is read, how it is split, what is kept, and one clear sentence for everything that can be wrong."
import errno, json, shutil
from collections import Counter
from pathlib import Path

import albumentations as A, numpy as np, pandas as pd, pytest, torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils import config
from course_utils.data import decode, sources
from course_utils.config import CourseError, profile
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.data.decode import read_picture
from course_utils.data.split import stratified_split
from course_utils.show.draw import heat


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    "No test sees what another has kept."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.delenv('COURSE_DATA', raising=False)


def picture(seed=0, size=(48, 40)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    "Two classes of eight good pictures each."
    for k, c in enumerate(('cat', 'dog')):
        (tmp_path/'pics'/c).mkdir(parents=True)
        for i in range(8): picture(10 * k + i).save(tmp_path/'pics'/c/f'{i}.png')
    return tmp_path/'pics'


def one_sentence(error):
    "The message of an error: one line, ended like a sentence or a question of what to do, no traceback in it."
    text = str(error.value)
    assert '\n' not in text and 'Traceback' not in text and len(text) > 30, text
    return text


@pytest.mark.fault
def test_unknown_profile(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'huge')
    with pytest.raises(CourseError) as e: profile()
    assert 'huge' in one_sentence(e) and 'smoke, cpu, gpu' in str(e.value)


def test_in_a_notebook_the_sentence_stands_alone():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    with capture_output() as out: InteractiveShell.instance().run_cell("from course_utils.data.pictures import load_pictures; load_pictures('moon')")
    assert 'Traceback' not in out.stdout + out.stderr and "There is no data set named 'moon'" in out.stdout + out.stderr


def test_profile_picks():
    assert [profile(p).pick(smoke=1, cpu=2, gpu=3) for p in config.PROFILES] == [1, 2, 3]
    assert profile('gpu').pick(smoke=1, cpu=2) == 2


@pytest.mark.fault
def test_unknown_data_name():
    with pytest.raises(CourseError) as e: load_pictures('moon')
    assert 'moon' in one_sentence(e) and 'solar' in str(e.value)


@pytest.mark.fault
def test_missing_folder(tmp_path):
    with pytest.raises(CourseError) as e: load_pictures(str(tmp_path/'nowhere'))
    assert 'nowhere' in one_sentence(e)


@pytest.mark.fault
def test_empty_folder(tmp_path):
    (tmp_path/'empty').mkdir()
    with pytest.raises(CourseError) as e: load_pictures(str(tmp_path/'empty'))
    assert 'no pictures in class folders' in one_sentence(e)


@pytest.mark.fault
def test_one_class(folder):
    shutil.rmtree(folder/'dog')
    with pytest.raises(CourseError) as e: load_pictures(str(folder))
    assert 'at least two classes' in one_sentence(e)


@pytest.mark.fault
def test_class_of_unreadable_pictures_only(folder):
    for f in (folder/'dog').iterdir(): f.write_bytes(b'')
    with pytest.raises(CourseError) as e: load_pictures(str(folder))
    assert '8 files set aside' in one_sentence(e)


@pytest.mark.fault
def test_class_of_one_picture(folder):
    for f in sorted((folder/'dog').iterdir())[1:]: f.unlink()
    with pytest.raises(CourseError) as e: load_pictures(str(folder))
    assert "'dog'" in one_sentence(e)


@pytest.mark.parametrize('size', [31, 0, -5, 2000])
@pytest.mark.fault
def test_size_out_of_range(size):
    with pytest.raises(CourseError) as e: load_pictures(size=size)
    assert 'between 32 and 1024' in one_sentence(e)


def bad_files(d):
    "One file of each kind that cannot be read."
    picture().save(d/'cut.jpg', quality=95)
    (d/'cut.jpg').write_bytes((d/'cut.jpg').read_bytes()[:700])
    (d/'nothing.jpg').write_bytes(b'')
    (d/'words.jpg').write_text('this is no picture')
    (d/'head only.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    return {'cut.jpg', 'nothing.jpg', 'words.jpg', 'head only.png'}


@pytest.mark.fault
def test_unreadable_pictures_are_named_and_set_aside(folder):
    bad = bad_files(folder/'cat')
    pics = load_pictures(str(folder), size=32)
    assert len(pics) == 16
    assert {Path(f).name for f in pics.found.unreadable} == bad
    assert all(why.strip() for why in pics.found.unreadable.values())
    for name in bad: assert name in pics.report()


@pytest.mark.fault
def test_gigantic_picture_is_set_aside(folder, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # any of ours is gigantic now
    picture(size=(20, 20)).save(folder/'cat'/'big.png')
    for f in folder.rglob('[0-9].png'): picture(size=(8, 8)).save(f)
    pics = load_pictures(str(folder), size=32)
    assert [Path(f).name for f in pics.found.unreadable] == ['big.png']
    assert 'too many pixels' in pics.report()


def test_hidden_files_are_passed_by(folder):
    (folder/'cat'/'.DS_Store').write_bytes(b'x'); (folder/'cat'/'Thumbs.db').write_bytes(b'x'); (folder/'.git').mkdir()
    assert not load_pictures(str(folder), size=32).found.unreadable


KINDS = {
    'RGB': lambda im: im, 'L': lambda im: im.convert('L'), '1': lambda im: im.convert('1'), 'P': lambda im: im.convert('P', palette=Image.Palette.ADAPTIVE),
    'LA': lambda im: im.convert('LA'), 'RGBA': lambda im: im.convert('RGBA'),
}

@pytest.mark.parametrize('kind', KINDS)
def test_modes_become_rgb(kind, tmp_path):
    im = Image.fromarray(photo('chelsea', 64))
    KINDS[kind](im).save(tmp_path/'x.png')
    x, mode, wh = read_picture(tmp_path/'x.png', 64)
    assert x.shape == (64, 64, 3) and x.dtype == np.uint8 and wh == (64, 64)
    expected = np.asarray(KINDS[kind](im).convert('RGB'))
    assert np.abs(x.astype(int) - expected).max() <= 1


def test_cmyk(tmp_path):
    im = Image.fromarray(photo('chelsea', 64)).convert('CMYK')
    im.save(tmp_path/'x.jpg', quality=95)
    x, mode, _ = read_picture(tmp_path/'x.jpg', 64)
    assert mode == 'CMYK' and np.abs(x.astype(int) - photo('chelsea', 64)).mean() < 12


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path/'x.png')
    x, mode, _ = read_picture(tmp_path/'x.png', 64)
    assert mode.startswith('I;16') and np.abs(x[..., 0].astype(int) - ramp // 257).max() <= 1


def test_animation_gives_its_first_frame(tmp_path):
    first, second = Image.new('RGB', (40, 40), 'red'), Image.new('RGB', (40, 40), 'blue')
    first.save(tmp_path/'x.gif', save_all=True, append_images=[second])
    x, mode, _ = read_picture(tmp_path/'x.gif', 32)
    assert mode.endswith('animated') and x[..., 0].min() > 250 and x[..., 2].max() < 5


def test_transparency_is_laid_on_white(tmp_path):
    Image.new('RGBA', (40, 40), (255, 0, 0, 0)).save(tmp_path/'x.png')
    assert read_picture(tmp_path/'x.png', 32)[0].min() == 255


def test_camera_orientation_is_followed(tmp_path):
    im = picture(size=(60, 40)); exif = im.getexif(); exif[274] = 6
    im.save(tmp_path/'x.png', exif=exif)
    assert np.array_equal(read_picture(tmp_path/'x.png', 40)[0], np.asarray(im.rotate(-90, expand=True).crop((0, 10, 40, 50))))


@pytest.mark.fault
def test_one_pixel_and_odd_shapes(tmp_path):
    for wh in ((1, 1), (1, 300), (500, 3)):
        picture(size=wh).save(tmp_path/'x.png')
        assert read_picture(tmp_path/'x.png', 32)[0].shape == (32, 32, 3)


def test_official_split_is_kept(tmp_path):
    for part, n in (('train', 5), ('val', 3), ('test', 2)):
        for c in 'ab':
            (tmp_path/'d'/part/c).mkdir(parents=True)
            for i in range(n): picture(i).save(tmp_path/'d'/part/c/f'{part}{i}.png')
    pics = load_pictures(str(tmp_path/'d'), size=32)
    assert {Path(p).name[:3] for p in pics.table.path[pics.valid]} == {'val'} and {Path(p).name[:5] for p in pics.table.path[pics.train]} == {'train'}
    assert (len(pics.train), len(pics.valid)) == (10, 6)


@pytest.mark.fault
def test_strange_class_names(tmp_path):
    names = ['a b', 'ünï', '🙂', 'x' * 200, '<script>alert(1)</script>'.replace('/', '_')]
    for c in names:
        (tmp_path/'d'/c).mkdir(parents=True)
        for i in range(2): picture(i).save(tmp_path/'d'/c/f'{i}.png')
    pics = load_pictures(str(tmp_path/'d'), size=32)
    assert pics.classes == sorted(names) and '<script>' not in pics.counts()._repr_html_()


# ── solar cells ──

def test_solar_cells_are_the_published_set():
    pics = load_pictures('solar', size=32)
    t = pics.table
    n = Counter(zip(t.type, t.probability.round(2)))
    assert [n['mono', p] for p in (0, .33, .67, 1)] == [588, 117, 56, 313]
    assert [n['poly', p] for p in (0, .33, .67, 1)] == [920, 178, 50, 402]
    assert ((t.probability >= .5) == (pics.y == 1)).all()
    assert (len(pics.train), len(pics.valid)) == (1968, 656)
    each = pd.crosstab(t.stratum, t.split)
    assert len(each) == 8 and (each.valid - each.sum(axis=1) / 4).abs().max() < 1
    assert set(pics.train).isdisjoint(pics.valid)
    assert pics.majority == (pics.y[pics.valid] == 0).mean()


def test_split_depends_on_the_seed_only(folder):
    a, b, c = (load_pictures('solar', size=32, seed=s).table.split for s in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=6), st.floats(.1, .5), st.integers(0, 1000))
def test_split_is_stratified(counts, share, seed):
    strata = np.repeat(np.arange(len(counts)), counts)
    valid = stratified_split(strata, share, seed)
    total = max(round(len(strata) * share), len(counts))
    assert valid.sum() == total
    for k, n in enumerate(counts): assert abs(valid[strata == k].sum() - total * n / len(strata)) <= 1.5


def test_subset_keeps_the_held_out_pictures():
    pics = load_pictures('solar', size=32)
    few = pics.subset(100)
    assert len(few.train) == 100 and len(few.valid) == len(pics.valid)
    assert np.array_equal(few.x[few.valid], pics.x[pics.valid])
    assert abs(few.y[few.train].mean() - pics.y[pics.train].mean()) < .02


# ── the cache ──

def test_decoded_once(folder, monkeypatch):
    first = load_pictures(str(folder), size=32)
    monkeypatch.setattr(decode, 'read_picture', None)  # any decoding would fail now
    assert np.array_equal(load_pictures(str(folder), size=32).x, first.x)


@pytest.mark.fault
def test_changed_file_is_read_again(folder):
    first = load_pictures(str(folder), size=32).x.copy()
    picture(99).save(folder/'cat'/'0.png')
    assert not np.array_equal(load_pictures(str(folder), size=32).x, first)


@pytest.mark.fault
def test_damaged_cache_is_read_again(folder, capsys):
    first = load_pictures(str(folder), size=32).x.copy()
    [x] = config.cache_dir().rglob('x.npy')
    raw = bytearray(x.read_bytes()); raw[-1] ^= 255; x.write_bytes(raw)
    assert np.array_equal(load_pictures(str(folder), size=32).x, first)
    assert 'damaged' in capsys.readouterr().out


@pytest.mark.fault
def test_no_disk_space(folder, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda p: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(CourseError) as e: load_pictures(str(folder), size=32)
    assert 'COURSE_CACHE' in one_sentence(e)


@pytest.mark.fault
def test_disk_full_while_writing(folder, monkeypatch):
    def full(*a): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(np, 'save', full)
    with pytest.raises(CourseError) as e: load_pictures(str(folder), size=32)
    assert 'No space left' in one_sentence(e)
    assert not list((config.cache_dir()/'pictures').iterdir()), 'something half-made was left'


@pytest.mark.fault
def test_folder_is_whole_or_absent(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with config.whole_folder(tmp_path/'a', 'This') as work:
            (work/'half').write_text('x'); raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


# ── loaders ──

STATS = (.4, .5, .6), (.2, .3, .4)

def test_batches_are_normalised_bytes():
    pics = load_pictures('solar', size=32, limit=200)
    x, y = pics.loaders(*STATS, bs=16).valid.one_batch()
    expected = (pics.x[pics.valid[:32]] / 255 - STATS[0]) / STATS[1]
    assert x.is_contiguous(memory_format=torch.channels_last) and x.dtype == torch.float32
    assert np.allclose(x.permute(0, 2, 3, 1), expected, atol=1e-5) and y.tolist() == pics.y[pics.valid[:32]].tolist()


def blacken(x, **_): return np.zeros_like(x)

def test_validation_pictures_are_never_augmented():
    pics = load_pictures('solar', size=32, limit=200)
    black = A.Compose([A.Lambda(image=blacken, p=1)])
    dls = pics.loaders((0,) * 3, (1,) * 3, bs=16, tfm=black)
    assert max(float(x.max()) for x, _ in dls.train) == 0, 'the training pictures were to be augmented'
    seen = torch.cat([x for x, _ in dls.valid]).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(seen, pics.x[pics.valid])


def test_every_training_picture_once_an_epoch():
    pics = load_pictures('solar', size=32, limit=200)
    dl = pics.loaders(*STATS, bs=10).train
    dl.drop_last = False
    seen = [i for b in dl.chunkify(dl.get_idxs()) for i in b]
    assert sorted(seen) == list(range(len(pics.train)))


def test_repeats_are_cardinality():
    pics = load_pictures('solar', size=32, limit=200)
    one, three = (pics.loaders(*STATS, bs=10, repeats=r).train for r in (1, 3))
    assert three.n == 3 * one.n
    assert Counter(np.concatenate([y for _, y in three]).tolist()).total() == 3 * len(pics.train) // 10 * 10


def test_each_epoch_augments_anew_and_a_seed_repeats_it():
    from fastai.torch_core import set_seed
    from course_utils.techniques.augment import pipeline
    pics = load_pictures('solar', size=32, limit=100)
    def epochs():
        set_seed(3)
        dl = pics.loaders(*STATS, bs=64, tfm=pipeline(.5)).train
        return [torch.cat([x for x, _ in dl]) for _ in range(2)]
    (a, b), (c, d) = epochs(), epochs()
    assert torch.equal(a, c) and torch.equal(b, d) and not torch.equal(a, b)


@pytest.mark.parametrize('workers', [2])
def test_workers_draw_differently(workers):
    pics = load_pictures('solar', size=32, limit=100)
    from course_utils.techniques.augment import pipeline
    same = pics.take(np.r_[np.repeat(pics.train[:1], 64), pics.valid])  # one picture 64 times: equal batches would mean equal draws
    xs = [x for x, _ in same.loaders(*STATS, bs=32, tfm=pipeline(.5), workers=workers).train]
    assert len(xs) == 2 and not torch.equal(xs[0].sum((1, 2, 3)).sort().values, xs[1].sum((1, 2, 3)).sort().values)


def test_heat_grows_lighter_and_takes_a_flat_map():
    a = heat(np.array([[0., .5, 1.]]), 0, 1)
    assert a[0, 0].sum() < a[0, 1].sum() < a[0, 2].sum() and heat(np.zeros((2, 2)), 0, 0).shape == (2, 2, 3)


# ---- what make data has fetched ----

@pytest.fixture
def fetched(tmp_path, monkeypatch):
    "A data set as `make data` leaves it: parts, class folders, a folder of masks beside them, files set aside."
    for part, n in (('train', 6), ('test', 3)):
        for k, c in enumerate(('cat', 'dog')):
            (tmp_path/'data'/'pets'/part/c).mkdir(parents=True)
            for i in range(n): picture(10 * k + i).save(tmp_path/'data'/'pets'/part/c/f'{c}{i}.jpg')
    for d in ('trimaps', '.set_aside/cat'):
        (tmp_path/'data'/'pets'/d).mkdir(parents=True)
        picture().save(tmp_path/'data'/'pets'/d/'x.png')
    about = dict(title='Pets', pictures=18, subset=True, beside=['trimaps'])
    (tmp_path/'data'/'pets'/'about.json').write_text(json.dumps(about))
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'data'))
    return tmp_path/'data'/'pets'


def test_a_fetched_set_is_known_by_its_name(fetched, monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'pets')
    assert sources.data_names() == ['solar', 'pets']
    pics = load_pictures(size=32)
    assert (len(pics.train), len(pics.valid), pics.classes) == (12, 6, ['cat', 'dog'])
    assert 'Pets: subset, 18 pictures.' in pics.report() and sources.subset_note() == 'Pets: subset, 18 pictures' == sources.subset_note('pets')
    assert 'Pets: subset, 18 pictures.' in load_pictures(str(fetched), size=32).report()


def test_a_whole_set_says_so(fetched):
    (fetched/'about.json').write_text(json.dumps(dict(title='Pets', pictures=7_349, subset=False, beside=['trimaps'])))
    assert sources.subset_note(str(fetched)) == 'Pets: all of its 7,349 pictures'


def test_the_card_says_how_many(fetched, monkeypatch):
    from course_utils.report.cards import at_a_glance
    html = lambda **kw: at_a_glance('none', 'x', 'y', **kw)._repr_mimebundle_()['text/html']
    assert 'subset' not in html() and 'Pets: subset, 18 pictures.' in html(data='pets')
    monkeypatch.setenv('COURSE_DATA', 'pets')
    assert 'Pets: subset, 18 pictures.' in html()


@pytest.mark.parametrize('text', ['', '[]', '3', '{}', '{"title": "x"}', '\\xff'])
@pytest.mark.fault
def test_an_about_of_somebody_else_is_passed_by(fetched, text):
    (fetched/'about.json').write_bytes(text.encode('latin1'))
    assert sources.data_facts(str(fetched)) == {} and sources.subset_note(str(fetched)) == ''
    shutil.rmtree(fetched/'trimaps')
    assert len(load_pictures(str(fetched), size=32)) == 18
