"""Rock, paper, scissors: 2,892 rendered hands, by Laurence Moroney."""
from data_scripts.datasets.download import Archive
from data_scripts.datasets.sources.source import PictureFile, Source, picture_paths

CLASS_FOLDERS = dict(train='rps', test='rps-test-set')


def list_rock_paper_scissors(src):
    "One archive a part, class folders in it."
    files = []
    for part, folder in CLASS_FOLDERS.items():
        files += [PictureFile(part, path.parent.name, path) for path in picture_paths(src/folder)]
    return files


def pack_rock_paper_scissors(files, shrink):
    "As the originals."
    def members(wanted_part, folder):
        for part, class_name, path in files:
            if part == wanted_part: yield f'{folder}/{class_name}/{path.name}', shrink(path)

    return {f'{folder}.zip': members(part, folder) for part, folder in CLASS_FOLDERS.items()}


ROCK_PAPER_SCISSORS = Source(
    title='Rock, paper, scissors (Laurence Moroney)',
    page='https://laurencemoroney.com/datasets.html',
    licence='CC BY, says its page: check at its source; name Laurence Moroney',
    archives=(
        Archive('https://storage.googleapis.com/download.tensorflow.org/data/rps.zip', 200_682_221,
                'c2403444395842ad04c53612bad54b574443eae17a0723117a2ff87b9d72194f'),
        Archive('https://storage.googleapis.com/download.tensorflow.org/data/rps-test-set.zip', 29_516_758,
                'c27ab9fa43ce40b2e453de711365b477f4424586edf0388116674fd320f07503'),
    ),
    list_files=list_rock_paper_scissors, pack=pack_rock_paper_scissors)
