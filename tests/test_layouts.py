"Folders as people have them: each is read as its author meant it, or refused with a sentence that says what to pass."
import io, os, unicodedata
from collections import Counter
from pathlib import Path

import numpy as np, pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.layouts import suggested_pattern
from course_utils.data.parts import class_key, found_splits, part_named
from course_utils.data.pictures import load_pictures
from course_utils.data.split import stratified_split, with_every_class


@pytest.fixture(autouse=True)
def clean_environment(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'fetched'))
    monkeypatch.delenv('COURSE_DATA', raising=False)


def tiny_picture() -> bytes:
    buffer = io.BytesIO()
    Image.new('RGB', (4, 4), 'grey').save(buffer, 'png')
    return buffer.getvalue()


PICTURE = tiny_picture()


def build(root: Path, layout: dict) -> Path:
    "Folder → number of pictures, or names of them; file → text; a name with / at its end: an empty folder."
    root.mkdir(parents=True, exist_ok=True)
    for name, content in layout.items():
        path = root/name
        if isinstance(content, str):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding='utf-8')
            continue
        path.mkdir(parents=True, exist_ok=True)
        names = content if isinstance(content, (list, tuple)) else [f'{k}.png' for k in range(content)]
        for picture in names: (path/picture).write_bytes(PICTURE)
    return root


def in_parts(train='train', valid='valid', n_train=6, n_valid=3, inner='') -> dict:
    "Two classes, cat and dog, in two parts."
    folders = {}
    for part, n in ((train, n_train), (valid, n_valid)):
        for c in ('cat', 'dog'): folders[f'{part}/{inner.format(part)}/{c}'] = n
    return folders


def read(root: Path, **arguments):
    return load_pictures(str(root), size=32, cache=False, **arguments)


def table(*rows) -> str:
    return '\n'.join(rows) + '\n'


TWO = ['cat', 'dog']
FLAT = [f'{k}.png' for k in range(8)]
LABELS = ['cat', 'dog'] * 4
ROWS = [f'{name},{label}' for name, label in zip(FLAT, LABELS)]
IDS = [f'{name[:-4]},{label}' for name, label in zip(FLAT, LABELS)]

