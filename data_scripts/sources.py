"""The data sets of the four articles: where each lies, and how its archives become class folders.

For each, one function lists the pictures of the unpacked archives as (part, class, file), and one packs pictures into
archives of the same layout, for `make mirror`."""
import io, pickle, random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from course_utils.config import CourseError
from data_scripts.fetch import Archive

SUFFIXES = '.jpg', '.jpeg', '.png'


@dataclass(frozen=True)
class Source:
    "A data set."
    title: str
    page: str                # where a person reads about it
    licence: str
    archives: tuple
    listing: Callable        # unpacked folder → [(part, class, file)]
    pack: Callable           # [(part, class, file)], shrink → {archive: [(member, bytes)]}
    cut: Callable = None     # number of training pictures → {part: number}, where the articles' split is finer than the archive's
    jfif: bool = False       # set aside what has no JFIF header
    beside: dict = field(default_factory=dict)  # folder beside the class folders → where it lies in the archives
    room: float = 1.2        # bytes on disk, the archives not counted, for each byte of the archives


def pictures(folder: Path) -> list[Path]:
    "Every picture file below, in order. Files that macOS and Windows leave behind are none."
    return sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES and not p.name.startswith('.') and p.is_file())


def split(rows: list, cut, seed: int = 0) -> list:
    "Cuts the training pictures into parts of the wanted sizes, each class in proportion. The same names and seed give the same parts."
    train, out, before = {}, [], 0
    for r in rows: (train.setdefault(r[1], []) if r[0] == 'train' else out).append(r)
    n_train = sum(map(len, train.values()))
    wanted = cut(n_train)
    for c in sorted(train):
        own = sorted(train[c], key=lambda r: r[2].name)
        random.Random(f'{seed} {c}').shuffle(own)
        after, done, share = before + len(own), 0, 0
        for part, n in wanted.items():
            # The parts' sizes up to this class less those before it: every class gets its share, and the sums are exact.
            share += n
            end = round(after * share / n_train) - round(before * share / n_train)
            out += [(part, c, f) for _, _, f in own[done:end]]
            done = end
        before = after
    return out


def listed(wanted: dict, found: list[Path]) -> list:
    "The files that official lists name. A list says names only: what is opened is what was unpacked."
    files = {p.name: p for p in found}
    if missing := sorted(wanted.keys() - files.keys()):
        raise CourseError(f"The lists name {len(missing)} pictures that the archives do not hold, the first {missing[0]!a}: the archives do not belong together.")
    return [(*wanted[name], files[name]) for name in sorted(wanted)]


# ---- cats and dogs ----

def list_cats_dogs(src): return [('train', c, p) for c in ('Cat', 'Dog') for p in pictures(src/'PetImages'/c)]
def pack_cats_dogs(rows, shrink): return {'kagglecatsanddogs_5340.zip': ((f'PetImages/{c}/{p.name}', shrink(p)) for _, c, p in rows)}

def cut_cats_dogs(n):
    "The article's 16,000 and 4,000. What is left of the 23,262 readable ones is a test set; a smaller version in proportion."
    train, valid = (16_000, 4_000) if n >= 20_000 else (round(n * 16_000 / 23_262), round(n * 4_000 / 23_262))
    return dict(train=train, valid=valid, test=n - train - valid)


# ---- rock, paper, scissors ----

RPS = dict(train='rps', test='rps-test-set')

def list_rps(src): return [(part, p.parent.name, p) for part, top in RPS.items() for p in pictures(src/top)]
def pack_rps(rows, shrink):
    members = lambda of, top: ((f'{top}/{c}/{p.name}', shrink(p)) for part, c, p in rows if part == of)
    return {f'{top}.zip': members(part, top) for part, top in RPS.items()}


# ---- dog breeds ----

def list_dog_breeds(src):
    "A breed is known by its number (n02085620): its name differs between copies of the set."
    from scipy.io import loadmat
    found = pictures(src/'Images')
    names = {p.parent.name.split('-', 1)[0]: p.parent.name.split('-', 1)[1] for p in found}
    if len(set(names.values())) < len(names): names = {n: f'{n}-{name}' for n, name in names.items()}
    part_of = {PurePosixPath(row[0].item()).name: part for part in ('train', 'test') for row in loadmat(src/f'{part}_list.mat')['file_list']}
    return listed({f: (part, names[f.split('_')[0]]) for f, part in part_of.items()}, found)

