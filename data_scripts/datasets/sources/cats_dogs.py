"""Cats and dogs: 25,000 photographs out of Asirra, as in the Kaggle competition."""
from data_scripts.datasets.download import Archive
from data_scripts.datasets.sources.source import PictureFile, Source, picture_paths

ZIP = 'kagglecatsanddogs_5340.zip'
ARTICLE_TRAIN, ARTICLE_VALID = 16_000, 4_000
N_READABLE = 23_262  # pictures with a JFIF header


def list_cats_dogs(src):
    "All are training pictures."
    files = []
    for name in ('Cat', 'Dog'):
        files += [PictureFile('train', name, path) for path in picture_paths(src/'PetImages'/name)]
    return files


def pack_cats_dogs(files, shrink):
    "As the original."
    return {ZIP: ((f'PetImages/{file.class_name}/{file.path.name}', shrink(file.path)) for file in files)}


def cut_cats_dogs(n):
    "The article's 16,000 and 4,000. What is left of the 23,262 readable ones is a test set; a smaller version in proportion."
    train, valid = ARTICLE_TRAIN, ARTICLE_VALID
    if n < train + valid:
        train = round(n * ARTICLE_TRAIN / N_READABLE)
        valid = round(n * ARTICLE_VALID / N_READABLE)
    return dict(train=train, valid=valid, test=n - train - valid)


CATS_DOGS = Source(
    title='Cats and dogs (Asirra, as in the Kaggle competition)',
    page='https://www.microsoft.com/en-us/download/details.aspx?id=54765',
    licence='Microsoft Research licence: see the readme in the archive and check at its source; photographs from Petfinder',
    archives=(
        Archive(f'https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/{ZIP}', 824_887_076,
                'b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9'),
    ),
    list_files=list_cats_dogs, pack=pack_cats_dogs, cut=cut_cats_dogs, jfif=True)