# what lies there; how it is read; classes, number in train and held out, and what report() says
READ = {
    'train and valid': (in_parts(), {}, TWO, 12, 6, 'class folders in train/, valid/'),
    'an empty folder beside': (in_parts() | {'Untitled Folder': 0}, {}, TWO, 12, 6, 'Untitled Folder/ (empty)'),
    'models beside': (in_parts() | {'models/best.pth': 'weights'}, {}, TWO, 12, 6, 'models/ (no pictures)'),
    'runs beside': (in_parts() | {'runs/a': 0}, {}, TWO, 12, 6, 'runs/ (empty)'),
    'archive remains': (in_parts() | {'__MACOSX/train/cat': 2, '@eaDir/x': 3, '#recycle': 2, '$RECYCLE.BIN': 1}, {}, TWO, 12, 6, 'train/'),
    'NAS folders in classes': (in_parts() | {'train/cat/@eaDir': 3}, {}, TWO, 12, 6, 'train/'),
    'NAS folders beside classes': ({'cat': 4, 'dog': 4, '@eaDir': 3, '#recycle': 2, 'lost+found': 2, 'System Volume Information': 1}, {}, TWO, 6, 2, 'class folders'),
    'unlabelled pictures beside': (in_parts() | {'single_prediction': 4}, {}, TWO, 12, 6, 'single_prediction/ (4 files)'),
    'ground truth beside': (in_parts('train', 'test') | {'ground_truth/dog': 4}, {}, TWO, 12, 6, 'ground_truth/ (4 files)'),
    'masks of both parts': (in_parts() | {'train_masks/cat': 2, 'valid_masks/cat': 2}, {}, TWO, 12, 6, 'train_masks/'),
    'copy inside': (in_parts('train', 'test') | {f'chest/{k}': n for k, n in in_parts('train', 'test').items()}, {}, TWO, 12, 6, 'chest/'),
    'training_set': (in_parts('training_set', 'test_set'), {}, TWO, 12, 6, 'test_set/'),
    'Train Images': (in_parts('Train Images', 'Val Images'), {}, TWO, 12, 6, 'Train Images/'),
    'TrainImages': (in_parts('TrainImages', 'ValidationImages'), {}, TWO, 12, 6, 'TrainImages/'),
    'train_images': (in_parts('train_images', 'valid_images'), {}, TWO, 12, 6, 'valid_images/'),
    'train and dev': (in_parts('train', 'dev'), {}, TWO, 12, 6, 'dev/'),
    'trainset': (in_parts('trainset', 'testset'), {}, TWO, 12, 6, 'testset/'),
    'train2017': (in_parts('train2017', 'val2017'), {}, TWO, 12, 6, 'val2017/'),
    'holdout': (in_parts('training', 'holdout'), {}, TWO, 12, 6, 'holdout/'),
    'seg_train, seg_pred': (in_parts('seg_train', 'seg_test', inner='{}') | {'seg_pred/seg_pred': 4}, {}, TWO, 12, 6, 'seg_pred/ (4 files)'),
    'train/train/cat': (in_parts('train', 'test', inner='{}'), {}, TWO, 12, 6, 'class folders in train/, test/'),
    'a third part': (in_parts() | {'test/cat': 2, 'test/dog': 2}, {}, TWO, 12, 6, 'test/ (4 files) stays unseen: valid/ is held out'),
    'one folder too deep': ({f'dataset/{k}': n for k, n in in_parts().items()}, {}, TWO, 12, 6, 'in dataset/'),
    'two folders too deep': ({'archive/pictures/cat': 4, 'archive/pictures/dog': 4, 'archive/readme.txt': 'x'}, {}, TWO, 6, 2, 'in archive/pictures/'),
    'train alone': ({'train/cat': 4, 'train/dog': 4}, {}, TWO, 6, 2, 'in train/'),
    'an empty valid': ({'train/cat': 4, 'train/dog': 4, 'valid': 0}, {}, TWO, 6, 2, 'valid/ (empty)'),
    'parts in classes': ({'cat/train': 6, 'cat/test': 3, 'dog/train': 6, 'dog/test': 3}, {}, TWO, 12, 6, 'the parts inside each'),
    'plain classes': ({'cat': 4, 'dog': 4}, {}, TWO, 6, 2, 'class folders in'),
    'classes with subfolders': ({'cat/a': 2, 'cat/b': 2, 'dog': 4}, {}, TWO, 6, 2, 'class folders in'),
    'plain classes, models beside': ({'cat': 4, 'dog': 4, 'models/a.pth': 'x', 'empty': 0}, {}, TWO, 6, 2, 'models/ (no pictures)'),
    'plain classes, masks beside': ({'cat': 4, 'dog': 4, 'masks': 4}, {}, TWO, 6, 2, 'masks/ (4 files)'),
    'plain classes, test beside': ({'cat': 4, 'dog': 4, 'test': 4}, {}, TWO, 6, 2, 'test/ (4 files)'),
    'plain classes, a copy beside': ({'cat': 4, 'dog': 4, 'train/cat': 4, 'train/dog': 4}, {}, TWO, 6, 2, 'train/ (8 files)'),
    'a class called train': ({'bus': 4, 'train': 4}, {}, ['bus', 'train'], 6, 2, 'class folders in'),
    'a class called masks': ({'masks': 4, 'no_masks': 4}, {}, ['masks', 'no_masks'], 6, 2, 'class folders in'),
    'loose pictures beside classes': ({'.': ['a.png'], 'cat': 4, 'dog': 4}, {}, TWO, 6, 2, '1 picture right in'),
    'loose pictures beside parts': (in_parts() | {'.': ['a.png'], 'train': ['b.png']}, {}, TWO, 12, 6, '1 picture right in pics/'),
    'the same folders in each class of a part': ({f'{p}/{c}/{s}': 3 for p in ('train', 'val') for c in TWO for s in 'ab'}, {}, TWO, 12, 12, 'Every class in train/ holds the folders a, b'),
    'collections, the inner folders as classes': ({f'{d}/{p}/{c}': 3 for d in 'AB' for p in ('train', 'test') for c in TWO}, dict(pattern=r'^[^/]+/(?P<split>[^/]+)/(?P<label>[^/]+)/'), TWO, 12, 12, 'by the pattern'),
    'digits': ({'0': 4, '1': 4}, {}, ['0', '1'], 6, 2, 'class folders in'),
    'letters that differ in case': ({'a': 4, 'A': 4}, {}, ['A', 'a'], 6, 2, 'class folders in'),
    'Cats and cats': ({'train/Cat': 6, 'valid/cat': 3, 'train/DOG': 6, 'valid/Dog': 3}, {}, ['Cat', 'DOG'], 12, 6, "'Cat' and 'cat' differ only in case"),
    'Cats and cats in one part': ({'Cat': 4, 'cat': 4, 'dog': 4}, {}, ['Cat', 'dog'], 9, 3, "they are one class, 'Cat'"),
    'test without class folders': ({'train/cat': 4, 'train/dog': 4, 'test': 5}, {}, TWO, 6, 2, 'test/ has 5 files whose class is not known'),
    'tiny-imagenet': ({'train/cat/images': 4, 'train/dog/images': 4, 'val/images': 5}, {}, TWO, 6, 2, 'a share of train/ is held out instead'),
    'classes of another kind held out': ({'train/cat': 4, 'train/dog': 4, 'test/x': 3, 'test/y': 3}, {}, TWO, 6, 2, "test/ has none of the classes of training"),
    'valid unlabelled, test labelled': (in_parts('train', 'test') | {'valid': 3}, {}, TWO, 12, 6, 'valid/ has 3 files'),
    'a class never held out': (in_parts() | {'train/emu': 4}, {}, [*TWO, 'emu'], 16, 6, 'No picture is held out of: emu'),
    'split anew': (in_parts(), dict(split='random'), TWO, 14, 4, 'pooled and split anew'),
    'MVTec, split anew': ({'train/good': 6, 'test/good': 2, 'test/bad': 4}, dict(split='random'), ['bad', 'good'], 9, 3, 'pooled'),
    # tables
    'metadata.csv': ({'.': FLAT, 'metadata.csv': table('file_name,label', *ROWS)}, {}, TWO, 6, 2, "the table metadata.csv, files in column 'file_name', classes in 'label'"),
    'metadata.jsonl': ({'.': FLAT, 'metadata.jsonl': table(*(f'{{"file_name": "{n}", "label": "{c}", "box": [1]}}' for n, c in zip(FLAT, LABELS)))}, {}, TWO, 6, 2, 'metadata.jsonl'),
    'metadata.csv in each part': ({'train': FLAT, 'test': FLAT, **{f'{p}/metadata.csv': table('file_name,label', *ROWS) for p in ('train', 'test')}}, {}, TWO, 8, 8, 'a table for each part'),
    'Kaggle, ids without endings': ({'train': FLAT, 'test': FLAT, 'train.csv': table('id,breed', *IDS), 'sample_submission.csv': table('id,cat,dog', *(f'{k},.5,.5' for k in range(8)))}, {}, TWO, 6, 2, "files in column 'id', classes in 'breed'"),
    'Kaggle, train_images': ({'train_images': FLAT, 'test_images': FLAT, 'train.csv': table('id_code,diagnosis', *IDS), 'test.csv': table('id_code', *'01234567')}, {}, TWO, 6, 2, "'diagnosis'"),
    'one-hot columns': ({'images': FLAT, 'train.csv': table('image_id,cat,dog', *(f'{k},{int(k % 2 == 0)},{k % 2}' for k in range(8)))}, {}, TWO, 6, 2, "'cat, dog'"),
    'a split column': ({'.': FLAT, 'labels.csv': table('filepaths,labels,data set', *(f'{r},{"train" if k < 6 else "valid"}' for k, r in enumerate(ROWS)))}, {}, TWO, 6, 2, "parts in 'data set'"),
    'is_valid': ({'.': FLAT, 'labels.csv': table('name,label,is_valid', *(f'{r},{k > 5}' for k, r in enumerate(ROWS)))}, {}, TWO, 6, 2, "parts in 'is_valid'"),
    'one candidate': ({'.': FLAT, 'animals.csv': table('picture,kind', *ROWS)}, {}, TWO, 6, 2, "'kind'"),
    'class and class_id': ({'.': FLAT, 'labels.csv': table('file,class_id,class', *(f'{n},{int(c == "dog")},{c}' for n, c in zip(FLAT, LABELS)))}, {}, TWO, 6, 2, "classes in 'class'"),
    'semicolons and BOM': ({'.': FLAT, 'labels.csv': '\ufeff' + table('file;label', *ROWS).replace(',', ';')}, {}, TWO, 6, 2, "'label'"),
    'TSV': ({'.': FLAT, 'labels.tsv': table('file\tlabel', *(r.replace(',', '\t') for r in ROWS))}, {}, TWO, 6, 2, "labels.tsv"),
    'paths of another machine': ({'images': FLAT, 'labels.csv': table('path,label', *(f'C:\\data\\images\\{r}' for r in ROWS))}, {}, TWO, 6, 2, "'path'"),
    'rows and files that do not match': ({'.': [*FLAT, 'x.png', *(f'{k}.png' for k in range(8, 16))], 'labels.csv': table('file,label', *ROWS, *(f'{k}.png,dog' for k in range(8, 15)), 'lost.png,cat', '15.png,')}, {}, TWO, 11, 4, '1 row of labels.csv names no file'),
    'ISIC, a folder of its own': ({'ISIC_Training_Input': FLAT, 'truth.csv': table('image,MEL,NV', *(f'{k},{k % 2:.1f},{1 - k % 2:.1f}' for k in range(8)))}, {}, ['MEL', 'NV'], 6, 2, "classes in 'MEL, NV'"),
    'parts of images': ({'images_part_1': FLAT[:4], 'images_part_2': FLAT[4:], 'meta.csv': table('image_id,dx', *IDS)}, {}, TWO, 6, 2, "classes in 'dx'"),
    'folders that a table agrees with': ({'cat': ['a.png', 'b.png', 'c.png', 'd.png'], 'dog': ['e.png', 'f.png', 'g.png', 'h.png'], 'index.csv': table('file,label', *(f'{"cat" if k < 4 else "dog"}/{n}.png,{k // 4}' for k, n in enumerate('abcdefgh')))}, {}, TWO, 6, 2, 'class folders in'),
    'columns that are named': ({'.': FLAT, 'x.csv': table('a,b,c', *(f'{n},{c},{k % 4 // 2}' for k, (n, c) in enumerate(zip(FLAT, LABELS))))}, dict(csv='x.csv', file_column='a', label_column='b'), TWO, 6, 2, "classes in 'b'"),
    'folders, though a table is there': ({'a': FLAT[:4], 'b': FLAT[4:], 'x.csv': table('file,label', *ROWS)}, dict(csv=False), ['a', 'b'], 6, 2, 'class folders in'),
    # lists
    'lists with classes': ({'images': FLAT, 'train.txt': table(*(f'{n} {c}' for n, c in zip(FLAT[:6], LABELS))), 'val.txt': table(*(f'{n} {c}' for n, c in zip(FLAT[6:], LABELS)))}, {}, TWO, 6, 2, 'a list for each part (train.txt, val.txt)'),
    'Food-101': ({'images/cat': ['1.png', '2.png', '3.png'], 'images/dog': ['4.png', '5.png', '6.png'], 'meta/train.txt': table('cat/1', 'cat/2', 'dog/4', 'dog/5'), 'meta/test.txt': table('cat/3', 'dog/6')}, {}, TWO, 4, 2, 'meta/train.txt'),
    'lists with numbers': ({'images': FLAT, 'classes.txt': table('cat', 'dog'), 'lists/train.txt': table(*(f'images/{n} {k % 2}' for k, n in enumerate(FLAT[:6]))), 'lists/valid.txt': table('6 0', '7 1')}, {}, TWO, 6, 2, 'a list for each part'),
    'Oxford pets': ({'images': FLAT, 'annotations/trainval.txt': table(*(f'{k} {k % 2 + 1} 1 1' for k in range(6))), 'annotations/test.txt': table('6 1 1 1', '7 2 1 1')}, {}, ['1', '2'], 6, 2, 'a list for each part'),
    # patterns
    'cat.0.jpg': ({'.': [f'{c}.{k}.png' for c in TWO for k in range(4)]}, dict(pattern=r'^(?P<label>[^.]+)\.'), TWO, 6, 2, 'by the pattern'),
    'a group without a name': ({'.': [f'{c}_{k}.png' for c in TWO for k in range(4)]}, dict(pattern=r'^(.+)_\d'), TWO, 6, 2, 'by the pattern'),
    'dogs against cats': ({'train': [f'{c}.{k}.png' for c in TWO for k in range(4)], 'test': 5}, dict(pattern=r'^([a-z]+)\.'), TWO, 6, 2, '5 files whose name does not match'),
    'a pattern in both parts': ({p: [f'{c}.{k}.png' for c in TWO for k in range(4)] for p in ('train', 'val')}, dict(pattern=r'^([a-z]+)\.'), TWO, 8, 8, 'by the pattern'),
    'class and part in folders': ({f'{c}_{p}': n for c in TWO for p, n in (('train', 6), ('test', 3))}, dict(pattern=r'^(?P<label>.+)_(?P<split>train|test)/'), TWO, 12, 6, 'by the pattern'),
    'inner folders as classes': ({f'{f}/{c}': 4 for f in ('fold1', 'fold2') for c in TWO}, dict(pattern=r'^[^/]+/(?P<label>[^/]+)/'), TWO, 12, 4, 'by the pattern'),
}


