"Error analysis: the numbers are scikit-learn's, every cell has its pictures, and no name becomes markup."
import warnings
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest, torch
from sklearn.metrics import balanced_accuracy_score, classification_report, confusion_matrix

from course_utils.report import error_analysis as E
from course_utils.config import CourseError
from course_utils.data.decode import Found
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.report.stats import losses

NASTY = ['<script>alert(1)</script>', 'a & b <b>', '"quoted\' $x_{', 'naïve 犬\nnext']


def made(classes, n=60, seed=0, arch='resnet10t', size=64, wrong=.4):
    "Pictures of noise, and a run that names them right or not."
    rng, n_classes = np.random.default_rng(seed), len(classes)
    y = rng.integers(0, n_classes, n)
    paths = [f'/data/x/<i>{k}<b> & "{k}".png' for k in range(n)]
    split = np.where(rng.random(n) < .5, 'valid', 'train')
    table = pd.DataFrame(dict(path=paths, label=y, stratum=y.astype(str), split=split))
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    pics = Pictures('noise', images, list(classes), table, Found())
    true = pics.y[pics.valid]
    predicted = np.where(rng.random(len(true)) < wrong, rng.integers(0, n_classes, len(true)), true)
    logits = rng.normal(size=(len(true), n_classes))
    logits[np.arange(len(true)), predicted] += 6
    torch.manual_seed(0)
    probs = torch.tensor(logits).softmax(1).numpy()
    return SimpleNamespace(probs=probs, targets=true, model=create_model(arch, n_classes, False)), pics


class Page(HTMLParser):
    "What a browser would make of it: elements, their attributes, and text."
    def __init__(self, text):
        super().__init__()
        self.tags, self.attrs, self.text = [], [], ''
        self.feed(text)
        self.close()
    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs.append((tag, dict(attrs)))
    def handle_data(self, data): self.text += data

ALLOWED = {'div', 'p', 'b', 'table', 'caption', 'thead', 'tbody', 'tr', 'th', 'td', 'figure', 'figcaption', 'img'}


# ---- numbers ----

@pytest.mark.parametrize('classes', [['a', 'b'], list('abcdef'), NASTY, [f'breed {k}' for k in range(40)]])
def test_numbers_are_scikit_learn_s(classes):
    run, pics = made(classes, n=200)
    e, predicted, labels = E.analyse(run, pics), run.probs.argmax(1), range(len(classes))
    assert (e.matrix.to_numpy() == confusion_matrix(run.targets, predicted, labels=labels)).all()
    assert list(e.matrix.index) == classes
    measured = np.unique(run.targets)
    theirs = classification_report(run.targets, predicted, labels=measured, output_dict=True, zero_division=0)
    for k in measured: assert e.report.iloc[k].to_dict() == theirs[str(k)]
    assert e.not_measured == [classes[k] for k in labels if k not in measured]
    assert list(e.report.index[:len(classes)]) == classes
    assert np.allclose(e.report.loc['macro avg'].astype(float), list(theirs['macro avg'].values()))
    counts = [n for *_, n in e.pairs]
    assert sum(counts) == (run.targets != predicted).sum() == int(repr(e).split(' ')[0])
    assert counts == sorted(counts, reverse=True)


def test_a_class_with_no_held_out_picture_is_not_measured():
    "It is no class of recall zero: a run that is right everywhere has a balanced accuracy of 1."
    run, pics = made(list('abcd'), wrong=0)
    pics.classes[1:1] = ['nobody']
    run.targets = run.targets + (run.targets > 0)
    pics.table['label'] = pics.table.label + (pics.table.label > 0)
    run.probs = np.eye(5)[run.targets]
    run.model = create_model('resnet10t', 5, False)
    e = E.analyse(run, pics)
    assert e.balanced_accuracy == balanced_accuracy_score(run.targets, run.probs.argmax(1)) == 1
    assert e.report.recall['macro avg'] == e.report.precision['macro avg'] == 1
    assert e.report.loc['nobody'].isna().tolist() == [True, True, True, False]
    assert e.report.support['nobody'] == 0
    assert 'No picture is held out of nobody' in repr(e)
    assert 'No picture is held out of nobody' in e.html()


