"""Folders as people really have them: two pictures a class, 300 classes of four, a table, panoramas one pixel high. Every lesson ends in a result or a sentence."""
import csv

import nbformat, numpy as np, pytest
from PIL import Image

from course_utils.advice import recommend
from course_utils.data.pictures import load_pictures
from data_scripts.lessons.notebooks import ROOT


def stripes(k, shape=(48, 48)):
    "Noise on stripes, across or down."
    rng = np.random.default_rng(k)
    lines = np.indices(shape)[k % 2] // 4 % 2 * 120
    return (rng.integers(0, 128, (*shape, 3)) + lines[..., None]).astype(np.uint8)


def save_classes(folder, n_classes, n_each, shape=(48, 48)):
    "A folder a class."
    for label in range(n_classes):
        (folder/f'class{label}').mkdir(parents=True)
        for i in range(n_each):
            Image.fromarray(stripes(label + n_classes * i, shape)).save(folder/f'class{label}'/f'{i}.png')
    return folder


def save_with_table(folder, n=24):
    "A flat folder, and a table that says of which class each file is."
    folder.mkdir()
    rows = [(f'{i}.png', ('across', 'down')[i % 2]) for i in range(n)]
    for i, (name, _) in enumerate(rows): Image.fromarray(stripes(i)).save(folder/name)
    with open(folder/'labels.csv', 'w', newline='') as file: csv.writer(file).writerows([('file', 'label'), *rows])
    return folder/'labels.csv'


# ---- a table in place of folders ----

def test_a_recipe_is_written_beside_the_table_and_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    table = save_with_table(tmp_path/'flat')
    advised = recommend(str(table))
    assert advised.notebook.parent == table.parent
    [cell] = [c.source for c in nbformat.read(advised.notebook, 4).cells if 'load_pictures(FOLDER' in c.source]
    monkeypatch.chdir(table.parent)
    namespace = dict(Path=type(table), load_pictures=load_pictures)
    exec(cell, namespace)
    assert namespace['pics'].classes == ['across', 'down']
    assert len(namespace['pics']) == 24


def test_a_recipe_of_a_folder_reads_the_folder(tmp_path):
    advised = recommend(save_classes(tmp_path/'folders', 2, 6))
    [cell] = [c.source for c in nbformat.read(advised.notebook, 4).cells if 'load_pictures(FOLDER' in c.source]
    assert 'load_pictures(FOLDER, size' in cell
