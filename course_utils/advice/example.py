"""A folder of pictures with trouble in it, for those who have none of their own."""
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils.config import cache_dir, whole_folder
from course_utils.data.sources import solar_cells

CLASS_SHARES = (5 / 6, 1 / 6)  # of the two classes
ALTERED = {  # name → what becomes of a held-out picture that is put into `train` too
    'smaller': lambda im: im.resize((120, 120)),
    'again': lambda im: im,
    'brighter': lambda im: im.point(lambda v: min(255, int(1.15 * v))),
}


def example_folder(
    n: int=480,  # pictures, before copies are planted
) -> Path:
    """Makes a folder `train` and `valid` of solar cells in the course's cache, with trouble: one defective cell to five others, a copy
    in `train` of every fifth held-out picture (smaller, encoded again, or brighter), and two files that cannot be read."""
    folder = cache_dir()/'your_pictures'/f'solar cells {n}'
    if folder.is_dir(): return folder
    table, classes = solar_cells()
    rng = np.random.default_rng(0)
    with whole_folder(folder, 'The example folder') as work:
        for label, share in enumerate(CLASS_SHARES):
            paths = rng.permutation(table.path[table.label == label])[:round(n * share)]
            write_class(work, classes[label], paths)
        (work/'train'/classes[0]/'notes.jpg').write_text('no picture')
        (work/'train'/classes[1]/'empty.jpg').touch()
    return folder


def write_class(
    work: Path,  # with folders `train` and `valid`
    name: str,   # of the class
    paths,       # its pictures
):
    "Every fourth picture is held out, and every fifth of those lies in `train` too, in another guise."
    for part in ('train', 'valid'): (work/part/name).mkdir(parents=True)
    for k, path in enumerate(paths):
        part = 'valid' if k % 4 == 0 else 'train'
        stem = Path(path).stem
        im = Image.open(path).convert('L')
        im.save(work/part/name/f'{stem}.jpg', quality=92)
        if k % 20 == 0:
            guise = list(ALTERED)[k // 20 % len(ALTERED)]
            ALTERED[guise](im).save(work/'train'/name/f'{stem} {guise}.jpg', quality=60)
