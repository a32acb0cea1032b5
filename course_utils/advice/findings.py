"""What is looked at before a training: each function looks at one thing and gives a `Finding`."""
import math, re
from dataclasses import dataclass
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.advice.series import Leak
from course_utils.data.pictures import Pictures
from course_utils.show.palette import LEVELS
from course_utils.show.words import abridged, plural
from course_utils.techniques.copies import leaks_message
from course_utils.techniques.near_duplicates import leaked
from course_utils.techniques.transfer import map_sizes

LEVEL_SIGNS = {'trouble': LEVELS['trouble'], 'note': LEVELS['note'], 'fine': LEVELS['good']}  # level → sign and colour

FEW_PICTURES = 200  # training pictures: under these fine-tuning is not tried
UNEVEN = 3          # how many times the rarest class the most frequent one has: from here on the classes are weighed
SIDE_WORDS = {'left', 'right', 'links', 'rechts', 'up', 'down', 'top', 'bottom', 'north', 'south', 'east', 'west', 'clockwise',
              'forward', 'backward'}


@dataclass
class Finding:
    "One thing that was looked at."
    name: str
    level: str  # out of `LEVEL_SIGNS`
    found: str  # with numbers
    means: str
    does: str   # what the recipe does about it


def level_of(is_trouble, is_note=False) -> str:
    "The worst level that is true."
    if is_trouble: return 'trouble'
    return 'note' if is_note else 'fine'


def all_findings(
    pics: Pictures,
    pairs: pd.DataFrame,  # its near-duplicates, from `near_pairs`
    leak: Leak | None,    # from `find_leak`
    arch: str,            # the network of the recipe
    size: int,            # and the side of its pictures, in pixels
) -> list:                # of `Finding`, in the order in which they are shown
    "Looks at everything."
    return [
        few_pictures(pics), balance(pics), held_out(pics),
        unreadable(pics), file_size(pics), shape(pics),
        leakage(pics, pairs), copies(pics, pairs), two_names(pics, pairs), neighbours(pics, leak),
        colour(pics),
        feature_map(size, arch),
        flips(pics.classes),
    ]


# ---- counts ----

def class_counts(
    pics: Pictures,
    places,           # `pics.train` or `pics.valid`
) -> np.ndarray:      # `(n_classes,)`
    "How many pictures of each class."
    return np.bincount(pics.y[places], minlength=len(pics.classes))


def few_pictures(pics: Pictures) -> Finding:
    "Are there enough training pictures of each class?"
    counts = class_counts(pics, pics.train)
    fewest = counts.min()
    rarest = pics.classes[counts.argmin()]
    if counts.sum() < FEW_PICTURES:
        recipe = 'the network stays frozen, and a linear head learns: on so few pictures no gain of fine-tuning could be shown.'
    else:
        recipe = 'a linear head learns first. Fine-tuning follows where the minutes allow it, and is kept where it shows a gain.'
    return Finding(
        'few pictures', level_of(fewest < 50, fewest < 100),
        f"{plural(counts.sum(), 'training picture')} in {len(counts)} classes; the fewest, {fewest}, are of '{rarest}'.",
        'Under 100 a class, a large network learns them by heart.' if fewest < 100 else 'Enough to begin with.',
        f'Starts from ImageNet weights: {recipe}')


def balance(pics: Pictures) -> Finding:
    "Is one class much rarer than another?"
    counts = class_counts(pics, pics.train)
    frequent = f"'{pics.classes[counts.argmax()]}'"
    rare = f"'{pics.classes[counts.argmin()]}'"
    ratio = counts.max() / max(1, counts.min())
    is_uneven = ratio >= UNEVEN
    is_note = ratio >= 1.5
    return Finding(
        'balance', level_of(is_uneven, is_note),
        f'{frequent} has {counts.max()} training pictures, {rare} {counts.min()}: {ratio:.1f} to 1. '
        f'Always saying {frequent} is right in {pics.majority:.1%}.',
        'Accuracy hides the rare class (lesson 10).' if is_note else 'Accuracy is a fair number here.',
        f"{'Weighs the classes in the loss' if is_uneven else 'Does not weigh the classes'}, and reports balanced accuracy.")


def held_out(pics: Pictures) -> Finding:
    "Are enough pictures held out to measure with?"
    counts = class_counts(pics, pics.valid)
    half_width = 1.96 * math.sqrt(.8 * .2 / max(1, counts.sum()))  # of the interval of a share of 80 %
    rarest = pics.classes[counts.argmin()]
    is_grouped = 'group' in pics.table
    at_best = ', at best: pictures of one group are alike, and count as fewer' if is_grouped else ''
    return Finding(
        'held out', level_of(half_width > .1 or counts.min() < 5, half_width > .05),
        f"{plural(counts.sum(), 'picture')} held out, {counts.min()} of '{rarest}'.",
        f'A true accuracy of 80 % would be measured within ±{half_width:.0%}, nineteen times out of twenty{at_best}. Smaller differences cannot be told.',
        'Reports every accuracy with its interval.')


