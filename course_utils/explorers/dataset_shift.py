"""A rare class, pictures from elsewhere, another light, too few different pictures: measure each, and know what helps."""
import numpy as np, pandas as pd

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.dataset_shift import relight
from course_utils.techniques.imbalance import alarm_cost, rates


def framed(x, colour=(213, 94, 0)) -> np.ndarray:
    "The picture with a frame."
    x, k = x.copy(), max(2, len(x) // 12)
    x[:k], x[-k:], x[:, :k], x[:, -k:] = [colour] * 4
    return x


def rare_explorer(
    pics: Pictures, rare: int,
    measured: pd.DataFrame,  # a row for each position: accuracy, recall, balanced_accuracy, always, pictures
    slider: Slider,          # named `per_100`; its positions are the rows
    n: int=60,               # training pictures shown
) -> Explorer:
    "What happens as a class gets rare: training pictures in that proportion, and the measured rates."
    canvas = Canvas((0, slider.max + .5), (0, 1.04), f'pictures of {pics.classes[rare]} for 100 of another class', 'share', height=250)
    y = pics.y[pics.train]
    few, many = pics.train[y == rare], pics.train[y != rare]
    many, spots = np.random.default_rng(0).permutation(many), np.random.default_rng(1).permutation(n)
    def draw(per_100):
        r = measured.loc[per_100]
        shown, found, k = [pics.x[i] for i in np.resize(many, n)], round(100 * r.recall), round(n * (1 - r.always))
        for spot, i in zip(spots[:k], np.resize(few, k)): shown[spot] = framed(pics.x[i])
        colours = dict(accuracy='#0072B2', recall='#D55E00', balanced_accuracy='#009E73')
        lines = [(measured.index, measured[c], colour, 2) for c, colour in colours.items()]
        says = (f'{round(r.pictures)} training pictures of {pics.classes[rare]}, {1 - r.always:.1%} of all. Accuracy {r.accuracy:.1%}; '
                f'never naming {pics.classes[rare]} would give {r.always:.1%}. Of 100 such pictures it finds {found} and misses {100 - found}. '
                f'Balanced accuracy {r.balanced_accuracy:.1%}.')
        return np.vstack([grid(shown, 15, cell=44), canvas.draw(lines, [(per_100, '#6b6b6b', '')])]), says
    return Explorer(draw, [slider], title='Accuracy (blue), recall of the rare class (orange), balanced accuracy (green)',
                    alt=f'{n} training pictures, those of the rare class framed, and three rates against its share.')


def threshold_explorer(p, hit, weight=None, name='the rare class') -> Explorer:
    "Sliders for the threshold and the price of a miss: precision, recall and cost."
    canvas, at = Canvas((0, 1), (0, 1.5), 'threshold', 'share', height=260), np.arange(.01, 1, .01)
    w = np.full(len(p), 1 / len(p)) if weight is None else weight
    rows = [rates((p >= t).astype(int), hit.astype(int), 1, w) for t in at]
    def draw(threshold, miss):
        cost, now = [alarm_cost(p, hit, t, miss, w) for t in at], rates((p >= threshold).astype(int), hit.astype(int), 1, w)
        alarms, missed = (1000 * w[part].sum() for part in (~hit & (p >= threshold), hit & (p < threshold)))
        lines = [(at, cost, '#0072B2', 2), (at, [r['recall'] for r in rows], '#D55E00', 1), (at, [r['precision'] for r in rows], '#009E73', 1)]
        says = (f"Of 1,000 pictures {alarms:.0f} are false alarms and {missed:.0f} are misses: recall {now['recall']:.0%}, "
                f"accuracy {now['accuracy']:.1%}. Cost: {alarm_cost(p, hit, threshold, miss, w):.2f} of never naming {name}. "
                f"Best on these pictures: {at[int(np.argmin(cost))]:.2f}; by the formula: {1 / (1 + miss):.2f}.")
        return canvas.draw(lines, [(threshold, '#6b6b6b', 'threshold'), (1 / (1 + miss), '#CC79A7', '1/(1+k)')]), says
    sliders = [Slider('threshold', 'threshold', .01, .99, .01, .5), Slider('miss', 'false alarms that one miss is worth', 1, 50, 1, 4)]
    return Explorer(draw, sliders, title='Cost (blue; 1 is never raising an alarm), recall (orange), precision (green)',
                    alt='Cost, recall and precision against the threshold.')


def lighting_explorer(
    pictures,   # `(H, W, 3)` uint8 each
    measured,   # brightness → a dict with `told_apart` and, for each network, (accuracy, confidence)
    names,      # of two networks
) -> Explorer:
    "Pictures in another light, and what was measured there."
    places = sorted(measured)
    canvas = Canvas((places[0] - .02, places[-1] + .02), (0, 1.04), 'brightness', 'share', height=240)
    colours = ('#0072B2', '#D55E00')
    def draw(at):
        v = places[at]
        lines = [(places, [measured[p][n][k] for p in places], c, 2 - k) for n, c in zip(names, colours) for k in (0, 1)]
        lines.append((places, [measured[p]['told_apart'] for p in places], '#009E73', 2))
        each = '; '.join(f'{n}: accuracy {measured[v][n][0]:.1%}, confidence {measured[v][n][1]:.1%}' for n in names)
        says = f"Brightness {v:+.2f}. {each}. A classifier tells this light from that of training with AUC {measured[v]['told_apart']:.2f}."
        return np.vstack([grid([relight(x, brightness=v) for x in pictures], 8, cell=86), canvas.draw(lines, [(v, '#6b6b6b', '')])]), says
    return Explorer(draw, [Slider('at', 'brightness, from dark to bright', 0, len(places) - 1, 1, len(places) // 2)],
                    title=f'Accuracy (thick) and confidence (thin): {names[0]} blue, {names[1]} orange. AUC: green',
                    alt='Pictures in another light, above accuracy, confidence and AUC against brightness.')
