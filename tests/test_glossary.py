"""The glossary: its terms, its page, and the words at each lesson's end."""
import inspect, pkgutil, re

import nbformat
import pytest

from course_utils.config import CourseError
from course_utils.classroom.glossary import TERMS, Term, explained_in, occurrences, term, terms_by_name
from data_scripts.site import write_glossary as G

LESSONS = G.lessons()


@pytest.fixture(scope='module')
def prose(): return {n: G.prose(nbformat.read(p, 4)) for n, p in LESSONS.items()}


# ---- the terms ----

def term_findings(t, prose):
    "What is wrong with a term, where `prose` is the lessons' text."
    out = []
    if len(t.definition.split()) > 60: out.append('longer than 60 words')
    if t.lesson not in prose: out.append(f'there is no lesson {t.lesson}')
    elif not occurrences(t, prose[t.lesson]): out.append(f'lesson {t.lesson} does not use it')
    if not re.fullmatch(r'[A-Za-z0-9 -]+', t.name): out.append('an anchor cannot be made of its name')
    for code in t.code:
        name, parameter = re.fullmatch(r'([\w.]+)(?:\((\w+)\))?', code).groups()
        try: o = pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            out.append(f'{name} is not there')
            continue
        if parameter and parameter not in inspect.signature(o).parameters: out.append(f'{name} has no {parameter}')
    return [f'{t.name}: {f}' for f in out]


def test_terms(prose):
    import course_utils.training.train  # noqa: F401  fastai gives Learner fit_sgdr and the rest only when its schedules are imported
    assert 50 <= len(TERMS) <= 110
    assert not [f for t in TERMS.values() for f in term_findings(t, prose)]


def test_term_guard_bites():
    text = {'04': 'The rate restarts.'}
    good = Term('restart', 'It starts again.', lesson='04', code=('course_utils.classroom.glossary.term(word)',))
    bad = Term('re/start', 'word ' * 61, lesson='04', code=('course_utils.classroom.glossary.no_such', 'course_utils.classroom.glossary.term(n)', 'no_such_package.x'))
    assert not term_findings(good, text)
    assert len(term_findings(bad, text)) == 6
    assert term_findings(Term('x', 'y', lesson='99'), text) == ['x: there is no lesson 99']


def test_no_term_twice():
    kept = dict(TERMS)
    for twice in (Term('Warm Restarts', ''), Term('new', '', also=('cross entropy',))):
        with pytest.raises(CourseError, match='in the glossary already'): explained_in('04', twice)
    assert TERMS == kept
    assert len(terms_by_name()) == sum(1 + len(t.also) for t in TERMS.values())
    assert len({t.anchor.lower() for t in TERMS.values()}) == len(TERMS)


@pytest.mark.parametrize('word', ['warm restart', 'Warm restarts', ' WARM-RESTARTS '])
def test_a_term_is_found_however_it_is_written(word): assert term(word) is TERMS['warm restart']


def test_another_name_is_found(): assert term('backbone') is TERMS['body']


def test_every_name_is_found(): assert all(term(w) is t for t in TERMS.values() for w in (t.name, *t.also))


def test_an_unknown_word_is_answered_with_the_nearest():
    with pytest.raises(CourseError, match="'worm restart' is not in the glossary; the nearest words are warm restart, .+, "): term('worm restart')
    with pytest.raises(CourseError, match=r'nearest words are [^,]+, [^,]+, [^,]+\.$'): term('nonsense')


def test_a_term_shows_itself():
    t = TERMS['warm restart']
    assert t.definition in t._repr_markdown_()
    assert '[lesson 04](04_sgdr.ipynb)' in t._repr_markdown_()
    assert t.definition in repr(t)


@pytest.mark.parametrize('text, n', [('a warm restart', 1), ('Warm-restarts, warm\nrestarts', 2), ('lukewarm re-start', 0), ('a restart', 1), ('warm restarting', 0)])
def test_occurrences(text, n): assert occurrences(TERMS['warm restart'], text) == n