# ---- files ----

def path_in_folder(path) -> str:
    "A file and its folder."
    return '/'.join(Path(path).parts[-2:])


def file_sides(pics: Pictures) -> np.ndarray:  # `(N, 2)`: shorter and longer side in the file, in pixels
    "Sizes as they were found, in no order."
    sides = []
    for size, n in pics.found.sizes.items():
        width, height = map(int, size.split('×'))
        sides += [sorted((width, height))] * n
    return np.array(sides)


def unreadable(pics: Pictures) -> Finding:
    "Can all files be read?"
    reasons = pics.found.unreadable  # path → why
    files = [f'{path_in_folder(path)} ({reason})' for path, reason in reasons.items()]
    listed = f': {abridged(files)}' if files else ''
    return Finding(
        'unreadable', level_of(files),
        f"{plural(len(files), 'file')} could not be read{listed}.",
        'Perhaps a download that broke off, or no picture.' if files else 'Every file is a picture.',
        'Leaves them out.' if files else 'Nothing.')


def file_size(pics: Pictures) -> Finding:
    "Are the pictures large enough?"
    shorter = file_sides(pics)[:, 0]
    median = np.median(shorter)
    is_small = median < 64
    return Finding(
        'size', level_of(False, is_small),
        f'The shorter side has {median:.0f} pixels in the median, {shorter.min()} to {shorter.max()}.',
        'They are enlarged, which adds no detail.' if is_small else 'There is detail enough for the size chosen below.',
        'Takes as large an input as the minutes allow, 96 to 224 pixels: what the network knows, it has learnt at 224.')


def shape(pics: Pictures) -> Finding:
    "What does cutting out the centre square lose?"
    shorter, longer = file_sides(pics).T
    lost = 1 - shorter / longer
    is_note = np.median(lost) > .3 or (lost > .4).mean() > .1
    return Finding(
        'shape', level_of(False, is_note),
        f'Cutting out the centre square loses {lost.mean():.0%} of a picture in the mean, {lost.max():.0%} at most.',
        'Is what matters in the centre?' if lost.any() else 'They are square.',
        'Cuts, as every lesson does. Where the edges matter, pad the files to squares first.' if lost.any() else 'Nothing.')


# ---- copies ----

def named_pairs(pics: Pictures, pairs: pd.DataFrame) -> str:
    "Some pairs by their files; nothing where there are none."
    words = []
    for pair in pairs.itertuples():
        a, b = path_in_folder(pics.table.path[pair.a]), path_in_folder(pics.table.path[pair.b])
        words.append(f'{a} and {b} ({pair.distance} bits)')
    return f': {abridged(words)}' if words else ''


def leakage(pics: Pictures, pairs: pd.DataFrame) -> Finding:
    "Have held-out pictures a near-copy among the training pictures?"
    leaks = leaked(pics, pairs)
    across = named_pairs(pics, pairs[pairs.across])
    if len(leaks):
        means = 'If they are copies, the network may know them by heart, and the accuracy be too good.'
        does = leaks_message(pics, leaks) or 'Leaves them out of the held-out pictures.'
    else:
        means = 'None of the kinds that the hash finds. It misses crops, mirrored copies, and other photographs of the same thing.'
        does = leaks_message(pics, leaks) or 'Looks again before it trains.'
    return Finding(
        'leakage', level_of(len(leaks)),
        f'{len(leaks)} of {len(pics.valid)} held-out pictures have a near-copy among the training pictures{across}.',
        means, does)


def copies(pics: Pictures, pairs: pd.DataFrame) -> Finding:
    "Is a picture twice in one part?"
    in_part = pairs[~pairs.across]
    return Finding(
        'copies', level_of(False, len(in_part)),
        f"{plural(len(in_part), 'pair')} of near-duplicates within a part{named_pairs(pics, in_part)}.",
        'What is there twice counts twice.' if len(in_part) else 'Every picture counts once.',
        'Leaves them. Delete the files that you do not want twice.' if len(in_part) else 'Nothing.')


def two_names(pics: Pictures, pairs: pd.DataFrame) -> Finding:
    "Lies nearly the same picture in two classes?"
    differ = pairs[~pairs.same_class]
    return Finding(
        'two names', level_of(len(differ)),
        f"{plural(len(differ), 'pair')} of near-duplicates in two classes{named_pairs(pics, differ)}.",
        'A label is wrong, or what tells the classes apart is smaller than the hash can see.' if len(differ) else 'No contradiction was found.',
        'Leaves them. Look at them, and move the files.' if len(differ) else 'Nothing.')


# ---- neighbours ----

