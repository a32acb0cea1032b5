"""Which classes are confused, which pictures, and where the model looked: in one call.

`analyse` gives an `Errors`, which holds the numbers. Below it stand the two ways in which it shows itself: `ErrorPage`, HTML
that needs no kernel, and `LiveErrors`, a matrix whose cells are buttons."""
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
from course_utils.show.words import abridged
from course_utils.techniques.gradcam import maps_of, overlay, target_layer
from course_utils.training.run import Run

MOST_BUTTONS = 10       # classes; with more, a list of pairs takes the place of the matrix
MOST_REPORT_ROWS = 20   # classes; with more, the report shows the ten worst
CELL_PICTURES = 8       # shown of a cell of the matrix
WIDE_COLUMNS = 'auto-fill,minmax(260px,1fr)'  # CSS: as many as there is room for


# ---- the numbers ----

class Errors:
    "What `analyse` found: `matrix`, `report`, `pairs`, `top_losses()`; shown, all of it. In JupyterLab a cell of the matrix shows its pictures."
    def __init__(self,
        run: Run,
        pics: Pictures,
        layer: str | None=None,  # of Grad-CAM; None: the one it chooses
    ):
        self.run = run
        self.pics = pics
        self.layer = layer
        self.true = run.targets
        self.predicted = run.probs.argmax(1)
        self.loss = losses(run)

    @cached_property
    def matrix(self) -> pd.DataFrame:
        "Number of validation pictures: a row for each true class, a column for each predicted one."
        classes = self.pics.classes
        counts = confusion_matrix(self.true, self.predicted, labels=range(len(classes)))
        return pd.DataFrame(counts, pd.Index(classes, name='true'), pd.Index(classes, name='predicted'))

    @cached_property
    def report(self) -> pd.DataFrame:
        """scikit-learn's classification report: precision, recall, f1 and number of pictures of each class, and their averages.
        A class with no held-out picture was not measured: it has nan, and no part in the averages."""
        classes = self.pics.classes
        measured = np.unique(self.true)
        keys = [str(k) for k in measured]  # by number: two classes may have names that clash with the averages'
        scores = classification_report(self.true, self.predicted, labels=measured, target_names=keys,
                                       output_dict=True, zero_division=0)
        unmeasured = {'precision': np.nan, 'recall': np.nan, 'f1-score': np.nan, 'support': 0}
        averages = ['macro avg', 'weighted avg']
        rows = [scores.get(str(k), unmeasured) for k in range(len(classes))]
        rows += [scores[name] for name in averages]
        return pd.DataFrame(rows, index=[*classes, *averages]).astype({'support': int})

    @property
    def balanced_accuracy(self) -> float:
        "The mean recall of the classes that have held-out pictures, as scikit-learn's `balanced_accuracy_score`."
        measured = self.report.iloc[:-2].recall.dropna()
        return float(measured.mean())

    @property
    def not_measured(self) -> list:
        "The classes with no held-out picture."
        return self.names(np.setdiff1d(range(len(self.pics.classes)), self.true))

    @property
    def not_measured_words(self) -> str:
        "A sentence that names them; nothing where there are none."
        names = self.not_measured
        if not names: return ''
        return f'No picture is held out of {abridged(names)}, so that is not measured, and left out of the averages.'

    @cached_property
    def pairs(self) -> list:
        "(true, predicted, number) of every confused pair, the most confused first."
        counts = self.matrix.to_numpy(copy=True)
        np.fill_diagonal(counts, 0)  # right answers
        places = np.argwhere(counts)
        places = sorted(places, key=lambda place: -counts[tuple(place)])
        classes = self.pics.classes
        return [(classes[i], classes[j], int(counts[i, j])) for i, j in places]

    def top_losses(self, n: int=8) -> pd.DataFrame:
        "The `n` validation pictures with the largest loss: `place` among `pics.valid`, file, true and predicted class, probability of the true one, loss."
        places = np.argsort(-self.loss, kind='stable')[:n]
        return pd.DataFrame(dict(
            place=places,
            file=[self.file(k) for k in places],
            true=self.names(self.true[places]),
            predicted=self.names(self.predicted[places]),
            p_true=self.run.probs[places, self.true[places]].round(3),
            loss=self.loss[places].round(2),
        ))

    def cell(self, true: int, predicted: int) -> np.ndarray:
        "Places of the pictures in a cell of the matrix, the largest loss first."
        places = np.flatnonzero((self.true == true) & (self.predicted == predicted))
        return places[np.argsort(-self.loss[places], kind='stable')]

    def names(self, labels) -> list:
        "The classes' names of labels."
        return [self.pics.classes[label] for label in labels]

    def images(self, places) -> np.ndarray:  # `(N, size, size, 3)` uint8
        "The validation pictures at `places`."
        return np.asarray(self.pics.x[self.pics.valid[places]])

    def file(self, place: int) -> str:
        "The name of a validation picture's file."
        return Path(str(self.pics.table.path.iloc[self.pics.valid[place]])).name

    def words(self, place: int) -> str:
        "One validation picture in words."
        true, predicted = self.names([self.true[place], self.predicted[place]])
        outcome = 'right' if self.true[place] == self.predicted[place] else 'wrong'
        p = self.run.probs[place, self.predicted[place]]
        return f'{outcome}: true {true}, predicted {predicted} ({p:.0%})'

    def most_confused(self) -> str:
        "The most confused pair in a sentence; nothing where no picture is wrong."
        if not self.pairs: return ''
        true, predicted, n = self.pairs[0]
        return f'Most confused: {true} taken for {predicted}, {n} times.'

    def __repr__(self):
        wrong = int((self.true != self.predicted).sum())
        return f'{wrong} of {len(self.true)} validation pictures are wrong. {self.most_confused()} {self.not_measured_words}'.strip()

    # the two ways to show it

    @cached_property
    def widget(self) -> widgets.VBox:
        "The live side."
        return LiveErrors(self).box

    @cached_property
    def page(self) -> str:
        return error_page(self)

    def html(self) -> str:
        "The page side, which needs no kernel. Drawn once."
        return self.page

    def _repr_mimebundle_(self, **_):
        live = {'version_major': 2, 'version_minor': 0, 'model_id': self.widget.model_id}
        return {'application/vnd.jupyter.widget-view+json': live, 'text/html': self.html(), 'text/plain': repr(self)}


