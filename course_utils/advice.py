"""Look for trouble in a folder of pictures before you train, get a recipe that fits, and take the model away as one file that needs no course."""
import html, math, os, re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import nbformat, numpy as np, pandas as pd

from course_utils.config import CourseError, data_dir, profile, write_whole
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.models import create_model
from course_utils.techniques.export import free_stem, standalone
from course_utils.techniques.near_duplicates import leaked, near_pairs, plural, too_many
from course_utils.techniques.scaling import costs
from course_utils.techniques.transfer import map_sizes
from course_utils.training.learner import default_device

SIGNS = {'trouble': ('✗', '#D55E00'), 'note': ('!', '#E69F00'), 'fine': ('✓', '#009E73')}


@dataclass
class Finding:
    "One thing that was looked at."
    name: str
    level: str  # out of `SIGNS`
    found: str  # with numbers
    means: str
    does: str   # what the recipe does about it


def at_level(trouble, note=False) -> str: return 'trouble' if trouble else 'note' if note else 'fine'


def some(names, n=3) -> str: return '; '.join(map(str, list(names)[:n])) + (f'; and {len(names) - n} more' if len(names) > n else '')


def shown_path(path) -> str: return '/'.join(Path(path).parts[-2:])

SMALL, UNEVEN = 200, 3  # training pictures; how many times the rarest class the most frequent one has


def on_counts(pics: Pictures) -> list:
    "Are there enough pictures, in each class, and to hold out?"
    train, valid = (np.bincount(pics.y[i], minlength=len(pics.classes)) for i in (pics.train, pics.valid))
    (most, n_most), (least, n_least) = ((f"'{pics.classes[k]}'", train[k]) for k in (train.argmax(), train.argmin()))
    ratio, half = n_most / max(1, n_least), 1.96 * math.sqrt(.8 * .2 / max(1, valid.sum()))
    head_only = 'only the head is trained: on so few pictures the body gets worse more easily than better.'
    return [
        Finding('few pictures', at_level(n_least < 50, n_least < 100),
                f"{plural(train.sum(), 'training picture')} in {len(train)} classes; the fewest, {n_least}, are of {least}.",
                'Under 100 a class, a large network learns them by heart.' if n_least < 100 else 'Enough to begin with.',
                f"Starts from ImageNet weights; {head_only if train.sum() < SMALL else 'half of the epochs train the head alone.'}"),
        Finding('balance', at_level(ratio >= UNEVEN, ratio >= 1.5),
                f'{most} has {n_most} training pictures, {least} {n_least}: {ratio:.1f} to 1. Always saying {most} is right in {pics.majority:.1%}.',
                'Accuracy hides the rare class (lesson 10).' if ratio >= 1.5 else 'Accuracy is a fair number here.',
                f"{'Weighs the classes in the loss' if ratio >= UNEVEN else 'Does not weigh the classes'}, and reports balanced accuracy."),
        Finding('held out', at_level(half > .1 or valid.min() < 5, half > .05),
                f"{plural(valid.sum(), 'picture')} held out, {valid.min()} of '{pics.classes[valid.argmin()]}'.",
                f'A true accuracy of 80 % would be measured within ±{half:.0%}, nineteen times out of twenty. Smaller differences cannot be told.',
                'Reports every accuracy with its interval.')]


def file_sizes(pics: Pictures) -> np.ndarray:  # `(N, 2)`: shorter and longer side in the file
    "Sizes as they were found, in no order."
    return np.array([sorted(map(int, size.split('×'))) for size, n in pics.found.sizes.items() for _ in range(n)])