@pytest.mark.parametrize('case', READ)
def test_read_as_its_author_meant_it(case, tmp_path):
    layout, arguments, classes, n_train, n_valid, sentence = READ[case]
    pics = read(build(tmp_path/'pics', layout), **arguments)
    assert pics.classes == classes
    assert (len(pics.train), len(pics.valid)) == (n_train, n_valid)
    assert sentence in pics.report()
    assert sum(note.startswith('Read as: ') for note in pics.notes) == 1
    for note in pics.notes: assert '\n' not in note and note.endswith('.'), note


REFUSED = {
    'Kaggle without a table': ({'train_images': 10, 'test_images': 10}, {}, ['no class folders', 'train_images/', "csv='…'", 'pattern=r']),
    'images and masks': ({'images': 6, 'masks': 6}, {}, ['no class folders', 'images/']),
    'the class in the name': ({'.': [f'{c}.{k}.png' for c in TWO for k in range(4)]}, {}, [r"pattern=r'^(?P<label>[^._\-\s]+)[._\-\s]'"]),
    'the class before the number': ({'.': [f'{c}{k}.png' for c in TWO for k in range(4)]}, {}, [r"pattern=r'^(?P<label>.*?[^\W\d_])"]),
    'Market-1501': ({'.': [f'{k:04}_c{k % 2}s1.png' for k in range(8)]}, {}, ["pattern=r'"]),
    'MVTec': ({'train/good': 6, 'test/good': 2, 'test/bad': 4, 'ground_truth/bad': 4}, {}, ["'good' in train/", 'bad', "split='random'"]),
    'classes never trained': (in_parts() | {'valid/emu': 3}, {}, ['never trained', 'emu in valid/', "split='random'"]),
    'classes and parts at once': ({f'{c}_{p}': 3 for c in TWO for p in ('train', 'test')}, {}, ['cat_test', 'pattern=', '(?P<split>train|test)']),
    'parts in some classes': ({'cat/train': 3, 'cat/test': 3, 'dog': 6}, {}, ['dog', 'the same parts']),
    'the same folders in each': ({f'{f}/{c}': 4 for f in ('fold1', 'fold2') for c in TWO}, {}, ['fold1, fold2', 'cat, dog', 'pattern=']),
    'a table without names of columns': ({'.': FLAT, 'x.csv': table(*ROWS)}, {}, ["The first line of x.csv names a picture ('0.png')", 'file,label']),
    'parts without train': ({f'{p}/{c}': 4 for p in ('data', 'val') for c in TWO}, {}, ['data, val', 'call them train and valid', 'pattern=']),
    'two collections with parts': ({f'{d}/{p}/{c}': 3 for d in 'AB' for p in ('train', 'test') for c in TWO}, {}, ['(A, B)', 'cat, dog', '(?P<split>[^/]+)']),
    'one class': ({'cat': 4}, {}, ['at least two classes']),
    'a table against folders': ({'a': FLAT[:4], 'b': FLAT[4:], 'x.csv': table('file,label', *ROWS)}, {}, ['a, b', 'x.csv', "csv='…'", 'csv=False']),
    'two candidates': ({'.': FLAT, 'x.csv': table('file,a,b', *(f'{n},{c},{k % 4 // 2}' for k, (n, c) in enumerate(zip(FLAT, LABELS))))}, {}, ['a, b', 'label_column=']),
    'several classes a picture': ({'.': FLAT, 'x.csv': table('file,cat,dog', *(f'{n},{k % 2},{int(k > 3)}' for k, n in enumerate(FLAT)))}, {}, ['cat, dog', 'label_column=']),
    'a table of other files': ({'.': FLAT, 'x.csv': table('file,label', *(f'y{r}' for r in ROWS))}, dict(csv='x.csv'), ['file, label', 'file_column=', '0%']),
    'a file with two classes': ({'.': FLAT, 'x.csv': table('file,label', *ROWS, '0.png,dog')}, {}, ['0.png', "'cat' and 'dog'"]),
    'no such column': ({'.': FLAT, 'x.csv': table('file,label', *ROWS)}, dict(csv='x.csv', label_column='breed'), ["no column 'breed'", 'file, label']),
    'a column of no parts': ({'.': FLAT, 'x.csv': table('file,label,n', *(f'{r},{k}' for k, r in enumerate(ROWS)))}, dict(csv='x.csv', split_column='n'), ['train, valid or test']),
    'no such table': ({'.': FLAT}, dict(csv='y.csv'), ['no table y.csv']),
    'tables that do not agree': ({'.': FLAT, 'x.csv': table('file,label', *ROWS), 'y.csv': table('file,label', *(f'{n},{k // 4}' for k, n in enumerate(FLAT)))}, {}, ['x.csv, y.csv', "csv='…'"]),
    'a pattern that is none': ({'.': FLAT}, dict(pattern='(('), ['no regular expression', "pattern=r'"]),
    'a pattern without a group': ({'.': FLAT}, dict(pattern='cat'), ['no group', "pattern=r'"]),
    'a pattern that matches nothing': ({'.': [f'{c}.{k}.png' for c in TWO for k in range(4)]}, dict(pattern='(emu)'), ['matches none of the 8 files', "pattern=r'^"]),
    'another split': ({'cat': 4, 'dog': 4}, dict(split='anew'), ["'own'", "'random'"]),
    'nothing': ({'empty': 0}, {}, ['no pictures in class folders']),
}