def pack_dog_breeds(rows, shrink):
    from scipy.io import savemat
    number = lambda p: p.name.split('_')[0]
    folder = lambda c, p: c if c.startswith(f'{number(p)}-') else f'{number(p)}-{c}'
    label = {n: i for i, n in enumerate(sorted({number(p) for _, _, p in rows}), 1)}
    def cells(values):
        out = np.empty((len(values), 1), object)
        out[:, 0] = values
        return out
    def mat(part):
        own, f = [(f'{folder(c, p)}/{p.name}', label[number(p)]) for of, c, p in rows if of == part], io.BytesIO()
        savemat(f, dict(file_list=cells([n for n, _ in own]), annotation_list=cells([n.rsplit('.', 1)[0] for n, _ in own]), labels=np.array([[i] for _, i in own])))
        return f.getvalue()
    return {'images.tar': ((f'Images/{folder(c, p)}/{p.name}', shrink(p)) for _, c, p in rows),
            'lists.tar': ((f'{part}_list.mat', mat(part)) for part in ('train', 'test'))}


# ---- CIFAR ----

class PlainPickle(pickle.Unpickler):
    "Reads numbers, bytes, lists and arrays of bytes. A pickle may name any function to be called: this one calls none of them."
    def __init__(self, f): super().__init__(f, encoding='bytes')
    def find_class(self, module, name):
        if module.removeprefix('numpy._core').removeprefix('numpy.core') == '.multiarray' and name == '_reconstruct': return _Bytes
        try: return {('numpy', 'ndarray'): _Name, ('numpy', 'dtype'): _Kind, ('_codecs', 'encode'): _latin1}[module, name]
        except KeyError: raise pickle.UnpicklingError(f'it asks for {module}.{name}') from None

class _Name: pass

class _Kind:
    def __init__(self, code, *_):
        if code not in ('u1', b'u1'): raise pickle.UnpicklingError(f'it holds an array of {code!a}')
    def __setstate__(self, state): pass

class _Bytes:
    def __init__(self, *_): pass
    def __setstate__(self, state):
        _, shape, _, columns_first, data = state
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order='F' if columns_first else 'C')

def _latin1(text, code):
    if code not in ('latin1', b'latin1'): raise pickle.UnpicklingError(f'it holds text in {code!a}')
    return text.encode('latin1')

def read_batch(path: Path) -> dict:
    with open(path, 'rb') as f: d = PlainPickle(f).load()
    return {k.decode(): v for k, v in d.items()}

CIFAR = dict(
    cifar10=('cifar-10-batches-py', dict(train=[f'data_batch_{i}' for i in range(1, 6)], test=['test_batch']), 'labels', 'batches.meta', 'label_names'),
    cifar100=('cifar-100-python', dict(train=['train'], test=['test']), 'fine_labels', 'meta', 'fine_label_names'))