@pytest.mark.parametrize('seed', range(4))
def test_balanced_accuracy_is_scikit_learn_s(seed):
    run, pics = made([f'breed {k}' for k in range(40)], n=100, seed=seed)
    e = E.analyse(run, pics)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # classes that are predicted, and not there
        theirs = balanced_accuracy_score(run.targets, run.probs.argmax(1))
    assert e.not_measured, 'too few pictures for all classes'
    assert e.balanced_accuracy == pytest.approx(theirs)


def test_a_class_named_like_an_average_keeps_its_row():
    run, pics = made(['macro avg', 'accuracy', 'weighted avg'])
    assert len(E.analyse(run, pics).report) == 5


def test_top_losses():
    run, pics = made(list('abc'))
    t, l = E.analyse(run, pics).top_losses(5), losses(run)
    largest = np.sort(l)[::-1][:5]
    assert t.loss.tolist() == largest.round(2).tolist()
    assert (l[t.place] == largest).all()
    assert t.true.tolist() == [pics.classes[k] for k in run.targets[t.place]]
    assert t.file.tolist() == [pics.table.path[pics.valid[k]].split('/', 3)[-1].split('/')[-1] for k in t.place]


def test_cells_share_out_the_pictures():
    run, pics = made(list('abc'))
    e = E.analyse(run, pics)
    cells = {(i, j): e.cell(i, j) for i in range(3) for j in range(3)}
    assert sorted(np.concatenate(list(cells.values()))) == list(range(len(run.targets)))
    for (i, j), k in cells.items():
        assert len(k) == e.matrix.iloc[i, j]
        assert (run.targets[k] == i).all()
        assert (run.probs[k].argmax(1) == j).all()
        assert (np.diff(e.loss[k]) <= 0).all()


def other_order(run, pics): run.targets = run.targets[::-1]
def fewer(run, pics): run.targets, run.probs = run.targets[:-1], run.probs[:-1]
def another_class(run, pics): pics.classes.append('new')

@pytest.mark.parametrize('spoil', [other_order, fewer, another_class])
@pytest.mark.fault
def test_pictures_of_another_run_are_refused(spoil):
    run, pics = made(list('abc'))
    spoil(run, pics)
    with pytest.raises(CourseError, match='not the pictures'): E.analyse(run, pics)


# ---- the page ----

@pytest.mark.parametrize('classes', [['a', 'b'], NASTY, NASTY + [f'<img src=x onerror=y> {k}' for k in range(16)]])
@pytest.mark.fault
def test_page_escapes_every_name(classes):
    run, pics = made(classes, n=120)
    e = E.analyse(run, pics)
    for text in [e.html(), *live_html(e)]:
        page = Page(text)
        assert set(page.tags) <= ALLOWED
        assert all(not k.startswith('on') for _, a in page.attrs for k in a)
        for tag, a in page.attrs:
            if tag != 'img': continue
            assert a['alt'].strip()
            assert a['src'].startswith('data:image/webp;base64,')
    page = Page(e.html())
    # of many classes the page shows those of the most confused pairs, else all
    many = len(classes) > E.MOST_BUTTONS
    shown = [name for pair in e.pairs[:15] for name in pair[:2]] if many else classes
    assert shown
    for name in shown: assert ' '.join(name.split()) in ' '.join(page.text.split())
    assert '<i>' in page.text, "a file's name is shown as it is"
    assert '<b> & "' in page.text, "a file's name is shown as it is"


def live_html(e):
    def every(w):
        yield w
        for c in getattr(w, 'children', ()): yield from every(c)
    return [w.value for w in every(e.widget) if type(w).__name__ == 'HTML']


def test_the_guard_on_names_bites(monkeypatch):
    run, pics = made(NASTY)
    monkeypatch.setattr(E.html, 'escape', lambda s, *a: s)
    assert not set(Page(E.analyse(run, pics).html()).tags) <= ALLOWED


