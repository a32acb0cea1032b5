"""Oxford-IIIT Pets: 7,349 photographs of 37 breeds, with a trimap of each animal's outline."""
from PIL import Image

from data_scripts.datasets.download import Archive
from data_scripts.datasets.sources.source import Source, listed, picture_paths

LISTS = dict(train='trainval', test='test')
CAT, DOG = 1, 2  # in the lists


def list_names(path) -> list:
    "The pictures that a list of the archive names."
    lines = path.read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith('#')]


def list_pets(src):
    "Two lists say which part a picture is of; its name says its breed."
    wanted = {}
    for part, list_name in LISTS.items():
        for name in list_names(src/'annotations'/f'{list_name}.txt'):
            breed = name.rsplit('_', 1)[0]
            wanted[f'{name}.jpg'] = (part, breed)
    return listed(wanted, picture_paths(src/'images'))


def species(breed: str) -> int:
    "Cats have a capital."
    return CAT if breed[0].isupper() else DOG


def list_lines(files) -> dict:  # file → its line in the lists: name, class, species, breed among its species
    "All counted from 1."
    breeds = sorted({file.class_name for file in files}, key=str.lower)
    ranks = {}
    for kind in (CAT, DOG):
        alike = [breed for breed in breeds if species(breed) == kind]
        ranks |= {breed: i for i, breed in enumerate(alike, 1)}
    lines = {}
    for file in files:
        breed = file.class_name
        lines[file] = f'{file.path.stem} {breeds.index(breed) + 1} {species(breed)} {ranks[breed]}\n'
    return lines


def annotations(files, shrink):
    "The lists, and the trimaps of pictures that have one."
    lines = list_lines(files)
    lists = dict(list=('train', 'test'), trainval=('train',), test=('test',))
    for name, parts in lists.items():
        text = ''.join(line for file, line in lines.items() if file.part in parts)
        yield f'annotations/{name}.txt', text.encode()
    for file in files:
        trimap = file.path.parents[2]/'trimaps'/f'{file.path.stem}.png'
        if trimap.exists(): yield f'annotations/trimaps/{trimap.name}', shrink(trimap, Image.Resampling.NEAREST)


def pack_pets(files, shrink):
    "As the originals."
    images = ((f'images/{file.path.name}', shrink(file.path)) for file in files)
    return {'pets-images.tar.gz': images, 'pets-annotations.tar.gz': annotations(files, shrink)}


PETS = Source(
    title='Oxford-IIIT Pets, 37 breeds',
    page='https://www.robots.ox.ac.uk/~vgg/data/pets/',
    licence="CC BY-SA 4.0, says its page, the photographs their owners': check at its source; cite Parkhi et al. 2012",
    archives=(
        Archive('http://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz', 791_918_971,
                '67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d', 'pets-images.tar.gz'),
        Archive('http://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz', 19_173_078,
                '52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91', 'pets-annotations.tar.gz'),
    ),
    list_files=list_pets, pack=pack_pets, extra_folders=dict(trimaps='annotations/trimaps'))
