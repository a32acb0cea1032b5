"""Names of the parts of a data set: `train`, `training_set`, `seg_train`, `Training Images` and `train2017` are all one.

A name is taken apart into words; words that only say 'pictures' are dropped; what is left is a part's word, with or
without more that all parts share, such as `seg`."""
import re, unicodedata
from collections import defaultdict

PART_WORDS = dict(
    train='train', training='train', trn='train', trainval='train',
    valid='valid', val='valid', validation='valid', validate='valid', dev='valid', eval='valid', evaluation='valid', holdout='valid',
    test='test', testing='test', tst='test',
    pred='unlabelled', predict='unlabelled', prediction='unlabelled', predictions='unlabelled', unlabeled='unlabelled',
    unlabelled='unlabelled', submission='unlabelled', inference='unlabelled',
)
FILLER_WORDS = {
    'set', 'sets', 'image', 'images', 'img', 'imgs', 'picture', 'pictures', 'pic', 'pics', 'photo', 'photos', 'data', 'dataset',
    'split', 'splits', 'subset', 'folder', 'part', 'list', 'single', 'sample',
}
# Folders of these names hold pictures of no class: they only say that there are pictures.
GENERIC_WORDS = {'image', 'images', 'img', 'imgs', 'jpg', 'jpeg', 'jpegimages', 'png', 'picture', 'pictures', 'data', 'dataset', 'part', 'batch', 'chunk'}
# What belongs to pictures, and is no class: compared without separators.
BESIDE_NAMES = {
    'masks', 'segmentation', 'segmentations', 'segmasks', 'groundtruth', 'gt', 'annotation', 'annotations', 'labels', 'trimaps',
    'bbox', 'bboxes', 'heatmaps',
}


def name_words(name: str) -> list:
    "A name's words, small, without numbers: 'TrainImages_2017' → ['train', 'images']."
    apart = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', unicodedata.normalize('NFC', name))
    pieces = re.split(r'[\W_]+', apart.casefold())
    words = [piece.rstrip('0123456789') for piece in pieces]
    return [word for word in words if word]


def part_word(word: str) -> str | None:  # `train`, `valid`, `test`, `unlabelled`, or None
    "The part that a word names, also with a filler stuck to it: 'trainset'."
    if word in PART_WORDS: return PART_WORDS[word]
    for filler in FILLER_WORDS:
        stem = word.removesuffix(filler)
        if stem in PART_WORDS: return PART_WORDS[stem]
    return None


def part_and_rest(name: str) -> tuple:  # the part or None, the other words
    "'seg_train' → `train` and ('seg',). None for a name of no part or of two."
    words = [word for word in name_words(name) if word not in FILLER_WORDS]
    named = [word for word in words if part_word(word)]
    parts = {part_word(word) for word in named}
    if parts == {'train', 'valid'}: parts = {'train'}  # train_val: all that is not test
    if len(parts) != 1: return None, ()
    rest = tuple(word for word in words if word not in named)
    return parts.pop(), rest


def part_named(name: str) -> str | None:
    "The part that a name says and nothing else: None for 'seg_train'."
    part, rest = part_and_rest(name)
    return None if rest else part


def is_split(parts) -> bool:
    "Is there something to train on and something held out?"
    parts = set(parts)
    return 'train' in parts and bool(parts & {'valid', 'test'})


def found_splits(names) -> dict:  # words that the names share → name → part
    "The groups of names that make a split. More than one where classes stand in the names: cats_train, cats_test, dogs_train …"
    groups = defaultdict(dict)
    for name in names:
        part, rest = part_and_rest(name)
        if part: groups[rest][name] = part
    splits = {rest: group for rest, group in groups.items() if is_split(group.values())}
    if () in splits: return {(): splits[()]}  # beside train and test, train_masks and test_masks are no parts
    return splits


def is_generic(name: str) -> bool:
    "Does a folder's name only say that there are pictures in it?"
    words = name_words(name)
    return bool(words) and all(word in GENERIC_WORDS for word in words)


def is_beside(name: str) -> bool:
    "Is it a folder of masks or annotations?"
    return ''.join(name_words(name)) in BESIDE_NAMES


def class_key(name: str) -> str:
    "The same for names that differ in case or in how accents are composed. Single letters differ: a and A are two signs."
    composed = unicodedata.normalize('NFC', name).strip()
    return composed if len(composed) == 1 else composed.casefold()