def neighbours(pics: Pictures, leak: Leak | None) -> Finding:
    "Are neighbours alike, so that a random split is too good?"
    if leak is None:
        return Finding('neighbours', 'fine', 'Too few pictures, or groups, to hold out whole runs of neighbours.',
                       'Whether neighbours are alike cannot be told.', 'Nothing.')
    found = (f'A linear head on frozen features names {leak.random:.1%} right where single pictures are held out at random, and '
             f'{leak.apart:.1%} where whole {run_words(leak)} are: a difference of {leak.gain:.1%} ({leak.low:.1%} to {leak.high:.1%}).')
    if not leak.is_clear:
        return Finding('neighbours', 'fine', found, 'No sign that neighbours are more alike than others.', 'Nothing.')
    if leak.is_grouped:
        return Finding('neighbours', 'note', found,
                       f'Pictures of one {leak.unit} are alike: a random split would be about {leak.points} too good for a new {leak.unit}.',
                       what_becomes_of_groups(pics, leak.unit))
    return Finding(
        'neighbours', 'trouble', found,
        f'Neighbours {leak.order} are alike, as in a series: a random split is about {leak.points} too good for pictures of a new series.',
        'Leaves the split, but holds out whole runs where it asks whether fine-tuning gains. Write into a table which series each picture is of, and pass it as csv= with group_column=: whole series are held out then.')


def what_becomes_of_groups(pics: Pictures, unit: str) -> str:
    "Whether groups are held out whole."
    sides = pics.table.groupby('group').split.nunique()
    if (sides == 1).all(): return f'Holds out whole {unit}s.'
    return f'Leaves the split, which divides {unit}s: load_pictures(…, fold=0) and so on hold out whole ones.'


def run_words(leak: Leak) -> str:
    "What is held out whole."
    if leak.is_grouped: return f'{leak.unit}s'
    return f'runs of neighbours {leak.order} ({leak.n_runs} runs)'


# ---- colour, sides, maps ----

def is_grey(images) -> np.ndarray:  # `(N,)` bool
    "Which pictures `(N, H, W, 3)` have no colour: red, green and blue differ by under four grey values in the mean."
    spread = [image.max(2).astype(int) - image.min(2) for image in images]
    return np.array([difference.mean() < 4 for difference in spread], bool)


def colour(pics: Pictures) -> Finding:
    "Colour or grey; and whether that gives a class away."
    grey = is_grey(pics.x)
    shares = np.array([grey[pics.y == label].mean() for label in range(len(pics.classes))])
    is_shortcut = np.ptp(shares) > .3
    in_classes = ''
    if np.ptp(shares):
        extremes = [f"{shares[label]:.0%} of '{pics.classes[label]}'" for label in (shares.argmax(), shares.argmin())]
        in_classes = ', ' + ' and '.join(extremes)
    if is_shortcut: means = 'Classes can be told apart by colour alone: a shortcut that fails on new pictures (lesson 07).'
    elif grey.all(): means = 'The three channels are equal, which ImageNet weights can live with.'
    else: means = 'Some are grey, in every class.' if grey.any() else 'All are in colour.'
    return Finding(
        'colour', level_of(is_shortcut, grey.any()),
        f'{grey.mean():.0%} of the pictures are grey{in_classes}.',
        means,
        'Makes three equal channels of a grey picture, and changes no colour.')


def flips(classes: list) -> Finding:
    "Whether a mirrored picture keeps its class. No program can know."
    words = [re.findall(r'[^\W_]+', name.lower()) for name in classes]
    side_words = set().union(*words) & SIDE_WORDS
    letters = [name for name in classes if len(name) == 1]
    if side_words: found = f'Names of classes speak of sides: {abridged(sorted(side_words))}.'
    elif len(letters) > 1: found = f'Classes look like letters or digits: {abridged(letters)}.'
    else:
        return Finding(
            'flips', 'note',
            'Nothing in the names of the classes speaks of left and right.',
            'Whether a mirrored picture keeps its class cannot be seen in pixels. With text, hands and clocks it does not.',
            'Shows each picture mirrored, too. Set kept_views to 1 where that is wrong, or to 8 for pictures from above, which may be turned.')
    return Finding('flips', 'trouble', found, 'A mirrored picture may belong to another class.', 'Mirrors nothing.')


def feature_map(size: int, arch: str) -> Finding:
    "What is left of the picture at the network's end."
    name, channels, height, width = map_sizes(arch, size)[-1]
    is_small = min(height, width) < 4
    if is_small: means = 'Under 4×4, the last stages have little left to look at (lesson 02).'
    else: means = f'Each of the {height * width} places looks at its own part of the picture.'
    return Finding(
        'feature map', level_of(False, is_small),
        f'At {size}×{size} pixels {arch} ends in maps of {height}×{width}.',
        means,
        'Takes the largest size for which the minutes are enough, up to 224 pixels.')