@pytest.mark.fault
@pytest.mark.parametrize('case', REFUSED)
def test_refused_with_what_was_seen_and_what_to_pass(case, tmp_path):
    layout, arguments, words = REFUSED[case]
    root = build(tmp_path/'pics', layout)
    with pytest.raises(CourseError) as e: read(root, **arguments)
    assert '\n' not in str(e.value)
    for word in words: assert word in str(e.value)


# ---- the right value of each file of the field ----

@pytest.mark.parametrize('form', [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_composed_and_decomposed_accents_are_one_class(form, tmp_path):
    layout = {f'{part}/{unicodedata.normalize(f, name)}': n for part, f, n in zip(('train', 'valid'), form, (6, 3)) for name in ('café', 'thé')}
    pics = read(build(tmp_path/'pics', layout))
    assert pics.classes == [unicodedata.normalize(form[0], name) for name in ('café', 'thé')]
    assert (len(pics.train), len(pics.valid)) == (12, 6)
    assert 'differ only in how accents are composed' in pics.report()


@pytest.fixture
def annex(tmp_path) -> Path:
    "Two classes of eight; a class and six pictures that were not fetched; a linked folder of six; an empty class."
    root = build(tmp_path/'a', {'class0': 8, 'class1': 8, 'class2': 0, 'class3': 0})
    for k in range(8): (root/'class2'/f'{k}.png').symlink_to(tmp_path/'annex'/f'{k}')
    for k in range(20, 26): (root/'class1'/f'{k}.png').symlink_to(tmp_path/'annex'/f'{k}')
    build(tmp_path/'elsewhere', {'.': 6})
    (root/'class1'/'more').symlink_to(tmp_path/'elsewhere')
    return root


@pytest.mark.fault
def test_nothing_vanishes_unmentioned(annex):
    pics = read(annex)
    assert len(pics) == 22  # the linked folder is followed
    assert Counter(Path(path).parent.name for path in pics.found.unreadable) == dict(class1=6, class2=8)
    assert set(pics.found.unreadable.values()) == {'a link whose target is gone'}
    assert 'class2/ (8 × a link whose target is gone), class3/ (empty)' in pics.report()
    assert 'Set aside, 14: ' in pics.report()


@pytest.mark.fault
def test_links_in_a_circle_end(annex):
    (annex/'class0'/'back').symlink_to(annex)
    (annex/'class0'/'itself').symlink_to(annex/'class0'/'itself')
    pics = read(annex)
    assert len(pics) == 22
    assert pics.found.unreadable[str(annex/'class0'/'back')] == 'a link that leads back into a folder around it'
    assert str(annex/'class0'/'itself') in pics.found.unreadable


def test_pictures_without_endings_are_pictures(tmp_path):
    pics = read(build(tmp_path/'pics', {'cat': ['1', '2', '3'], 'dog': ['1', '2', '3']}))
    assert pics.classes == TWO and len(pics) == 6


@pytest.mark.parametrize('sizes', [(100, 100, 2), (60, 60, 2), (40, 40, 40, 2)])
@pytest.mark.parametrize('share', [.25, .5, .75, .9])
def test_a_class_of_two_is_held_out_and_trained(sizes, share):
    labels = np.repeat(range(len(sizes)), sizes)
    for seed in range(5):
        n_valid = np.bincount(labels[stratified_split(labels, share, seed)], minlength=len(sizes))
        assert n_valid[-1] == 1
        assert n_valid.sum() == min(max(round(sum(sizes) * share), len(sizes)), sum(sizes) - len(sizes))


@pytest.mark.parametrize('share', [.25, .75, .9, .99])
def test_any_share_can_be_held_out(share, tmp_path):
    pics = read(build(tmp_path/'b', {'class0': 6, 'class1': 6, 'class2': 2}), valid_share=share)
    assert (pics.counts()[['train', 'valid']] >= 1).all(axis=None)


@pytest.mark.parametrize('limit', [4, 10, 40, 100])
def test_a_limit_loses_no_class(limit, tmp_path):
    pics = read(build(tmp_path/'c', {'class0': 150, 'class1': 150, 'class2': 6}), limit=limit)
    assert (pics.counts()[['train', 'valid']] >= 1).all(axis=None)
    assert len(pics) == max(limit, 6)


def test_a_subset_loses_no_class(tmp_path):
    pics = read(build(tmp_path/'c', {'class0': 50, 'class1': 50, 'class2': 2}))
    few = pics.subset(10)
    assert set(few.y[few.train]) == {0, 1, 2} and few.notes == pics.notes


# ---- properties of the split ----

STRATA = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(STRATA, st.floats(.001, .999), st.integers(0, 1000))
def test_every_stratum_is_on_both_sides(sizes, share, seed):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    valid = stratified_split(strata, share, seed)
    for k, n in enumerate(sizes):
        n_valid = valid[strata == k].sum()
        assert n_valid == 0 if n == 1 else 1 <= n_valid <= n - 1
    assert (stratified_split(strata, share, seed) == valid).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(10, 60), min_size=2, max_size=6), st.floats(.2, .8), st.integers(0, 1000))