def on_files(pics: Pictures) -> list:
    "What could not be read; sizes and shapes."
    bad, (short, long) = pics.found.unreadable, file_sizes(pics).T
    which = f": {some([f'{shown_path(p)} ({why})' for p, why in bad.items()])}" if bad else ''
    small, lost = np.median(short) < 64, 1 - short / long
    return [
        Finding('unreadable', at_level(bad), f"{plural(len(bad), 'file')} could not be read{which}.",
                'Perhaps a download that broke off, or no picture.' if bad else 'Every file is a picture.', 'Leaves them out.' if bad else 'Nothing.'),
        Finding('size', at_level(False, small),
                f'The shorter side has {np.median(short):.0f} pixels in the median, {short.min()} to {short.max()}.',
                'They are enlarged, which adds no detail.' if small else 'There is detail enough for the size chosen below.',
                'Takes no larger input than the median, and 64 pixels at least.'),
        Finding('shape', at_level(False, np.median(lost) > .3 or (lost > .4).mean() > .1),
                f'Cutting out the centre square loses {lost.mean():.0%} of a picture in the mean, {lost.max():.0%} at most.',
                'Is what matters in the centre?' if lost.any() else 'They are square.',
                'Cuts, as every lesson does. Where the edges matter, pad the files to squares first.' if lost.any() else 'Nothing.')]


def on_copies(pics: Pictures, pairs: pd.DataFrame) -> list:
    "Near-duplicates: across the split, within a part, and with two names."
    leaks, within, odd, file = leaked(pics, pairs), pairs[~pairs.across], pairs[~pairs.same_class], lambda i: shown_path(pics.table.path[i])
    names = lambda t: f": {some([f'{file(r.a)} and {file(r.b)} ({r.distance} bits)' for r in t.itertuples()])}" if len(t) else ''
    return [
        Finding('leakage', at_level(len(leaks)),
                f'{len(leaks)} of {len(pics.valid)} held-out pictures have a near-copy among the training pictures{names(pairs[pairs.across])}.',
                'If they are copies, the network may know them by heart, and the accuracy be too good.' if len(leaks) else
                'None of the kinds that the hash finds. It misses crops, mirrored copies, and other photographs of the same thing.',
                too_many(pics, leaks) or ('Leaves them out of the held-out pictures.' if len(leaks) else 'Looks again before it trains.')),
        Finding('copies', at_level(False, len(within)), f"{plural(len(within), 'pair')} of near-duplicates within a part{names(within)}.",
                'What is there twice counts twice.' if len(within) else 'Every picture counts once.',
                'Leaves them. Delete the files that you do not want twice.' if len(within) else 'Nothing.'),
        Finding('two names', at_level(len(odd)), f"{plural(len(odd), 'pair')} of near-duplicates in two classes{names(odd)}.",
                'A label is wrong, or what tells the classes apart is smaller than the hash can see.' if len(odd) else 'No contradiction was found.',
                'Leaves them. Look at them, and move the files.' if len(odd) else 'Nothing.')]


def greys(x) -> np.ndarray:  # `(N,)` bool
    "Which pictures have no colour: red, green and blue differ by under four grey values in the mean."
    return np.array([(p.max(2).astype(int) - p.min(2)).mean() < 4 for p in x], bool)


def on_colour(pics: Pictures) -> list:
    "Colour or grey; and whether that gives a class away."
    grey = greys(pics.x)
    share = np.array([grey[pics.y == k].mean() for k in range(len(pics.classes))])
    of = ', ' + ' and '.join(f"{share[k]:.0%} of '{pics.classes[k]}'" for k in (share.argmax(), share.argmin())) if np.ptp(share) else ''
    shortcut = np.ptp(share) > .3
    means = ('Classes can be told apart by colour alone: a shortcut that fails on new pictures (lesson 07).' if shortcut else
             'The three channels are equal, which ImageNet weights can live with.' if grey.all() else
             'Some are grey, in every class.' if grey.any() else 'All are in colour.')
    return [Finding('colour', at_level(shortcut, grey.any()), f'{grey.mean():.0%} of the pictures are grey{of}.', means,
                    f"Changes brightness and contrast a little, {'not' if grey.any() else 'and'} colours.")]

SIDES = {'left', 'right', 'links', 'rechts', 'up', 'down', 'top', 'bottom', 'north', 'south', 'east', 'west', 'clockwise', 'forward', 'backward'}