def analyse(
    run: Run,
    pics: Pictures,           # those the run was trained on
    layer: str | None=None,   # of Grad-CAM; None: `gradcam.target_layer`'s choice
) -> Errors:
    "Confusion matrix, classification report, 4×4 grid of true against predicted, and top losses. Raises `CourseError` where run and pictures do not belong together."
    n_classes = run.probs.shape[1]
    same_labels = np.array_equal(run.targets, pics.y[pics.valid])
    if not same_labels or n_classes != len(pics.classes):
        raise CourseError(f"These are not the pictures that the run was trained on: it has {len(run.targets)} validation pictures in {n_classes} classes, and here are {len(pics.valid)} in {len(pics.classes)}, or they are in another order.")
    return Errors(run, pics, layer)


# ---- galleries ----

def figure_html(image: np.ndarray, caption: str, alt: str) -> str:
    "A picture `(H, W, 3)` uint8 with a line below it. Caption and alt are text: they are escaped here."
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'webp', quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    img = f'<img alt="{html.escape(alt)}" style="width:100%;height:auto" src="data:image/webp;base64,{data}">'
    line = f'<figcaption style="font-size:.85em;overflow-wrap:anywhere">{html.escape(caption)}</figcaption>'
    return f'<figure style="margin:0">{img}{line}</figure>'


def gallery(
    images,        # `(H, W, 3)` uint8 each
    captions,      # a line for each
    alts,          # what each shows
    columns: str,  # CSS, inside `repeat()`
) -> str:
    "Pictures with a line under each, as HTML."
    figures = map(figure_html, images, captions, alts)
    style = f'display:grid;gap:.8em;grid-template-columns:repeat({columns});max-width:60em'
    return f'<div style="{style}">{"".join(figures)}</div>'


def maps_gallery(errors: Errors, places) -> str:
    "A gallery of validation pictures, each with its maps; without them, and a sentence, where the model has none."
    places = np.asarray(places, int)
    if not len(places): return '<p>No pictures.</p>'
    images = errors.images(places)
    captions = [f'{errors.file(k)}. {errors.words(k)}' for k in places]
    model = errors.run.model
    try:
        layer = errors.layer or target_layer(model, errors.pics.size)
        of_predicted = maps_of(model, images, errors.predicted[places], layer)
        of_true = maps_of(model, images, errors.true[places], layer)
    except CourseError as e:
        return f'<p>{html.escape(str(e))}</p>' + gallery(images, captions, captions, WIDE_COLUMNS)
    top = float(max(of_predicted.max(), of_true.max()))
    legend = (f'<p>Left the picture, middle the evidence for what was predicted, right that for the truth '
              f'(layer {html.escape(layer)}, one scale, yellow is {top:.2g}).</p>')
    tiles = map_tiles(images, of_predicted, of_true, top)
    alts = map_alts(errors, places, captions)
    return legend + gallery(tiles, captions, alts, WIDE_COLUMNS)


