"The page of the four articles: each row leads to a page that is there, and says what its results file says."
import json

import pytest

from course_utils.config import root
from data_scripts.site import articles, reference
from data_scripts.site.articles import ARTICLES_PAGE, Claim, articles_page, claim_row

CLAIMS = [claim for claims in articles.articles().values() for claim in claims]


def test_page_is_made(): assert ARTICLES_PAGE in reference.page_names()


@pytest.mark.parametrize('claim', CLAIMS, ids=lambda claim: claim.did[:30])
def test_a_row_leads_to_a_page(claim): assert (root()/'nbs'/f'{claim.page}.ipynb').exists()


def test_all_techniques_are_there():
    taught = {claim.page for claim in CLAIMS}
    lessons = {path.stem for path in (root()/'nbs').glob('0[0-8]_*.ipynb')}
    assert lessons <= taught


def test_the_outcome_is_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    (tmp_path/'lesson_03.json').write_text(json.dumps(dict(headline='it falls')))
    row = dict(accuracy=.5, low=.4, high=.6, what='a network')
    (tmp_path/'case_dog_breeds.json').write_text(json.dumps(dict(runs=dict(cpu=dict(table=dict(course=row))))))
    page = '\n'.join(articles_page())
    assert '[03](03_lr_finder.ipynb) | it falls |' in page
    assert '[case](cases/dog_breeds.ipynb) | course 50.0% (40.0% to 60.0%), a network |' in page


def test_an_outcome_that_is_missing_is_a_dash(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    assert claim_row(Claim('a', '', '05_differential_lrs')).endswith('| — | [05](05_differential_lrs.ipynb) | — |')


def test_few_photographs_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    assert articles.few_photographs() == ''
    by_count = {n: dict(accuracy=share, low=share - .1, high=share + .1) for n, share in (('10', .6), ('25', .7), ('400', .8))}
    (tmp_path/'case_cats_dogs.json').write_text(json.dumps(dict(runs=dict(cpu=dict(by_count=by_count)))))
    assert articles.few_photographs() == '25 photographs 70.0% (60.0% to 80.0%), 400 photographs 80.0% (70.0% to 90.0%)'