def test_a_split_that_was_whole_is_the_same_as_ever(sizes, share, seed):
    from sklearn.model_selection import train_test_split
    strata = np.repeat(np.arange(len(sizes)), sizes)
    places = np.arange(len(strata))
    _, chosen = train_test_split(places, test_size=max(round(len(strata) * share), len(sizes)), stratify=strata, random_state=seed)
    assert set(np.flatnonzero(stratified_split(strata, share, seed))) == set(chosen)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 3), st.data())
def test_no_class_is_lost(labels, n_least, data):
    labels = np.array(labels)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    kept = with_every_class(chosen, labels, n_least)
    assert (kept >= chosen).all()
    for label in set(labels):
        n_all, n_chosen, n_kept = (labels == label).sum(), chosen[labels == label].sum(), kept[labels == label].sum()
        assert n_kept == max(n_chosen, min(n_least, n_all))


# ---- tables by their path ----

@pytest.mark.parametrize('place', ['labels.csv', 'meta/labels.csv'])
def test_a_table_is_a_source(place, tmp_path, monkeypatch):
    from course_utils.data.sources import data_facts, subset_note
    root = build(tmp_path/'pics', {'images': FLAT, place: table('file,label', *ROWS)})
    by_argument = load_pictures(csv=str(root/place), size=32, cache=False)
    monkeypatch.setenv('COURSE_DATA', str(root/place))
    by_environment = load_pictures(size=32, cache=False)
    for pics in (by_argument, by_environment):
        assert (pics.name, pics.classes, len(pics)) == ('labels', TWO, 8)
    assert data_facts() == {} and subset_note() == ''


