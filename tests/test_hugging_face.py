"Data sets in Hugging Face's formats, which the test makes: the pictures arrive byte by byte, in the right class and part, without a network."
import io, json

import numpy as np, pytest
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from data_scripts.datasets import hugging_face as H
from data_scripts.datasets import prepare as P

datasets = pytest.importorskip('datasets')
pytestmark = pytest.mark.slow
CLASSES = ['cat', 'dog']


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    "A cache of its own for datasets, and a place for the course's data sets."
    monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'data'))
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'course'))


def picture(seed: int, form: str = 'PNG') -> bytes:
    "A small picture of its own."
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 36, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def table(n: int, start: int = 0, **columns):
    "A data set of n pictures, classes in turn."
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=CLASSES))
    rows = dict(image=[dict(bytes=picture(start + i), path=None) for i in range(n)], label=[i % 2 for i in range(n)])
    return datasets.Dataset.from_dict(rows, features=features)


def write_parquet(folder, **parts):
    folder.mkdir()
    for name, rows in parts.items(): rows.to_parquet(folder/f'{name}-00000-of-00001.parquet')
    return folder


def written(tmp_path, name):
    "Path below the data set → bytes."
    folder = tmp_path/'data'/name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*.*') if path.suffix != '.json'}


def test_parquet_arrives_byte_by_byte(tmp_path):
    folder = write_parquet(tmp_path/'My Set', train=table(6), validation=table(4, 100), test=table(4, 200))
    facts = P.prepare_hub(f'hf:{folder}')
    assert facts['counts'] == dict(train=dict(cat=3, dog=3), valid=dict(cat=2, dog=2), test=dict(cat=2, dog=2))
    assert written(tmp_path, 'my_set')['valid/dog/000003.png'] == picture(103)
    assert len(written(tmp_path, 'my_set')) == 14


def test_every_lesson_knows_it_by_name(tmp_path):
    P.prepare_hub(f"hf:{write_parquet(tmp_path/'shapes', train=table(8), test=table(4, 50))}")
    pics = load_pictures('shapes', size=32)
    assert list(pics.classes) == CLASSES
    assert pics.table.label.value_counts().to_dict() == {0: 6, 1: 6}


def test_a_folder_of_pictures(tmp_path):
    for part in ('train', 'test'):
        for number, name in enumerate(CLASSES):
            (tmp_path/'plain'/part/name).mkdir(parents=True)
            for i in range(3): (tmp_path/'plain'/part/name/f'{i}.jpg').write_bytes(picture(10 * number + i, 'JPEG'))
    facts = P.prepare_hub(f"hf:{tmp_path/'plain'}")
    assert facts['counts'] == dict(train=dict(cat=3, dog=3), test=dict(cat=3, dog=3))
    assert picture(12, 'JPEG') in written(tmp_path, 'plain').values()


def test_one_file(tmp_path):
    table(4).to_parquet(tmp_path/'one.parquet')
    assert P.prepare_hub(f"hf:{tmp_path/'one.parquet'}")['counts'] == dict(train=dict(cat=2, dog=2))


def test_a_second_time_it_is_found(tmp_path, capsys):
    name = f"hf:{write_parquet(tmp_path/'twice', train=table(4))}"
    assert P.prepare_hub(name) == P.prepare_hub(name)
    assert 'is there already' in capsys.readouterr().out


def test_facts_say_where_it_came_from(tmp_path):
    folder = write_parquet(tmp_path/'origin', train=table(4))
    P.prepare_hub(f'hf:{folder}')
    assert json.loads((tmp_path/'data'/'origin'/'about.json').read_text())['page'] == str(folder)


def test_rows_without_a_class_are_left_out(tmp_path):
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=CLASSES))
    rows = dict(image=[dict(bytes=picture(i), path=None) for i in range(5)], label=[0, 1, 0, 1, -1])
    folder = write_parquet(tmp_path/'hidden', train=datasets.Dataset.from_dict(rows, features=features))
    assert P.prepare_hub(f'hf:{folder}')['without_class'] == 1


def test_a_class_that_is_no_folder(tmp_path):
    rows = dict(image=[dict(bytes=picture(i), path=None) for i in range(4)], label=['a/b', '..', 'a/b', '..'])
    features = datasets.Features(image=datasets.Image(), label=datasets.Value('string'))
    folder = write_parquet(tmp_path/'names', train=datasets.Dataset.from_dict(rows, features=features))
    assert P.prepare_hub(f'hf:{folder}')['counts'] == dict(train={'a_b': 2, '_': 2})


def two_labels():
    features = datasets.Features(image=datasets.Image(), kind=datasets.Value('string'), place=datasets.Value('string'))
    rows = dict(image=[dict(bytes=picture(i), path=None) for i in range(4)], kind=['a', 'b'] * 2, place=['x', 'x', 'y', 'y'])
    return datasets.Dataset.from_dict(rows, features=features)


def test_the_learner_names_the_column(tmp_path):
    folder = write_parquet(tmp_path/'columns', train=two_labels())
    assert P.prepare_hub(f'hf:{folder}', label='place')['counts'] == dict(train=dict(x=2, y=2))


@pytest.mark.fault
@pytest.mark.parametrize('label, words', [('', 'Which column holds the class? There are image, kind, place'), ('size', "no column 'size'")])
def test_a_column_that_cannot_be_told(tmp_path, label, words):
    folder = write_parquet(tmp_path/'columns', train=two_labels())
    with pytest.raises(CourseError, match=words.replace('?', r'\?')): P.prepare_hub(f'hf:{folder}', label=label)
    assert not (tmp_path/'data'/'columns').exists()


@pytest.mark.fault
def test_no_pictures(tmp_path):
    folder = write_parquet(tmp_path/'words', train=datasets.Dataset.from_dict(dict(text=['a', 'b'], label=[0, 1])))
    with pytest.raises(CourseError, match='One column of pictures is needed, and there are 0 among text, label'): P.prepare_hub(f'hf:{folder}')


@pytest.mark.fault
def test_one_class_is_too_few(tmp_path):
    folder = write_parquet(tmp_path/'single', train=table(1))
    with pytest.raises(CourseError, match='1 classes in the column'): P.prepare_hub(f'hf:{folder}')


@pytest.mark.fault
def test_nothing_of_that_name():
    "The tests have no network, so the hub cannot be asked: one sentence."
    with pytest.raises(CourseError, match="'nobody/nothing' on the hub could not be read as a data set"): P.prepare_hub('hf:nobody/nothing')


@pytest.mark.fault
def test_a_name_of_the_course(tmp_path):
    with pytest.raises(CourseError, match="one of the course's own"): P.prepare_hub('hf:somebody/cats_dogs')


@pytest.mark.fault
def test_without_the_extra(monkeypatch):
    monkeypatch.setattr(H.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(CourseError, match='datasets is not installed'): P.prepare_hub('hf:nobody/nothing')


@pytest.mark.parametrize('name, folder', [('hf:owner/My-Set', 'my_set'), ('hf:beans', 'beans'), ('hf:/a/b c.parquet', 'b_c')])
def test_its_name_here(name, folder): assert H.folder_name(name) == folder
