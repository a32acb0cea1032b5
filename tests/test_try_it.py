"The network of the *Try it* page, and the page from its file."
import json

import pytest

from course_utils.config import CourseError, root
from course_utils.data.sources import photo
from course_utils.publish import page
from course_utils.techniques.answer import answer, open_model
from data_scripts.site import try_it


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    "What the command writes, at smoke."
    folder = tmp_path_factory.mktemp('models')
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSE_PROFILE', 'smoke')
        m.delenv('COURSE_DATA', raising=False)
        try_it.main(['--folder', str(folder)])
    return folder


@pytest.fixture(scope='module')
def runtime(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runtime')
    for name in (page.MODULE, page.PACKED): (folder/name).write_bytes(b'runtime')
    return folder


def test_the_recipe_is_the_ladders_longer_training(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    monkeypatch.delenv('COURSE_DATA', raising=False)
    recipe, size = try_it.page_recipe()
    assert (recipe.freeze_stages, recipe.kept_views, recipe.schedule, recipe.lr_max) == (4, 0, 'one_cycle', 1e-3)
    assert recipe.augment is not None
    assert size == 192
    assert recipe.epochs == 12


def test_the_file_holds_all_that_the_page_asks(models):
    session, facts = open_model(models/'solar.onnx')
    assert {output.name for output in session.get_outputs()} == {'logits', 'maps', 'distance'}
    assert facts['labels'] == ['functional', 'defective']
    assert facts['unlike']['pictures'] > 0
    assert facts['card']['held_out'] == facts['unlike']['pictures']
    assert facts['temperature'] > 0
    assert facts['card']['troubles'] == list(try_it.TROUBLES)


@pytest.mark.parametrize('name', ['chelsea', 'coffee', 'rocket'])
def test_a_photograph_is_unlike_a_solar_cell(name):
    "In colour, and as the camera of the cells would have it: grey."
    session, facts = open_model(try_it.MODELS/'solar.onnx')
    colour = photo(name, facts['size'])
    grey = colour.mean(2, keepdims=True).repeat(3, 2).astype('uint8')
    assert all(answer(session, facts, image)['is_unlike'] for image in (colour, grey))


def test_it_is_small_enough_to_be_kept(models): assert (models/'solar.onnx').stat().st_size < 7_500_000


def test_the_samples_are_of_both_classes(models):
    samples = json.loads((models/'samples.json').read_text())
    assert len(samples) == try_it.N_SAMPLES
    assert {label for _, label in samples} == {'functional', 'defective'}


def test_the_page_is_written_from_it(models, runtime, monkeypatch, tmp_path):
    monkeypatch.setattr(page, 'runtime_folder', lambda: runtime)
    done = try_it.write_try_it(tmp_path, models)
    assert done['folder'] == tmp_path/'try_it'
    assert (tmp_path/'try_it'/'model.onnx').stat().st_size == (models/'solar.onnx').stat().st_size
    assert len(list((tmp_path/'try_it'/'samples').iterdir())) == try_it.N_SAMPLES


def test_without_a_network_there_is_no_page(tmp_path): assert try_it.write_try_it(tmp_path, tmp_path) is None


def test_the_site_links_the_page_where_there_is_one():
    navigation = (root()/'_quarto.yml').read_text()
    assert ('href: try_it/index.html' in navigation) == (try_it.MODELS/'solar.onnx').exists()


@pytest.mark.fault
def test_a_sample_that_is_gone(tmp_path):
    (tmp_path/'samples.json').write_text('[["cell0000.png", "defective"]]')
    with pytest.raises(CourseError, match='no file cell0000.png'): try_it.sample_files(tmp_path)


def test_the_site_s_map_names_the_page(tmp_path):
    sitemap = tmp_path/'sitemap.xml'
    sitemap.write_text('<urlset>\n  <url>\n    <loc>a</loc>\n  </url>\n</urlset>\n')
    try_it.list_page(sitemap, 'b')
    assert sitemap.read_text() == '<urlset>\n  <url>\n    <loc>a</loc>\n  </url>\n  <url>\n    <loc>b</loc>\n  </url>\n</urlset>\n'


def test_a_site_without_a_map_gets_none(tmp_path):
    try_it.list_page(tmp_path/'sitemap.xml', 'b')
    assert not list(tmp_path.iterdir())