def test_a_table_that_lies_elsewhere(tmp_path):
    root = build(tmp_path/'pics', {'.': FLAT})
    build(tmp_path/'notes', {'labels.csv': table('file,label', *ROWS)})
    assert len(read(root, csv=str(tmp_path/'notes'/'labels.csv'))) == 8


@pytest.mark.fault
@pytest.mark.parametrize('text', ['', '\n', '"', 'a,b\n1', '\x00\x00', '{"a": 1}'])
def test_a_table_that_is_none(text, tmp_path):
    root = build(tmp_path/'pics', {'.': FLAT, 'labels.csv': text, 'labels.jsonl': text})
    for name in ('labels.csv', 'labels.jsonl'):
        with pytest.raises(CourseError) as e: read(root, csv=name)
        assert '\n' not in str(e.value)


@pytest.mark.fault
def test_tables_are_not_for_the_solar_cells():
    with pytest.raises(CourseError, match='comes from a package'): load_pictures('solar', size=32, pattern='(a)')


# ---- a folder named like a data set ----

def test_a_folder_named_like_a_data_set_is_told(tmp_path, monkeypatch):
    build(tmp_path/'here'/'solar', {'cat': 4, 'dog': 4})
    build(tmp_path/'here'/'pets', {'cat': 4, 'dog': 4})
    build(tmp_path/'fetched'/'pets', {'a': 4, 'b': 4})
    monkeypatch.chdir(tmp_path/'here')
    assert 'the solar cells of the course was taken' in load_pictures('solar', size=32, limit=100).report()
    pets = load_pictures('pets', size=32)
    assert pets.classes == TWO and 'the folder ./pets was taken' in pets.report()
    assert "two things" not in load_pictures('./pets', size=32).report()


