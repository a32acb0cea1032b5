"Tiny archives in the official layouts of the data sets, for tests of `make data`."
import functools, gzip, hashlib, io, json, pickle, struct, tarfile, zipfile

import numpy as np
from PIL import Image
from scipy.io import savemat

from data_scripts.datasets.sources import SOURCES

RPS = 'rock_paper_scissors'


def saved(picture, kind):
    "A picture as the bytes of a file."
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@functools.cache
def noise_file(seed, kind='JPEG', side=24):
    x = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    return saved(Image.fromarray(x), kind)


def zipped(files, **kwargs):
    "`files`: name → bytes."
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', **kwargs) as archive:
        for name, content in files.items(): archive.writestr(name, content)
    return file.getvalue()


def add_to_tar(archive, name, content):
    "`content`: bytes, or a TarInfo's changes."
    info = tarfile.TarInfo(name)
    if isinstance(content, dict):
        for attribute, value in content.items(): setattr(info, attribute, value)
        archive.addfile(info)
        return
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def tarred(files, gz=True):
    "`files`: name → bytes, or a TarInfo's changes."
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name, content in files.items(): add_to_tar(archive, name, content)
    return gzip.compress(file.getvalue(), 1, mtime=0) if gz else file.getvalue()


# ---- rock, paper, scissors ----

def rps_zip(folder, n, start):
    "`n` pictures a class, from a seed on."
    files = {}
    for k, hand in enumerate(('paper', 'rock', 'scissors')):
        for i in range(n): files[f'{folder}/{hand}/{hand} {i} é.png'] = noise_file(start + 10 * k + i, 'PNG')
    return zipped(files)


@functools.cache
def rps():
    return {'rps.zip': rps_zip('rps', 4, 0), 'rps-test-set.zip': rps_zip('rps-test-set', 2, 100)}


# ---- cats and dogs ----