def on_flips(classes) -> Finding:
    "Whether a mirrored picture keeps its class. No program can know."
    words = {w for c in classes for w in re.findall(r'[^\W_]+', c.lower())} & SIDES
    signs = [c for c in classes if len(c) == 1]
    if words: found = f'Names of classes speak of sides: {some(sorted(words))}.'
    elif len(signs) > 1: found = f'Classes look like letters or digits: {some(signs)}.'
    else:
        return Finding('flips', 'note', 'Nothing in the names of the classes speaks of left and right.',
                       'Whether a mirrored picture keeps its class cannot be seen in pixels. With text, hands and clocks it does not.',
                       "Flips left and right, never upside down. Set 'horizontal flip' to 0 where that is wrong; add 'rotation by 90°' for pictures from above.")
    return Finding('flips', 'trouble', found, 'A mirrored picture may belong to another class.', 'Does not flip.')


def on_maps(size: int, arch: str) -> Finding:
    "What is left of the picture at the network's end."
    h, w = map_sizes(arch, size)[-1][2:]
    small = min(h, w) < 4
    return Finding('feature map', at_level(False, small), f'At {size}×{size} pixels {arch} ends in maps of {h}×{w}.',
                   'Under 4×4, the last stages have little left to look at (lesson 02).' if small else
                   f'Each of the {h * w} places looks at its own part of the picture.',
                   'Takes the largest size that is trained in the minutes given.')