# ---- names ----

@pytest.mark.parametrize('part, names', {
    'train': ['train', 'Train', 'TRAIN', 'training', 'training_set', 'train2017', 'trainset', 'TrainData', 'train-images', 'Training Data', 'trn', 'trainval', 'imgs_train'],
    'valid': ['valid', 'val', 'validation', 'dev', 'eval', 'holdout', 'valid_images', 'Validation Set', 'val2017'],
    'test': ['test', 'testing', 'test_set', 'TestImages', 'Testing'],
    'unlabelled': ['pred', 'predict', 'single_prediction', 'unlabeled', 'sample_submission', 'inference'],
    None: ['cat', 'train station', 'seg_train', 'test tube', '0', 'contest', 'strain', 'seval', 'images', ''],
}.items())
def test_names_of_parts(part, names):
    for name in names: assert part_named(name) == part, name


def test_a_word_that_all_parts_share():
    assert found_splits(['seg_train', 'seg_test', 'seg_pred']) == {('seg',): dict(seg_train='train', seg_test='test', seg_pred='unlabelled')}
    assert found_splits(['bus', 'train', 'test tube']) == {}


@given(st.text(max_size=12))
def test_any_name_can_be_taken_apart(name):
    part_named(name)
    assert class_key(unicodedata.normalize('NFD', name)) == class_key(unicodedata.normalize('NFC', name))


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12))
def test_a_pattern_is_suggested_for_any_names(names):
    assert suggested_pattern(names).startswith("pattern=r'")


