"""Which classes are confused, which pictures, and where the model looked: in one call."""
import base64, html, io
from functools import cached_property
from pathlib import Path

import ipywidgets as widgets, matplotlib, numpy as np, pandas as pd
from PIL import Image
from sklearn.metrics import classification_report, confusion_matrix

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.report.stats import losses
from course_utils.show.draw import heat
from course_utils.show.figures import show
from course_utils.techniques.gradcam import maps_of, overlay, target_layer
from course_utils.training.run import Run

FILL = 'auto-fill,minmax(260px,1fr)'


def _gallery(pictures, captions, alts, columns) -> str:
    "Pictures with a line under each, as HTML. Captions are text: they are escaped here. `columns` is CSS."
    def one(x, caption, alt):
        out = io.BytesIO()
        Image.fromarray(x).save(out, 'webp', quality=80)
        return (f'<figure style="margin:0"><img alt="{html.escape(alt)}" style="width:100%;height:auto" src="data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}">'
                f'<figcaption style="font-size:.85em;overflow-wrap:anywhere">{html.escape(caption)}</figcaption></figure>')
    return f'<div style="display:grid;gap:.8em;grid-template-columns:repeat({columns});max-width:60em">' + ''.join(map(one, pictures, captions, alts)) + '</div>'


def _with_maps(e, places) -> str:
    "A gallery of validation pictures, each with its maps; without them, and a sentence, where the model has none."
    places = np.asarray(places, int)
    if not len(places): return '<p>No pictures.</p>'
    x, said, true = np.asarray(e.pics.x[e.pics.valid[places]]), e.said[places], e.true[places]
    captions = [f'{e.file(k)}. {e.words(k)}' for k in places]
    try:
        layer = e.layer or target_layer(e.run.model, e.pics.size)
        for_said, for_true = (maps_of(e.run.model, x, c, layer) for c in (said, true))
    except CourseError as why:
        return f'<p>{html.escape(str(why))}</p>' + _gallery(x, captions, captions, FILL)
    top = float(max(for_said.max(), for_true.max()))
    gap = np.full((e.pics.size, 2, 3), 255, np.uint8)
    tiles = [np.hstack([a, gap, overlay(a, s, top), gap, overlay(a, t, top)]) for a, s, t in zip(x, for_said, for_true)]
    alts = [f'Left the picture; middle the evidence for {e.pics.classes[s]}, as predicted; right that for {e.pics.classes[t]}, the truth. {c}' for s, t, c in zip(said, true, captions)]
    return f'<p>Left the picture, middle the evidence for what was predicted, right that for the truth (layer {html.escape(layer)}, one scale, yellow is {top:.2g}).</p>' + _gallery(tiles, captions, alts, FILL)

MOST_BUTTONS = 10  # classes; with more, a list of pairs takes the place of the matrix


def _colours(share) -> tuple:  # background and text
    r, g, b = (int(255 * c) for c in matplotlib.colormaps['cividis'](float(share))[:3])
    return f'#{r:02x}{g:02x}{b:02x}', '#000' if .299 * r + .587 * g + .114 * b > 128 else '#fff'


def _shares(e): return e.matrix.div(e.matrix.sum(axis=1).clip(lower=1), axis=0).to_numpy()