def test_page_shows_what_was_asked_for():
    run, pics = made(list('abc'), n=120)
    e = E.analyse(run, pics)
    html = e.html()
    assert not any(l != l.strip() or not l for l in html.split('\n')), 'in Markdown an empty or indented line would end the HTML'
    page = Page(html)
    assert page.tags.count('img') == 16 + 8
    assert page.tags.count('table') == 2
    for k in e.top_losses(8).place:
        assert e.file(k) in page.text
        assert e.words(k) in page.text
    heads = [a.get('scope') for t, a in page.attrs if t == 'th']
    assert heads.count('col') >= 3
    assert heads.count('row') >= 3


def test_many_classes_become_a_picture_and_pairs():
    run, pics = made([f'breed {k}' for k in range(40)], n=400)
    e = E.analyse(run, pics)
    page = Page(e.html())
    assert 'Confusion matrix of 40 classes' in [a['alt'] for t, a in page.attrs if t == 'img'][0]
    assert 'Most confused' in page.text
    assert e.pairs[0][0] in page.text
    assert 'ten classes with the lowest f1' in page.text
    assert len(e.html()) < 2_000_000


def test_a_model_without_maps_still_shows_its_pictures():
    run, pics = made(list('ab'), size=224, n=20, arch='vit_tiny_patch16_224')
    page = Page(E.analyse(run, pics).html())
    assert 'rows of tokens' in page.text
    assert page.tags.count('img') >= 4


def test_nothing_wrong():
    run, pics = made(list('ab'), wrong=0)
    e = E.analyse(run, pics)
    assert repr(e).startswith('0 of')
    assert e.pairs == []
    assert e.html()
    assert e.widget


# ---- the live side ----

def buttons(e):
    grid = next(c for c in e.widget.children if type(c).__name__ == 'GridBox')
    return [b for b in grid.children if type(b).__name__ == 'Button']

def test_every_button_shows_its_cell():
    run, pics = made(list('abc'))
    e = E.analyse(run, pics)
    panel = e.widget.children[2]
    assert [b.description for b in buttons(e)] == [str(n) for n in e.matrix.to_numpy().ravel()]
    for k, b in enumerate(buttons(e)):
        b.click()
        i, j = divmod(k, 3)
        page, places = Page(panel.value), e.cell(i, j)
        assert page.text.startswith(f'True {"abc"[i]}, predicted {"abc"[j]}: {len(places)} pictures')
        assert b.tooltip == f'true {"abc"[i]}, predicted {"abc"[j]}'
        assert page.tags.count('img') == min(8, len(places))
        for p in places[:8]: assert e.file(p) in page.text
        assert 'aria-live' in [a for t, a in page.attrs][0]


def test_many_classes_become_a_list():
    run, pics = made([f'breed {k}' for k in range(12)], n=200)
    e = E.analyse(run, pics)
    d = e.widget.children[1]
    assert type(d).__name__ == 'Dropdown'
    assert len(d.options) == min(50, len(e.pairs))
    assert e.pairs[0][0] in e.widget.children[2].value
    d.value = d.options[-1][1]
    i, j = d.value
    assert f'True breed {i}, predicted breed {j}' in e.widget.children[2].value


def test_both_sides_in_one():
    run, pics = made(list('ab'))
    b = E.analyse(run, pics)._repr_mimebundle_()
    assert set(b) == {'application/vnd.jupyter.widget-view+json', 'text/html', 'text/plain'}
    assert b['text/plain'].endswith('times.')


def test_the_maps_are_those_of_the_predicted_and_the_true_class(monkeypatch):
    run, pics = made(list('abc'))
    asked = []
    monkeypatch.setattr(E, 'maps_of', lambda model, images, classes, layer: asked.append(list(classes)) or np.ones((len(images), 64, 64), np.float32))
    e = E.analyse(run, pics)
    e.widget.children[2]
    asked.clear()
    k = e.top_losses(4).place
    E.maps_gallery(e, k)
    assert asked == [list(e.predicted[k]), list(e.true[k])]