# ---- the course's own pictures ----

SOLAR_SPLITS = {
    None: ['927f3ebafe27317f', '97b5766482a47be5', 'b9b164a6f27db134', '16566296cb10f9eb', 'dfb00281f526ba03'],
    400: ['b685514c53903216', '87699068927f6c15', '0e6c97bc5b1d57bf', '791b9385269c98fc', '630388fd3f05d787'],
}
SOLAR_FILES = {
    None: ['8474217150f5c68c'] * 5,
    400: ['3ddf4314f3bffaea', '4f2b3d26eb3476c2', 'da63425c0b9f72ef', '1b5ad41c79db5e96', 'c23cb89881f1fc35'],
}


def short_sha256(texts) -> str:
    import hashlib
    return hashlib.sha256(''.join(texts).encode()).hexdigest()[:16]


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('limit', SOLAR_SPLITS)
def test_the_solar_cells_are_split_as_ever(limit, seed):
    from course_utils.data.sources import find_source
    from course_utils.data.split import limited, with_split
    _, layout = find_source('solar')
    if limit: cells = limited(layout.table, layout.classes, limit, .25, seed)
    else: cells = with_split(layout.table, layout.classes, .25, seed)
    assert short_sha256(cells.split) == SOLAR_SPLITS[limit][seed]
    assert short_sha256(os.path.basename(path) for path in cells.path) == SOLAR_FILES[limit][seed]