def map_tiles(
    images,        # `(N, size, size, 3)` uint8
    of_predicted,  # maps `(N, size, size)` for the predicted class
    of_true,       # and for the true one
    top: float,    # where the scale ends
) -> list:         # `(size, 3·size + 4, 3)` uint8 each
    "Each picture, and both of its maps beside it."
    gap = np.full((images.shape[1], 2, 3), 255, np.uint8)
    tiles = []
    for image, predicted_map, true_map in zip(images, of_predicted, of_true):
        left = overlay(image, predicted_map, top)
        right = overlay(image, true_map, top)
        tiles.append(np.hstack([image, gap, left, gap, right]))
    return tiles


def map_alts(errors: Errors, places, captions) -> list:
    "What each tile of `map_tiles` shows."
    alts = []
    predicted_names = errors.names(errors.predicted[places])
    true_names = errors.names(errors.true[places])
    for predicted, true, caption in zip(predicted_names, true_names, captions):
        alts.append(f'Left the picture; middle the evidence for {predicted}, as predicted; right that for {true}, the truth. {caption}')
    return alts


# ---- the matrix ----

def row_shares(errors: Errors) -> np.ndarray:  # `(n_classes, n_classes)` in [0, 1]
    "Each cell of the matrix as a share of its row."
    row_sums = errors.matrix.sum(axis=1).clip(lower=1)
    return errors.matrix.div(row_sums, axis=0).to_numpy()


def cell_colours(share: float) -> tuple[str, str]:
    "Background and text of a cell, as CSS: cividis, and black or white, whichever stands out."
    colour = matplotlib.colormaps['cividis'](float(share))
    r, g, b = [int(255 * channel) for channel in colour[:3]]
    brightness = .299 * r + .587 * g + .114 * b
    return f'#{r:02x}{g:02x}{b:02x}', '#000' if brightness > 128 else '#fff'


def escaped(value) -> str: return html.escape(str(value))


def matrix_html(errors: Errors) -> str:
    "The matrix as a table; with many classes as a picture and a table of the most confused pairs."
    if len(errors.matrix) > MOST_BUTTONS: return matrix_picture(errors) + pairs_table(errors)
    caption = 'True classes downwards, predicted ones to the right. Colour: share of the row.'
    heads = [f'<th scope="col">{escaped(name)}</th>' for name in errors.matrix.columns]
    rows = map(matrix_row, errors.matrix.index, errors.matrix.to_numpy(), row_shares(errors))
    return (f'<table><caption style="white-space:nowrap;text-align:left">{caption}</caption>'
            f'<thead><tr><td></td>{"".join(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table>')


def matrix_row(name: str, counts, shares) -> str:
    "A true class, and how often each class was predicted."
    cells = []
    for count, share in zip(counts, shares):
        background, text = cell_colours(share)
        cells.append(f'<td style="background:{background};color:{text};text-align:center;padding:.5em 1em">{count}</td>')
    return f'<tr><th scope="row">{escaped(name)}</th>{"".join(cells)}</tr>'