def _matrix_html(e) -> str:
    "The matrix as a table; with many classes as a picture and a table of the most confused pairs."
    esc = lambda s: html.escape(str(s))
    if len(e.matrix) > MOST_BUTTONS:
        side = max(1, 480 // len(e.matrix))
        picture = show(np.kron(heat(_shares(e), 0, 1), np.ones((side, side, 1), np.uint8)), f'Confusion matrix of {len(e.matrix)} classes, true downwards, predicted to the right; a bright diagonal is right. ' + (f'Most confused: {e.pairs[0][0]} taken for {e.pairs[0][1]}, {e.pairs[0][2]} times.' if e.pairs else 'Nothing is confused.'))
        rows = ''.join(f'<tr><td>{esc(t)}</td><td>{esc(s)}</td><td>{n}</td></tr>' for t, s, n in e.pairs[:15])
        return picture._repr_mimebundle_()['text/html'] + f'<table><caption>Most confused</caption><thead><tr><th scope="col">true</th><th scope="col">predicted</th><th scope="col">pictures</th></tr></thead><tbody>{rows}</tbody></table>'
    cell = lambda n, share: '<td style="background:{};color:{};text-align:center;padding:.5em 1em">{}</td>'.format(*_colours(share), n)
    body = ''.join(f'<tr><th scope="row">{esc(c)}</th>' + ''.join(map(cell, row, shares)) + '</tr>' for c, row, shares in zip(e.matrix.index, e.matrix.to_numpy(), _shares(e)))
    return ('<table><caption style="white-space:nowrap;text-align:left">True classes downwards, predicted ones to the right. Colour: share of the row.</caption><thead><tr><td></td>' +
            ''.join(f'<th scope="col">{esc(c)}</th>' for c in e.matrix.columns) + f'</tr></thead><tbody>{body}</tbody></table>')


def _report_html(e) -> str:
    r, few = e.report, len(e.matrix) <= 20
    shown = r if few else pd.concat([r.iloc[:-2].sort_values('f1-score').head(10), r.iloc[-2:]])
    table = shown.rename(columns={'f1-score': 'f1', 'support': 'pictures'}).to_html(border=0, float_format='{:.3f}'.format)
    return f'<p><b>Classification report</b>{"" if few else ": the ten classes with the lowest f1, and the averages"}</p>' + table


def _grid_html(e, n=16) -> str:
    k = np.sort(np.random.default_rng(0).permutation(len(e.true))[:n])
    lines = [e.words(i) for i in k]
    return '<p><b>True against predicted</b>, drawn at random</p><div style="max-width:36em">' + _gallery(np.asarray(e.pics.x[e.pics.valid[k]]), lines, lines, '4,1fr') + '</div>'


def _page(e) -> str:
    "All of it as HTML that needs no kernel. No line is empty or indented: in Markdown either would end the HTML."
    parts = [f'<p>{html.escape(repr(e))}</p>', _matrix_html(e), _report_html(e), _grid_html(e), '<p><b>Largest losses</b></p>' + _with_maps(e, e.top_losses(8).place)]
    return '<div class="errors">\n' + '\n'.join(line.strip() for part in parts for line in part.split('\n') if line.strip()) + '\n</div>'


class _Live:
    "The matrix as buttons (or, with many classes, a list of pairs), and below it the pictures of the chosen cell."
    def __init__(self, e):
        self.e, self.panel = e, widgets.HTML(layout=widgets.Layout(min_height='16em'))
        says = '<p>Choose a cell with the mouse, or with Tab and Enter.</p>'
        chooser = self.buttons() if len(e.matrix) <= MOST_BUTTONS else self.list()
        self.box = widgets.VBox([widgets.HTML(f'<p>{html.escape(repr(e))}</p>{says}'), chooser, self.panel, widgets.HTML(_report_html(e) + _grid_html(e))])
        worst = e.pairs[0][:2] if e.pairs else (e.pics.classes[0],) * 2
        self.chosen(*map(e.pics.classes.index, worst))

    def buttons(self):
        label = lambda s: widgets.HTML(f'<b>{html.escape(str(s))}</b>')
        rows, shares = [label('true, and predicted →'), *map(label, self.e.matrix.columns)], _shares(self.e)
        for i, name in enumerate(self.e.matrix.index):
            rows.append(label(name))
            for j, said in enumerate(self.e.matrix.columns):
                back, text = _colours(shares[i, j])
                b = widgets.Button(description=str(self.e.matrix.iloc[i, j]), tooltip=f'true {name}, predicted {said}', layout=widgets.Layout(width='auto'), style=dict(button_color=back, text_color=text))
                b.on_click(lambda _, i=i, j=j: self.chosen(i, j))
                rows.append(b)
        n = len(self.e.matrix)
        return widgets.GridBox(rows, layout=widgets.Layout(grid_template_columns=f'max-content repeat({n}, minmax(4em, 9em))', grid_gap='3px', max_width='100%', overflow='auto'))

    def list(self):
        at = self.e.pics.classes.index
        options = [(f'{t}, taken for {s}: {n}', (at(t), at(s))) for t, s, n in self.e.pairs[:50]]
        d = widgets.Dropdown(options=options, description='confused', layout=widgets.Layout(width='auto', max_width='40em'))
        d.observe(lambda c: self.chosen(*c['new']), 'value')
        return d

    def chosen(self, i, j, most=8):
        k, names = self.e.cell(i, j), self.e.pics.classes
        says = f"True {names[i]}, predicted {names[j]}: {len(k)} pictures" + (f', the {most} with the largest loss.' if len(k) > most else '.')
        self.panel.value = f'<div role="status" aria-live="polite"><b>{html.escape(says)}</b></div>' + _with_maps(self.e, k[:most])


class Errors:
    "What `analyse` found: `matrix`, `report`, `pairs`, `top_losses()`; shown, all of it. In JupyterLab a cell of the matrix shows its pictures."
    def __init__(self, run, pics, layer):
        self.run, self.pics, self.layer = run, pics, layer
        self.true, self.said, self.loss = run.targets, run.probs.argmax(1), losses(run)

    @cached_property
    def matrix(self) -> pd.DataFrame:
        "Number of validation pictures: a row for each true class, a column for each predicted one."
        m = confusion_matrix(self.true, self.said, labels=range(len(self.pics.classes)))
        return pd.DataFrame(m, pd.Index(self.pics.classes, name='true'), pd.Index(self.pics.classes, name='predicted'))

    @cached_property
    def report(self) -> pd.DataFrame:
        "scikit-learn's classification report: precision, recall, f1 and number of pictures of each class, and their averages."
        keys = [str(k) for k in range(len(self.pics.classes))]  # by number: two classes may have names that clash with the averages'
        r = classification_report(self.true, self.said, labels=range(len(keys)), target_names=keys, output_dict=True, zero_division=0)
        averages = {k: r[k] for k in ('macro avg', 'weighted avg')}
        return pd.DataFrame([r[k] for k in keys] + list(averages.values()), index=[*self.pics.classes, *averages]).astype({'support': int})

    @cached_property
    def pairs(self) -> list:
        "(true, predicted, number) of every confused pair, the most confused first."
        m = self.matrix.to_numpy()
        found = [(i, j, int(m[i, j])) for i, j in zip(*np.nonzero(m)) if i != j]
        return [(self.pics.classes[i], self.pics.classes[j], n) for i, j, n in sorted(found, key=lambda p: -p[2])]

    def top_losses(self, n: int=8) -> pd.DataFrame:
        "The `n` validation pictures with the largest loss: `place` among `pics.valid`, file, true and predicted class, probability of the true one, loss."
        k, name = np.argsort(-self.loss, kind='stable')[:n], lambda labels: [self.pics.classes[i] for i in labels]
        return pd.DataFrame(dict(place=k, file=[self.file(i) for i in k], true=name(self.true[k]), predicted=name(self.said[k]), p_true=self.run.probs[k, self.true[k]].round(3), loss=self.loss[k].round(2)))

    def file(self, k) -> str: return Path(str(self.pics.table.path.iloc[self.pics.valid[k]])).name
    def words(self, k) -> str:
        "One validation picture in words."
        verdict = 'right' if self.true[k] == self.said[k] else 'wrong'
        return f"{verdict}: true {self.pics.classes[self.true[k]]}, predicted {self.pics.classes[self.said[k]]} ({self.run.probs[k, self.said[k]]:.0%})"

    def cell(self, true: int, said: int) -> np.ndarray:
        "Places of the pictures in a cell of the matrix, the largest loss first."
        k = np.flatnonzero((self.true == true) & (self.said == said))
        return k[np.argsort(-self.loss[k], kind='stable')]

    @cached_property
    def widget(self) -> widgets.VBox:
        "The live side."
        return _Live(self).box

    @cached_property
    def _html(self): return _page(self)

    def html(self) -> str:
        "The page side, which needs no kernel. Drawn once."
        return self._html

    def __repr__(self):
        wrong = int((self.true != self.said).sum())
        return f'{wrong} of {len(self.true)} validation pictures are wrong.' + (f' Most confused: {self.pairs[0][0]} taken for {self.pairs[0][1]}, {self.pairs[0][2]} times.' if self.pairs else '')

    def _repr_mimebundle_(self, **_):
        live = {'version_major': 2, 'version_minor': 0, 'model_id': self.widget.model_id}
        return {'application/vnd.jupyter.widget-view+json': live, 'text/html': self.html(), 'text/plain': repr(self)}


def analyse(
    run: Run,
    pics: Pictures,         # those the run was trained on
    layer: str|None=None,   # of Grad-CAM; None: `gradcam.target_layer`'s choice
) -> Errors:
    "Confusion matrix, classification report, 4×4 grid of true against predicted, and top losses. Raises `CourseError` where run and pictures do not belong together."
    if len(run.targets) != len(pics.valid) or (run.targets != pics.y[pics.valid]).any() or run.probs.shape[1] != len(pics.classes):
        raise CourseError(f"These are not the pictures that the run was trained on: it has {len(run.targets)} validation pictures in {run.probs.shape[1]} classes, and here are {len(pics.valid)} in {len(pics.classes)}, or they are in another order.")
    return Errors(run, pics, layer)
