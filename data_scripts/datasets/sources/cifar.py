"""CIFAR-10 and CIFAR-100: 60,000 pictures of 32×32 pixels, in pickled arrays.

A pickle may name any function to be called. `PlainPickle` calls none."""
import pickle, random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data_scripts.datasets.download import Archive
from data_scripts.datasets.sources.source import PictureFile, Source


# ---- reading a pickle that is not trusted ----

class ArrayName:
    "Stands for `numpy.ndarray`, which the pickle names and nobody calls."


class ArrayKind:
    "Stands for `numpy.dtype`: bytes alone."
    def __init__(self, code, *_):
        if code not in ('u1', b'u1'): raise pickle.UnpicklingError(f'it holds an array of {code!a}')

    def __setstate__(self, state): pass


class ByteArray:
    "Stands for numpy's `_reconstruct`: keeps the array as `array`."
    def __init__(self, *_): pass

    def __setstate__(self, state):
        _, shape, _, columns_first, data = state
        order = 'F' if columns_first else 'C'
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order=order)


def encode_latin1(text: str, code) -> bytes:
    "Stands for `_codecs.encode`: how Python 3 writes bytes for Python 2."
    if code not in ('latin1', b'latin1'): raise pickle.UnpicklingError(f'it holds text in {code!a}')
    return text.encode('latin1')


STAND_INS = {
    ('numpy', 'ndarray'): ArrayName,
    ('numpy', 'dtype'): ArrayKind,
    ('numpy.core.multiarray', '_reconstruct'): ByteArray,
    ('numpy._core.multiarray', '_reconstruct'): ByteArray,
    ('_codecs', 'encode'): encode_latin1,
}


class PlainPickle(pickle.Unpickler):
    "Reads numbers, bytes, lists and arrays of bytes."
    def __init__(self, file): super().__init__(file, encoding='bytes')

    def find_class(self, module, name):
        try: return STAND_INS[module, name]
        except KeyError: raise pickle.UnpicklingError(f'it asks for {module}.{name}') from None


def read_pickle(path: Path) -> dict:
    "A dict that was pickled, its keys as text."
    with open(path, 'rb') as file: content = PlainPickle(file).load()
    return {key.decode(): value for key, value in content.items()}


# ---- the two sets ----

@dataclass(frozen=True)
class CifarLayout:
    "What an archive calls its parts."
    archive: str
    folder: str
    batches: dict     # part → its files
    labels: str       # key of the labels in a batch
    meta: str         # file of the class names
    class_names: str  # key of the class names in it

    def list_files(self, src: Path) -> list[PictureFile]:
        "Writes every picture as a PNG, and lists those."
        meta = read_pickle(src/self.folder/self.meta)
        classes = [name.decode() for name in meta[self.class_names]]
        files = []
        for part, names in self.batches.items():
            (src/part).mkdir()
            for name in names:
                batch = read_pickle(src/self.folder/name)
                x = batch['data'].array.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                for picture, label in zip(x, batch[self.labels], strict=True):
                    path = src/part/f'{len(files):05d}.png'
                    Image.fromarray(picture).save(path)
                    files.append(PictureFile(part, classes[label], path))
        return files

    def pack(self, files: list[PictureFile], shrink) -> dict:
        "As the original. Never smaller than 32 px: the format knows nothing else."
        return {self.archive: self.members(files)}

    def members(self, files: list[PictureFile]):
        "The archive's files: names and bytes."
        classes = sorted({file.class_name for file in files})
        for part, names in self.batches.items():
            in_part = [file for file in files if (file.part == 'test') == (part == 'test')]  # train and valid are one in the archive
            random.Random(0).shuffle(in_part)
            for i, name in enumerate(names):
                in_batch = in_part[i::len(names)]
                if in_batch: yield f'{self.folder}/{name}', self.write_batch(in_batch, name, classes)
        names = [name.encode() for name in classes]
        yield f'{self.folder}/{self.meta}', pickle.dumps({self.class_names.encode(): names}, 2)

    def write_batch(self, files: list[PictureFile], name: str, classes: list) -> bytes:
        "Some pictures as the archive holds them: a row each, channels first."
        pictures = [np.asarray(Image.open(file.path)) for file in files]
        rows = [picture.transpose(2, 0, 1).ravel() for picture in pictures]
        batch = {
            b'batch_label': name.encode(),
            b'filenames': [file.path.name.encode() for file in files],
            self.labels.encode(): [classes.index(file.class_name) for file in files],
            b'data': np.stack(rows),
        }
        return pickle.dumps(batch, 2)


LAYOUT_10 = CifarLayout(
    archive='cifar-10-python.tar.gz',
    folder='cifar-10-batches-py',
    batches=dict(train=[f'data_batch_{i}' for i in range(1, 6)], test=['test_batch']),
    labels='labels',
    meta='batches.meta',
    class_names='label_names',
)
LAYOUT_100 = CifarLayout(
    archive='cifar-100-python.tar.gz',
    folder='cifar-100-python',
    batches=dict(train=['train'], test=['test']),
    labels='fine_labels',
    meta='meta',
    class_names='fine_label_names',
)


def cut_cifar(n: int) -> dict:
    "A fifth of the training pictures is held out."
    return dict(train=n - n // 5, valid=n // 5)


def cifar_source(title: str, layout: CifarLayout, n_bytes: int, sha256: str) -> Source:
    "Both lie in one place and are described by one page."
    archive = Archive(f'https://www.cs.toronto.edu/~kriz/{layout.archive}', n_bytes, sha256)
    return Source(
        title=title,
        page='https://www.cs.toronto.edu/~kriz/cifar.html',
        licence='its page states none: check at its source; cite Krizhevsky 2009',
        archives=(archive,),
        list_files=layout.list_files, pack=layout.pack, cut=cut_cifar, room=2.6)


CIFAR10 = cifar_source('CIFAR-10', LAYOUT_10, 170_498_071, '6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce')
CIFAR100 = cifar_source('CIFAR-100', LAYOUT_100, 169_001_437, '85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7')