def cats_dogs():
    "Ten good pictures a class; some of the bad ones of the original, by their names."
    files = {}
    for k, name in enumerate(('Cat', 'Dog')):
        for i in range(10): files[f'PetImages/{name}/{i}.jpg'] = noise_file(50 * k + i)
    good = noise_file(99)
    files |= {
        'PetImages/Cat/666.jpg': b'',
        'PetImages/Cat/Thumbs.db': b'x' * 32,
        'PetImages/Dog/11702.jpg': b'',
        'readme[1].txt': b'hi',
        'PetImages/Cat/10404.jpg': good.replace(b'JFIF', b'AAAA', 1),
        'PetImages/Dog/1308.jpg': noise_file(98, 'BMP'),
        'PetImages/Cat/4351.jpg': good[:len(good) // 2],
    }
    return {'kagglecatsanddogs_5340.zip': zipped(files)}


# ---- dog breeds ----

def mat_list(names):
    "MATLAB's list of files."
    cells = [[np.array([name])] for name in names]
    file = io.BytesIO()
    savemat(file, dict(file_list=np.array(cells + [[None]], object)[:-1]))
    return file.getvalue()


def dog_breeds(folder='n02085782-Spaniel_japones'):
    "Two breeds of five pictures, three of them to train. The second one's folder has another name than the lists say."
    folders = {'n02085620-Chihuahua': 'n02085620-Chihuahua', folder: 'n02085782-Japanese_spaniel'}  # in the archive → in the lists
    images, lists = {}, {'train': [], 'test': []}
    for k, (in_archive, in_lists) in enumerate(folders.items()):
        number = in_lists[:9]
        for i in range(5):
            images[f'Images/{in_archive}/{number}_{i}.jpg'] = noise_file(5 * k + i)
            lists['train' if i < 3 else 'test'].append(f'{in_lists}/{number}_{i}.jpg')
    mats = {f'{part}_list.mat': mat_list(names) for part, names in lists.items()}
    return {'images.tar': tarred(images, gz=False), 'lists.tar': tarred(mats, gz=False)}


# ---- pets ----

PET_LISTS = {
    'trainval': ['Abyssinian_1', 'Abyssinian_2', 'american_bulldog_1', 'american_bulldog_2'],
    'test': ['Abyssinian_3', 'american_bulldog_3'],
}


def trimap_file(i): return saved(Image.fromarray(np.full((24, 24), 1 + i % 3, np.uint8)), 'PNG')


def pets():
    images = {'images/Abyssinian_1.mat': b'x'}
    annotations = {'annotations/trimaps/._Abyssinian_1.png': b'x'}
    for i, name in enumerate([*PET_LISTS['trainval'], *PET_LISTS['test']]):
        images[f'images/{name}.jpg'] = noise_file(i)
        annotations[f'annotations/trimaps/{name}.png'] = trimap_file(i)
    for part, names in PET_LISTS.items():
        lines = [f'{name} 1 1 1\n' for name in names]
        annotations[f'annotations/{part}.txt'] = ''.join(lines).encode()
    return {'pets-images.tar.gz': tarred(images), 'pets-annotations.tar.gz': tarred(annotations)}


# ---- CIFAR ----

def short(content):
    "Bytes as Python 2 pickles them."
    return b'T' + struct.pack('<i', len(content)) + content


ARRAY = b'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J'
BYTES = b'M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89'


def python2_batch(x, labels, key):
    "A batch as the original archives hold it: pickled by Python 2 and an old NumPy."
    array = ARRAY + struct.pack('<i', len(x)) + BYTES + short(x.tobytes()) + b'tb'
    numbers = b''.join(b'K' + bytes([label]) for label in labels)
    return b'\x80\x02}(' + short(b'data') + array + short(key) + b'](' + numbers + b'eu.'


def python3_batch(x, labels, key):
    "A batch as `make mirror` writes it."
    return pickle.dumps({b'data': x, key: labels, b'batch_label': b'x', b'filenames': [b'a.png'] * len(labels)}, 2)


CIFAR_X = np.random.default_rng(0).integers(0, 255, (30, 3072), np.uint8)
CIFAR_LABELS = [i % 3 for i in range(30)]
CIFAR_NAMES = [b'thing 0', b'thing 1', b'thing 2']


def cifar(name='cifar100', write=python2_batch):
    "20 pictures to train, 10 to test."
    def batch(start, stop, key): return write(CIFAR_X[start:stop], CIFAR_LABELS[start:stop], key)

    if name == 'cifar100':
        folder = 'cifar-100-python'
        files = {'train': batch(0, 20, b'fine_labels'), 'test': batch(20, 30, b'fine_labels')}
        files['meta'] = pickle.dumps({b'fine_label_names': CIFAR_NAMES, b'coarse_label_names': [b'x']}, 2)
    else:
        folder = 'cifar-10-batches-py'
        files = {f'data_batch_{k + 1}': batch(4 * k, 4 * k + 4, b'labels') for k in range(5)}
        files['test_batch'] = batch(20, 30, b'labels')
        files['batches.meta'] = pickle.dumps({b'label_names': CIFAR_NAMES}, 2)
    members = {f'{folder}/{file}': content for file, content in files.items()}
    return {SOURCES[name].archives[0].name: tarred(members)}


TINY = {
    RPS: rps,
    'cats_dogs': cats_dogs,
    'dog_breeds': dog_breeds,
    'pets': pets,
    'cifar100': cifar,
    'cifar10': lambda: cifar('cifar10'),
}


# ---- a mirror of them ----

def manifest(files):
    "A mirror's list of them."
    facts = {name: dict(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), note='subset: tiny') for name, content in files.items()}
    return json.dumps(facts).encode()


def mirror_folder(folder, files):
    folder.mkdir()
    for name, content in files.items(): (folder/name).write_bytes(content)
    (folder/'manifest.json').write_bytes(manifest(files))
    return str(folder)