def test_wordings_count_only_in_the_lesson_that_explains(): assert occurrences(TERMS['warm restart'], 'a restart', own_lesson=False) == 0


# ---- the pages made from them ----

def anchors(page): return [m for c in page.cells if c.cell_type == 'markdown' for m in re.findall(r'^### (.+)$', c.source, re.M)]


def lesson_findings(nb, lesson, page):
    "What is wrong with a lesson's words."
    if G.with_words(nb, lesson) != nb: return ['its words are not up to date: run make tidy']
    links = re.findall(r'glossary\.ipynb#([\w-]+)', next(c.source for c in nb.cells if c.id == f'words-{lesson}'))
    there = {h.replace(' ', '-') for h in anchors(page)}
    return ['fewer than four words'] * (len(links) < 4) + [f'no anchor {l}' for l in links if l not in there]


@pytest.fixture(scope='module')
def page(): return nbformat.read(G.ROOT/G.PAGE, 4)


@pytest.mark.parametrize('lesson', LESSONS)
def test_a_lessons_words(lesson, page): assert not lesson_findings(nbformat.read(LESSONS[lesson], 4), lesson, page)


def test_lesson_guard_bites(page):
    nb = nbformat.read(LESSONS['04'], 4)
    cell = next(c for c in nb.cells if c.id == 'words-04')
    cell.source = cell.source.replace('warm restart', 'warm start')
    assert 'not up to date' in lesson_findings(nb, '04', page)[0]
    whole = nbformat.read(LESSONS['04'], 4)
    cut = nbformat.from_dict(dict(page, cells=[c for c in page.cells if c.id != 'terms-w']))
    assert lesson_findings(whole, '04', cut) == ['no anchor warm-restart']


def test_the_words_stand_between_exercises_and_summary():
    cells = nbformat.read(LESSONS['04'], 4).cells
    at = next(i for i, c in enumerate(cells) if c.id == 'words-04')
    assert cells[at - 1].id == 'ex-04-progress'
    assert cells[at + 1].source.startswith('## Summary')


def test_the_page_is_up_to_date(page): assert G.with_terms(page) == page, 'nbs/glossary.ipynb is not up to date: run make tidy'


def test_a_stale_page_is_noticed(page):
    stale = nbformat.from_dict(page)
    stale.cells[-1].source += '!'
    assert G.with_terms(stale) == page != stale


def test_the_page_is_in_order(page):
    found = anchors(page)
    assert found == sorted(found, key=str.lower)
    assert set(found) == set(TERMS)


def test_a_term_with_capitals_has_an_anchor_on_the_site_too(page):
    "The site's own anchors are lower case, JupyterLab's are not."
    text = '\n'.join(c.source for c in page.cells)
    assert '<a id="AdamW"></a>' in text
    assert '<a id="batch"></a>' not in text


def test_a_new_lesson_gets_words_and_a_place_on_the_page(tmp_path):
    v4 = nbformat.v4
    text = 'Transfer learning and a warm restart. ' * 3 + 'The loss, the batch, the epoch, and TTA. ' * 2
    (tmp_path/'nbs').mkdir()
    for lesson, path in LESSONS.items():
        nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell(f'# Lesson {lesson}'), v4.new_markdown_cell('## Summary')]), tmp_path/'nbs'/path.name)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell('# New\n\n' + text), v4.new_markdown_cell('## Summary')]), tmp_path/'nbs'/'98_new.ipynb')
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell('# Glossary')]), tmp_path/G.PAGE)
    G.write_all(tmp_path)
    new = nbformat.read(tmp_path/'nbs'/'98_new.ipynb', 4)
    assert new.cells[1].source.startswith('## Words of this lesson\n\nAll from other lessons: [batch](glossary.ipynb#batch), ')
    page = nbformat.read(tmp_path/G.PAGE, 4)
    assert not lesson_findings(new, '98', page)
    assert 'Explained in [Lesson 04](04_sgdr.ipynb). Met again in [New](98_new.ipynb).' in page.cells[-1].source
