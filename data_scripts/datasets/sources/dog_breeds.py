"""Stanford Dogs: 20,580 photographs of 120 breeds, out of ImageNet.

A breed is known by its number (n02085620): its name differs between copies of the set."""
import io
from pathlib import PurePosixPath

import numpy as np

from data_scripts.datasets.download import Archive
from data_scripts.datasets.sources.source import Source, listed, picture_paths

LISTED_PARTS = ('train', 'test')


def breed_number(path) -> str:
    "Of a picture's file: n02085620 of n02085620_10074.jpg."
    return path.name.split('_')[0]


def breed_names(paths) -> dict:
    "The name of each number. Two breeds of one name stay two."
    names = dict(path.parent.name.split('-', 1) for path in paths)
    if len(set(names.values())) == len(names): return names
    return {number: f'{number}-{name}' for number, name in names.items()}


def list_dog_breeds(src):
    "Pictures lie in class folders; two MATLAB lists say which part each is of."
    from scipy.io import loadmat
    paths = picture_paths(src/'Images')
    names = breed_names(paths)
    wanted = {}
    for part in LISTED_PARTS:
        for row in loadmat(src/f'{part}_list.mat')['file_list']:
            file = PurePosixPath(row[0].item())
            wanted[file.name] = (part, names[breed_number(file)])
    return listed(wanted, paths)


def pack_dog_breeds(files, shrink):
    "As the originals: the pictures, and the two lists."
    numbers = sorted({breed_number(file.path) for file in files})
    labels = {number: i for i, number in enumerate(numbers, 1)}
    images = ((f'Images/{member_name(file)}', shrink(file.path)) for file in files)
    lists = ((f'{part}_list.mat', mat_file(files, part, labels)) for part in LISTED_PARTS)
    return {'images.tar': images, 'lists.tar': lists}


def member_name(file) -> str:
    "The breed's folder, with its number, and the file."
    number = breed_number(file.path)
    folder = file.class_name if file.class_name.startswith(f'{number}-') else f'{number}-{file.class_name}'
    return f'{folder}/{file.path.name}'


TITLE_LENGTH = 116  # bytes of text at the top of a MATLAB 5 file, where scipy writes the time


def mat_file(files, part, labels) -> bytes:
    "A part's list as MATLAB keeps it, without the time of writing: the same list gives the same bytes."
    from scipy.io import savemat
    files = [file for file in files if file.part == part]
    names = [member_name(file) for file in files]
    content = dict(
        file_list=cell_array(names),
        annotation_list=cell_array([name.rsplit('.', 1)[0] for name in names]),
        labels=np.array([[labels[breed_number(file.path)]] for file in files]),
    )
    buffer = io.BytesIO()
    savemat(buffer, content)
    title = b'MATLAB 5.0 MAT-file'.ljust(TITLE_LENGTH)
    return title + buffer.getvalue()[TITLE_LENGTH:]


def cell_array(values) -> np.ndarray:
    "A column of objects, as MATLAB's cells are."
    cells = np.empty((len(values), 1), object)
    cells[:, 0] = values
    return cells


DOG_BREEDS = Source(
    title='Stanford Dogs, 120 breeds',
    page='http://vision.stanford.edu/aditya86/ImageNetDogs/',
    licence="pictures out of ImageNet's training set, whose terms allow research and teaching, nothing commercial: check at its source",
    archives=(
        Archive('http://vision.stanford.edu/aditya86/ImageNetDogs/images.tar', 793_579_520,
                'a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58'),
        Archive('http://vision.stanford.edu/aditya86/ImageNetDogs/lists.tar', 481_280,
                '34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c'),
    ),
    list_files=list_dog_breeds, pack=pack_dog_breeds)