def cifar(which):
    top, files, labels, meta, names = CIFAR[which]

    def listing(src):
        classes, rows = [n.decode() for n in read_batch(src/top/meta)[names]], []
        for part, batches in files.items():
            (src/part).mkdir()
            for b in map(read_batch, (src/top/f for f in batches)):
                x = b['data'].array.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                for one, i in zip(x, b[labels], strict=True):
                    rows.append((part, classes[i], src/part/f'{len(rows):05d}.png'))
                    Image.fromarray(one).save(rows[-1][2])
        return rows

    def pack(rows, shrink):  # never smaller than 32 px: the format knows nothing else
        classes = sorted({c for _, c, _ in rows})
        def batch(own, b): return pickle.dumps({
            b'batch_label': b.encode(), b'filenames': [p.name.encode() for _, _, p in own], labels.encode(): [classes.index(c) for _, c, _ in own],
            b'data': np.stack([np.asarray(Image.open(p)).transpose(2, 0, 1).ravel() for _, _, p in own])}, 2)
        def members():
            for part, batches in files.items():
                own = [r for r in rows if (r[0] == 'test') == (part == 'test')]  # train and valid are one in the archive
                random.Random(0).shuffle(own)
                for i, b in enumerate(batches):
                    if mine := own[i::len(batches)]: yield f'{top}/{b}', batch(mine, b)
            yield f'{top}/{meta}', pickle.dumps({names.encode(): [c.encode() for c in classes]}, 2)
        return {SOURCES[which].archives[0].name: members()}

    return dict(listing=listing, pack=pack, cut=lambda n: dict(train=n - n // 5, valid=n // 5), room=2.6)


# ---- pets ----

def list_pets(src):
    lines = lambda part: (l.split()[0] for l in (src/'annotations'/f'{part}.txt').read_text().splitlines() if l.strip() and not l.startswith('#'))
    found = pictures(src/'images')
    return listed({f'{n}.jpg': (part, n.rsplit('_', 1)[0]) for part, f in (('train', 'trainval'), ('test', 'test')) for n in lines(f)}, found)

def pack_pets(rows, shrink):
    breeds = sorted({c for _, c, _ in rows}, key=str.lower)
    species = lambda c: 1 if c[0].isupper() else 2  # cats have a capital
    rank = {c: [b for b in breeds if species(b) == species(c)].index(c) + 1 for c in breeds}
    def text(parts): return ''.join(f'{p.stem} {breeds.index(c) + 1} {species(c)} {rank[c]}\n' for part, c, p in rows if part in parts).encode()
    def annotations():
        for f, parts in (('list', ('train', 'test')), ('trainval', ('train',)), ('test', ('test',))): yield f'annotations/{f}.txt', text(parts)
        for _, _, p in rows:
            if (t := p.parents[2]/'trimaps'/f'{p.stem}.png').exists(): yield f'annotations/trimaps/{t.name}', shrink(t, Image.Resampling.NEAREST)
    return {'pets-images.tar.gz': ((f'images/{p.name}', shrink(p)) for _, _, p in rows), 'pets-annotations.tar.gz': annotations()}


# Sizes and checksums are those of the original files. Licences: as far as the pages say.
SOURCES = {
    'cats_dogs': Source(
        title='Cats and dogs (Asirra, as in the Kaggle competition)', page='https://www.microsoft.com/en-us/download/details.aspx?id=54765',
        licence='Microsoft Research licence: see the readme in the archive and check at its source; photographs from Petfinder',
        archives=(Archive('https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip', 824_887_076,
                          'b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9'),),
        listing=list_cats_dogs, pack=pack_cats_dogs, cut=cut_cats_dogs, jfif=True),
    'rock_paper_scissors': Source(
        title='Rock, paper, scissors (Laurence Moroney)', page='https://laurencemoroney.com/datasets.html',
        licence='CC BY, says its page: check at its source; name Laurence Moroney',
        archives=(Archive('https://storage.googleapis.com/download.tensorflow.org/data/rps.zip', 200_682_221,
                          'c2403444395842ad04c53612bad54b574443eae17a0723117a2ff87b9d72194f'),
                  Archive('https://storage.googleapis.com/download.tensorflow.org/data/rps-test-set.zip', 29_516_758,
                          'c27ab9fa43ce40b2e453de711365b477f4424586edf0388116674fd320f07503')),
        listing=list_rps, pack=pack_rps),
    'dog_breeds': Source(
        title='Stanford Dogs, 120 breeds', page='http://vision.stanford.edu/aditya86/ImageNetDogs/',
        licence="pictures out of ImageNet's training set, whose terms allow research and teaching, nothing commercial: check at its source",
        archives=(Archive('http://vision.stanford.edu/aditya86/ImageNetDogs/images.tar', 793_579_520,
                          'a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58'),
                  Archive('http://vision.stanford.edu/aditya86/ImageNetDogs/lists.tar', 481_280,
                          '34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c')),
        listing=list_dog_breeds, pack=pack_dog_breeds),
    'cifar100': Source(
        title='CIFAR-100', page='https://www.cs.toronto.edu/~kriz/cifar.html', licence='its page states none: check at its source; cite Krizhevsky 2009',
        archives=(Archive('https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz', 169_001_437,
                          '85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7'),),
        **cifar('cifar100')),
    'cifar10': Source(
        title='CIFAR-10', page='https://www.cs.toronto.edu/~kriz/cifar.html', licence='its page states none: check at its source; cite Krizhevsky 2009',
        archives=(Archive('https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz', 170_498_071,
                          '6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce'),),
        **cifar('cifar10')),
    'pets': Source(
        title='Oxford-IIIT Pets, 37 breeds', page='https://www.robots.ox.ac.uk/~vgg/data/pets/',
        licence='CC BY-SA 4.0, says its page, the photographs their owners\': check at its source; cite Parkhi et al. 2012',
        archives=(Archive('http://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz', 791_918_971,
                          '67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d', 'pets-images.tar.gz'),
                  Archive('http://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz', 19_173_078,
                          '52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91', 'pets-annotations.tar.gz')),
        listing=list_pets, pack=pack_pets, beside=dict(trimaps='annotations/trimaps')),
}
