"""Copies of pictures: made on purpose, to see which of them `near_duplicates` finds and what they do to an accuracy; and left out."""
import io

import numpy as np, pandas as pd
from PIL import Image, ImageOps

from course_utils.data.pictures import Pictures
from course_utils.techniques.near_duplicates import ALIKE, NEAR, near_duplicates


# ---- made ----

def encoded_again(im: Image.Image, quality: int) -> Image.Image:
    "As a JPEG, written and read."
    buffer = io.BytesIO()
    im.save(buffer, 'jpeg', quality=quality)
    return Image.open(buffer).convert('RGB')


def altered(
    image,  # `(n, n, 3)` uint8
) -> dict:  # name → `(n, n, 3)` uint8
    "Six copies of a picture, as they come about in folders."
    n = len(image)
    edge = max(1, n // 20)
    bicubic = Image.Resampling.BICUBIC
    im = Image.fromarray(image)
    copies = {
        'encoded again': encoded_again(im, 50),
        'half the size': im.resize((n // 2, n // 2), bicubic),
        'brighter': im.point(lambda v: min(255, int(1.2 * v))),
        'cropped': im.crop((edge, edge, n - edge, n - edge)),
        'turned 3°': im.rotate(3, bicubic),
        'mirrored': ImageOps.mirror(im),
    }
    def whole(copy): return np.asarray(copy.convert('RGB').resize((n, n), bicubic))
    return {name: whole(copy) for name, copy in copies.items()}


def copies_found(
    images,              # `(N, H, W, 3)` uint8
    near: int=NEAR,      # see `near_duplicates`
    alike: float=ALIKE,  # see `near_duplicates`
) -> pd.DataFrame:       # a row for each way: share found
    "Which copies of these very pictures `near_duplicates` finds."
    copies = [altered(image) for image in images]
    shares = {}
    for kind in copies[0]:
        batch = [copy[kind] for copy in copies]
        pairs = near_duplicates(np.concatenate([images, batch]), near, alike)
        is_own_copy = pairs.b - pairs.a == len(images)
        shares[kind] = is_own_copy.sum() / len(images)
    return pd.DataFrame({'found': shares}).rename_axis('copy')


def with_copies(
    pics: Pictures,
    places,                      # which pictures are copied
    change: str='half the size', # a name out of `altered`
) -> Pictures:
    "The same pictures, and of those at `places` an altered copy among the training pictures."
    copies = [altered(pics.x[i])[change] for i in places]
    rows = pics.table.iloc[places].assign(split='train')
    table = pd.concat([pics.table, rows], ignore_index=True)
    return Pictures(pics.name, np.concatenate([pics.x, copies]), pics.classes, table, pics.found, pics.notes)


# ---- left out ----

def leaks_message(
    pics: Pictures,
    places,          # held-out pictures that have a near-copy among the training pictures
) -> str:
    "A sentence where they are too many to leave out: a class would have no picture held out, or under half of all would be left. Else nothing."
    remaining = np.setdiff1d(pics.valid, places)
    keeps_classes = set(pics.y[remaining]) == set(pics.y[pics.valid])
    if keeps_classes and 2 * len(remaining) >= len(pics.valid): return ''
    return (f'{len(pics.valid) - len(remaining)} of {len(pics.valid)} held-out pictures have a near-copy among the training pictures, too many to leave out. '
            'They stay, and the accuracy may be too good. Such pictures come in series: make folders train and valid yourself, each series in one of them.')


def leave_out(
    pics: Pictures,
    places,          # held-out pictures, from `leaked`
) -> Pictures:
    "The pictures without the held-out ones at `places`. Where those are too many, says so and leaves out none."
    message = leaks_message(pics, places)
    if message:
        print(message)
        return pics
    return pics.take(np.setdiff1d(np.arange(len(pics)), places))