def matrix_picture(errors: Errors) -> str:
    "The matrix as a picture, a square for each cell."
    n_classes = len(errors.matrix)
    side = max(1, 480 // n_classes)
    square = np.ones((side, side, 1), np.uint8)
    picture = np.kron(heat(row_shares(errors), 0, 1), square)
    most_confused = errors.most_confused() or 'Nothing is confused.'
    alt = f'Confusion matrix of {n_classes} classes, true downwards, predicted to the right; a bright diagonal is right. {most_confused}'
    return show(picture, alt)._repr_mimebundle_()['text/html']


def pairs_table(errors: Errors, n: int=15) -> str:
    "The `n` most confused pairs."
    rows = [f'<tr><td>{escaped(true)}</td><td>{escaped(predicted)}</td><td>{count}</td></tr>' for true, predicted, count in errors.pairs[:n]]
    heads = [f'<th scope="col">{name}</th>' for name in ('true', 'predicted', 'pictures')]
    return (f'<table><caption>Most confused</caption><thead><tr>{"".join(heads)}</tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table>')


# ---- the page ----

def error_page(errors: Errors) -> str:
    "All of it as HTML that needs no kernel. No line is empty or indented: in Markdown either would end the HTML."
    parts = [
        f'<p>{html.escape(repr(errors))}</p>',
        matrix_html(errors),
        report_html(errors),
        examples_html(errors),
        '<p><b>Largest losses</b></p>' + maps_gallery(errors, errors.top_losses(8).place),
    ]
    lines = [line.strip() for line in '\n'.join(parts).split('\n')]
    body = '\n'.join(line for line in lines if line)
    return f'<div class="errors">\n{body}\n</div>'


def report_html(errors: Errors) -> str:
    "The classification report, of all classes or of the worst."
    table = errors.report
    note = ''
    if len(errors.matrix) > MOST_REPORT_ROWS:
        worst = table.iloc[:-2].sort_values('f1-score').head(10)
        table = pd.concat([worst, table.iloc[-2:]])
        note = ': the ten classes with the lowest f1, and the averages'
    short_names = {'f1-score': 'f1', 'support': 'pictures'}
    return (f'<p><b>Classification report</b>{note}</p>'
            + table.rename(columns=short_names).to_html(border=0, float_format='{:.3f}'.format))


def examples_html(errors: Errors, n: int=16) -> str:
    "Some validation pictures with their true and predicted class, drawn at random."
    places = np.sort(np.random.default_rng(0).permutation(len(errors.true))[:n])
    lines = [errors.words(k) for k in places]
    pictures = gallery(errors.images(places), lines, lines, '4,1fr')
    return f'<p><b>True against predicted</b>, drawn at random</p><div style="max-width:36em">{pictures}</div>'


# ---- the live side ----

class LiveErrors:
    "The matrix as buttons (or, with many classes, a list of pairs), and below it the pictures of the chosen cell."
    def __init__(self, errors: Errors):
        self.errors = errors
        self.panel = widgets.HTML(layout=widgets.Layout(min_height='16em'))
        has_buttons = len(errors.matrix) <= MOST_BUTTONS
        chooser = self.buttons() if has_buttons else self.dropdown()
        instruction = '<p>Choose a cell with the mouse, or with Tab and Enter.</p>'
        head = widgets.HTML(f'<p>{html.escape(repr(errors))}</p>{instruction}')
        foot = widgets.HTML(report_html(errors) + examples_html(errors))
        self.box = widgets.VBox([head, chooser, self.panel, foot])
        self.show_first()

    def show_first(self):
        "Begins with the most confused pair, or where nothing is wrong with the first class."
        classes = self.errors.pics.classes
        true, predicted = classes[0], classes[0]
        if self.errors.pairs: true, predicted, _ = self.errors.pairs[0]
        self.show_cell(classes.index(true), classes.index(predicted))

    def buttons(self) -> widgets.GridBox:
        "A button for each cell."
        matrix = self.errors.matrix
        shares = row_shares(self.errors)
        cells = [bold('true, and predicted →'), *map(bold, matrix.columns)]
        for i, name in enumerate(matrix.index):
            cells.append(bold(name))
            cells += [self.button(i, j, shares[i, j]) for j in range(len(matrix))]
        layout = widgets.Layout(grid_template_columns=f'max-content repeat({len(matrix)}, minmax(4em, 9em))', grid_gap='3px',
                                max_width='100%', overflow='auto')
        return widgets.GridBox(cells, layout=layout)

    def button(self, i: int, j: int, share: float) -> widgets.Button:
        "The button of the cell with true class `i`, predicted class `j`."
        matrix = self.errors.matrix
        background, text = cell_colours(share)
        button = widgets.Button(
            description=str(matrix.iloc[i, j]),
            tooltip=f'true {matrix.index[i]}, predicted {matrix.columns[j]}',
            layout=widgets.Layout(width='auto'),
            style=dict(button_color=background, text_color=text),
        )
        button.on_click(lambda _: self.show_cell(i, j))
        return button

    def dropdown(self) -> widgets.Dropdown:
        "A list of the most confused pairs."
        place = self.errors.pics.classes.index
        options = []
        for true, predicted, n in self.errors.pairs[:50]:
            options.append((f'{true}, taken for {predicted}: {n}', (place(true), place(predicted))))
        layout = widgets.Layout(width='auto', max_width='40em')
        dropdown = widgets.Dropdown(options=options, description='confused', layout=layout)
        dropdown.observe(lambda change: self.show_cell(*change['new']), 'value')
        return dropdown

    def show_cell(self, i: int, j: int):
        "Puts the pictures of a cell into the panel, those with the largest loss first."
        places = self.errors.cell(i, j)
        true, predicted = self.errors.names([i, j])
        end = f', the {CELL_PICTURES} with the largest loss.' if len(places) > CELL_PICTURES else '.'
        message = f'True {true}, predicted {predicted}: {len(places)} pictures{end}'
        status = f'<div role="status" aria-live="polite"><b>{html.escape(message)}</b></div>'
        self.panel.value = status + maps_gallery(self.errors, places[:CELL_PICTURES])


def bold(value) -> widgets.HTML: return widgets.HTML(f'<b>{escaped(value)}</b>')
