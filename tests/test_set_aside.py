"What was set aside is tried again: a remedy that a cache defeats is none."
import io, sys, types

import numpy as np, pytest
from PIL import Image, ImageFile

from course_utils.data import decode
from course_utils.data.decode import read_picture
from course_utils.data.pictures import load_pictures

HEIC = b'\0\0\0\x18ftypheic' + b'\0' * 200


@pytest.fixture
def folder(tmp_path, monkeypatch):
    "Two classes of six good pictures each."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    for label, class_name in enumerate('ab'):
        (tmp_path/'d'/class_name).mkdir(parents=True)
        for i in range(6):
            x = np.random.default_rng(10 * label + i).integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(x).save(tmp_path/'d'/class_name/f'{i}.png')
    return tmp_path/'d'


def load(folder): return load_pictures(str(folder), size=32)


def reasons(pics): return list(pics.found.unreadable.values())


def write_cut_jpeg(path):
    content = io.BytesIO()
    Image.linear_gradient('L').save(content, 'jpeg')
    path.write_bytes(content.getvalue()[:-600])


@pytest.mark.fault
def test_a_limit_that_was_raised(folder, monkeypatch, capsys):
    Image.new('RGB', (300, 200), 'green').save(folder/'a'/'large.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10_000)
    assert reasons(load(folder)) == ['too many pixels to be safe to open']
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', None)
    pics = load(folder)
    assert (len(pics), reasons(pics)) == (13, [])
    assert 'leave out files that can be read now: they are read again.' in capsys.readouterr().out
    assert len(load(folder)) == 13
    assert capsys.readouterr().out == ''


@pytest.mark.fault
def test_cut_pictures_that_were_allowed(folder, monkeypatch):
    write_cut_jpeg(folder/'a'/'cut.jpg')
    assert 'truncated' in reasons(load(folder))[0]
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    assert len(load(folder)) == 13


@pytest.mark.fault
def test_what_stays_unreadable_is_no_reason_to_read_the_others_again(folder, monkeypatch):
    (folder/'a'/'words.jpg').write_text('this is no picture')
    first, read = load(folder), []
    monkeypatch.setattr(decode, 'read_picture', lambda path, size: read.append(path) or read_picture(path, size))
    again = load(folder)
    assert [path.rsplit('/', 1)[1] for path in read] == ['words.jpg']
    assert np.array_equal(first.x, again.x)
    assert reasons(again) == ['not a picture']


# ---- HEIC ----

def fake_pillow_heif(monkeypatch):
    "A package that reads our HEIC: it is registered as the real one is."
    def register_heif_opener():
        Image.register_open('HEIF', lambda file, name: Image.new('RGB', (40, 40), 'red'), lambda head: head[4:8] == b'ftyp')

    monkeypatch.setattr(Image, 'OPEN', dict(Image.OPEN))
    monkeypatch.setattr(Image, 'ID', list(Image.ID))
    monkeypatch.setitem(sys.modules, 'pillow_heif', types.SimpleNamespace(register_heif_opener=register_heif_opener))


@pytest.mark.fault
def test_heic_names_its_package_and_is_read_when_it_is_there(folder, monkeypatch):
    (folder/'a'/'IMG_1.HEIC').write_bytes(HEIC)
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    assert reasons(load(folder)) == ['HEIC needs the package pillow-heif: pip install pillow-heif']
    fake_pillow_heif(monkeypatch)
    pics = load(folder)
    assert (len(pics), reasons(pics)) == (13, [])


@pytest.mark.parametrize('content, reason', [
    (b'\0\0\0\x18ftypavif' + b'\0' * 200, 'AVIF needs the package pillow-avif-plugin: pip install pillow-avif-plugin'),
    (b'II*\0' + b'\xff' * 200, 'a kind of TIFF that Pillow cannot read: save it as PNG'),
    (b'\0' * 128 + b'DICM' + b'\0' * 80, 'DICOM, which Pillow cannot read: save it as 16-bit PNG or TIFF'),
    (b'\0\0\0\x18ftypmp42' + b'\0' * 200, 'not a picture'),
])
@pytest.mark.fault
def test_other_kinds_say_what_helps(folder, monkeypatch, content, reason):
    monkeypatch.setattr(decode.features, 'check', lambda name: False)
    (folder/'a'/'x.jpg').write_bytes(content)
    assert reasons(load(folder)) == [reason]