def make_recipe(pics: Pictures, minutes: float, arch='tf_efficientnet_lite0') -> dict:
    "Settings for these pictures. The input is as large as they are, and as `minutes` of training allow: a step is timed."
    name, n, counts = profile().name, len(pics.train), np.bincount(pics.y[pics.train])
    bs = 32 if n >= SMALL else 16
    steps, fewest, most = dict(smoke=(30, 1, 4), cpu=(360, 3, 12), gpu=(1500, 3, 30))[name]
    half = int(np.clip(round(steps / max(1, n // bs) / 2), fewest, most))  # of the epochs
    at, few = (64, 8) if default_device().type == 'cpu' else (224, bs)  # with little to do a GPU is not at work
    step_s = costs(create_model(arch, len(pics.classes), pretrained=False).to(default_device()), at, bs=few, n=2)['step_ms'] / 1000
    takes = lambda size: n * half * 1.4 * step_s * (size / at)**2 / 60  # an epoch of the head costs under half of one of all
    short = np.median(file_sizes(pics)[:, 0])
    size = max([64] + [s for s in (96, 128, 160, 192, 224) if s <= short and takes(s) <= minutes and name != 'smoke'])
    # In so few steps, BatchNorm's statistics get halfway from ImageNet's to those of a small batch, and the answers get worse: the body stays as it is.
    epochs = dict(epochs=0, freeze_epochs=2 * half) if n < SMALL else dict(epochs=half, freeze_epochs=half)
    augment = {'brightness and contrast': .2}
    if on_flips(pics.classes).level != 'trouble': augment['horizontal flip'] = .5
    if not greys(pics.x).any(): augment['RGB shift'] = .2
    weights = bool(counts.max() >= UNEVEN * max(1, counts.min()))
    return dict(arch=arch, size=size, **epochs, lr_max=2e-3, bs=bs, augment=augment, weights=weights, minutes=round(takes(size), 1))


@dataclass
class Advice:
    "What `recommend` found, the recipe, and the notebook it wrote. Shows itself as a table."
    name: str
    findings: list
    recipe: dict
    pairs: pd.DataFrame
    pics: Pictures
    notebook: Path | None=None
    said: str=''

    def __getitem__(self, name) -> Finding: return next(f for f in self.findings if f.name == name)
    @property
    def troubles(self) -> list: return [f.name for f in self.findings if f.level == 'trouble']
    @property
    def head(self) -> str:
        which = f": {', '.join(self.troubles)}" if self.troubles else ''
        return f"{self.name}: {plural(len(self.pics), 'picture')}, {plural(len(self.troubles), 'trouble')}{which}."
    @property
    def recipe_words(self) -> str:
        r, then = self.recipe, f" and {self.recipe['epochs']} of all" if self.recipe['epochs'] else ''
        return (f"{r['arch']} at {r['size']}×{r['size']} pixels; {plural(r['freeze_epochs'], 'epoch')} of the head alone{then}; "
                f"batches of {r['bs']}, highest rate {r['lr_max']:g}; {', '.join(f'{k} {p:g}' for k, p in r['augment'].items())}"
                f"{'; classes weighed' if r['weights'] else ''}. "
                f"About {r['minutes']:g} minutes on this machine, from a timed step.")
    def __repr__(self):
        rows = [f'{SIGNS[f.level][0]} {f.name}: {f.found} {f.means} The recipe: {f.does}' for f in self.findings]
        return '\n'.join([self.head, *rows, f'Recipe: {self.recipe_words}', *filter(None, [self.said])])
    def _repr_html_(self):
        esc, left = html.escape, 'style="text-align:left;vertical-align:top"'
        def row(f):
            sign, colour = SIGNS[f.level]
            th = f'<th scope="row" {left}><span style="color:{colour}">{sign}</span> {esc(f.name)}<br><small>{f.level}</small></th>'
            return f"<tr>{th}{''.join(f'<td {left}>{esc(v)}</td>' for v in (f.found, f.means, f.does))}</tr>"
        columns = ''.join(f'<th scope="col" {left}>{c}</th>' for c in ('looked at', 'found', 'what it means', 'what the recipe does'))
        frame = 'border:1px solid #8886;border-left:4px solid #0072B2;border-radius:6px;padding:.6em 1em;margin:.5em 0;max-width:72em;overflow-wrap:anywhere'
        return (f'<div class="course-card" style="{frame}"><table><caption style="text-align:left"><b>{esc(self.head)}</b></caption>'
                f"<thead><tr>{columns}</tr></thead><tbody>{''.join(map(row, self.findings))}</tbody></table><p><b>Recipe</b> · {esc(self.recipe_words)}</p>"
                f'<p>{esc(self.said)}</p></div>')


def recommend(
    folder: str | Path | None=None,  # a folder of class folders, or the name of a fetched data set; None reads `COURSE_DATA`
    write: bool=True,                # write the starting notebook into the folder
    minutes: float | None=None,      # that a training may take; None: 5, at profile smoke less
) -> Advice:
    "Looks for trouble in a folder, and writes a recipe for it. Raises `CourseError` where there is nothing to learn from, or nowhere to write."
    if not isinstance(folder, str | Path | None):
        raise CourseError(f"recommend was given a {type(folder).__name__}, but it looks at files: give it the path of the folder of your pictures.")
    source = str(folder or os.environ.get('COURSE_DATA') or 'solar')
    place = Path(source).expanduser() if Path(source).expanduser().is_dir() else data_dir()/source
    if write and not place.is_dir():
        raise CourseError(f"'{source}' is no folder, so no recipe can be written into it: give recommend the folder of your pictures, or write=False.")
    pics = load_pictures(source, size=64)
    pairs = near_pairs(pics)
    recipe = make_recipe(pics, minutes or profile().pick(smoke=.5, cpu=5))
    findings = on_counts(pics) + on_files(pics) + on_copies(pics, pairs) + on_colour(pics)
    findings += [on_maps(recipe['size'], recipe['arch']), on_flips(pics.classes)]
    advice = Advice(pics.name, findings, recipe, pairs, pics)
    if write: write_notebook(advice, place)
    return advice

RECIPE = '''
=== text
# $name: a starting recipe

Written by `recommend`. It lies in the folder of the pictures and can go where they go. Run all cells; then change one thing at a time.
=== text
## What was found

$findings
=== code
from pathlib import Path

from course_utils.augment import pipeline
from course_utils.data import load_pictures
from course_utils.dataset_shift import BalancedLoss
from course_utils.errors import analyse
from course_utils.report import curves, interval, right
from course_utils.train import train
from course_utils.transfer import FreezeBatchNorm
from course_utils.your_pictures import export, leaked, leave_out, probabilities
=== code
FOLDER = Path.cwd()  # of the pictures, where this notebook lies
pics = load_pictures(FOLDER, size=$size)
print(pics.report())
pics.counts()
=== text
Held-out pictures with a near-copy among the training pictures are left out: they could make the accuracy too good.
=== code
leaks = leaked(pics)
print(f'{len(leaks)} of {len(pics.valid)} held-out pictures have a near-copy among the training pictures.')
pics = leave_out(pics, leaks)
pics.counts()
=== text
## Training

No program can know whether a mirrored picture keeps its class. If it does not, set the flip to 0.
=== code
tfm = pipeline($augment)
run = train(pics, '$arch', $epochs, lr_max=$lr_max, freeze_epochs=$freeze_epochs, bs=$bs,
            pretrained=True, tfm=tfm, cbs=[$cbs])
run
=== code
curves(run, pics.majority)
=== text
## What it is worth
=== code
errors = analyse(run, pics)
low, high = interval(right(run))
print(f'Accuracy {run.accuracy:.1%} ({low:.1%} to {high:.1%}) on {len(run.targets)} held-out pictures.')
print(f'Always saying the most frequent class: {pics.majority:.1%}.')
print(f"Balanced accuracy {errors.report.recall['macro avg']:.1%}; guessing would give {1 / len(pics.classes):.1%}.")
=== text
Which classes are confused, and the pictures with the largest loss:
=== code
errors
=== text
## Take it with you

Three files beside this notebook: the weights (`.pt`), the model with labels and normalisation (`.onnx`), and the same facts as text (`.json`).
=== code
exported = export(run, pics, FOLDER)
exported
=== code
# six held-out pictures stand in for new ones; what does the model say?
model_file, places = exported['onnx'], pics.valid[:6]
files, expected = list(pics.table.path.iloc[places]), probabilities(run.model, pics.x[places])
=== text
## New pictures, from the file alone

The next cell needs NumPy, Pillow and ONNX Runtime, and nothing of the course: take it and the `.onnx` file anywhere.
=== code
$standalone
=== code
labels, probs = classify(model_file, files)
for file, p in zip(files, probs): print(os.path.basename(file), '→', labels[p.argmax()], f'{p.max():.0%}')
print(f'Largest difference from the model: {abs(probs - expected).max():.1e}')
assert abs(probs - expected).max() < 1e-4
'''


def recipe_notebook(advice: Advice):
    "The notebook. Names and findings are text in it: none of their characters is Markdown or HTML."
    plain = lambda s: re.sub(r'([\\\\`*_\[\]()#$|!~<>&])', r'\\\1', s).replace('\n', ' ')
    findings = '\n'.join(f'- {SIGNS[f.level][0]} **{f.name}** {plain(f.found)} {plain(f.means)} *{plain(f.does)}*' for f in advice.findings)
    cbs = 'FreezeBatchNorm, BalancedLoss' if advice.recipe['weights'] else 'FreezeBatchNorm'
    cells = []
    for part in RECIPE.split('\n=== ')[1:]:
        kind, text = part.split('\n', 1)  # filled in after the split: a name cannot begin a cell
        text = Template(text.strip()).substitute(advice.recipe, name=plain(advice.name), findings=findings, cbs=cbs, standalone=standalone())
        cells.append(nbformat.v4.new_markdown_cell(text) if kind == 'text' else nbformat.v4.new_code_cell(text))
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')))


def write_notebook(advice: Advice, folder: Path):
    "Writes `recipe.ipynb`, or where that is taken `recipe-2.ipynb`, and so on. One that is there with the same content is not written again."
    nb = recipe_notebook(advice)
    for k, cell in enumerate(nb.cells): cell.id = f'recipe-{k}'  # nbformat draws them at random
    text = nbformat.writes(nb) + '\n'
    try:
        same = next((p for p in sorted(folder.glob('recipe*.ipynb')) if p.read_text(encoding='utf-8', errors='replace') == text), None)
        advice.notebook = same or folder/f"{free_stem(folder, 'recipe', ['ipynb'])}.ipynb"
        if not same: write_whole(advice.notebook, text)
    except OSError as e: raise CourseError(f"The recipe could not be written into {folder} ({e.strerror or e}): allow it there, or write=False.") from None
    taken = '' if same or advice.notebook.stem == 'recipe' else 'recipe.ipynb was there already and is left as it is. '
    advice.said = f"{taken}A notebook that does all this {'lies in' if same else 'was written into'} the folder: {advice.notebook.name}."
