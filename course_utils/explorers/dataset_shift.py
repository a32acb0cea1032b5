"""The sliders of lesson 10: how rare a class is, where an alarm is raised, and in which light the pictures were taken."""
import numpy as np, pandas as pd

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import add_border, grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, GREEN, GREY, ORANGE, PINK
from course_utils.techniques.dataset_shift import relight
from course_utils.techniques.imbalance import alarm_cost, class_rates


def rare_explorer(
    pics: Pictures, rare: int,
    measured: pd.DataFrame,  # a row for each position: accuracy, recall, balanced_accuracy, always, pictures
    slider: Slider,          # named `per_100`; its positions are the rows
    n: int=60,               # training pictures shown
) -> Explorer:
    "What happens as a class gets rare: training pictures in that proportion, and the measured rates."
    name = pics.classes[rare]
    xlabel = f'pictures of {name} for 100 of another class'
    canvas = Canvas((0, slider.max + .5), (0, 1.04), xlabel, 'share', height=250)
    lines = [
        (measured.index, measured.accuracy, BLUE, 2),
        (measured.index, measured.recall, ORANGE, 2),
        (measured.index, measured.balanced_accuracy, GREEN, 2),
    ]
    is_rare = pics.y[pics.train] == rare
    rare_places = pics.train[is_rare]
    common_places = np.random.default_rng(0).permutation(pics.train[~is_rare])
    spots = np.random.default_rng(1).permutation(n)  # of the grid, in the order in which the rare class takes them

    def training_pictures(n_rare):
        shown = [pics.x[place] for place in np.resize(common_places, n)]
        rare = np.resize(rare_places, n_rare)
        for spot, place in zip(spots, rare): shown[spot] = add_border(pics.x[place])
        return grid(shown, 15, cell=44)

    def draw(per_100):
        row = measured.loc[per_100]
        found = round(100 * row.recall)
        pictures = training_pictures(round(n * (1 - row.always)))
        curves = canvas.draw(lines, [(per_100, GREY, '')])
        return np.vstack([pictures, curves]), (
            f'{round(row.pictures)} training pictures of {name}, {1 - row.always:.1%} of all. Accuracy {row.accuracy:.1%}; '
            f'never naming {name} would give {row.always:.1%}. Of 100 such pictures it finds {found} and misses {100 - found}. '
            f'Balanced accuracy {row.balanced_accuracy:.1%}.')

    return Explorer(draw, [slider], title='Accuracy (blue), recall of the rare class (orange), balanced accuracy (green)',
                    alt=f'{n} training pictures, those of the rare class framed, and three rates against its share.')


def threshold_explorer(
    p,                           # `(N,)` probability of the rare class
    hit,                         # `(N,)` bool: whether a picture is of it
    weight=None,                 # `(N,)` of each picture, with the sum 1; None: equal
    name: str='the rare class',
) -> Explorer:
    "Sliders for the threshold and the price of a miss: precision, recall and cost."
    canvas = Canvas((0, 1), (0, 1.5), 'threshold', 'share', height=260)
    thresholds = np.arange(.01, 1, .01)
    weight = np.full(len(p), 1 / len(p)) if weight is None else weight

    def rates_with(threshold):
        alarm = (p >= threshold).astype(int)
        return class_rates(alarm, hit.astype(int), 1, weight)

    rows = [rates_with(threshold) for threshold in thresholds]
    recall = [row['recall'] for row in rows]
    precision = [row['precision'] for row in rows]

    def draw(threshold, miss):
        cost = [alarm_cost(p, hit, t, miss, weight) for t in thresholds]
        now = rates_with(threshold)
        false_alarms = 1000 * weight[~hit & (p >= threshold)].sum()
        misses = 1000 * weight[hit & (p < threshold)].sum()
        formula = 1 / (1 + miss)
        lines = [
            (thresholds, cost, BLUE, 2),
            (thresholds, recall, ORANGE, 1),
            (thresholds, precision, GREEN, 1),
        ]
        marks = [(threshold, GREY, 'threshold'), (formula, PINK, '1/(1+k)')]
        return canvas.draw(lines, marks), (
            f"Of 1,000 pictures {false_alarms:.0f} are false alarms and {misses:.0f} are misses: recall {now['recall']:.0%}, "
            f"accuracy {now['accuracy']:.1%}. Cost: {alarm_cost(p, hit, threshold, miss, weight):.2f} of never naming {name}. "
            f"Best on these pictures: {thresholds[int(np.argmin(cost))]:.2f}; by the formula: {formula:.2f}.")

    sliders = [
        Slider('threshold', 'threshold', .01, .99, .01, .5),
        Slider('miss', 'false alarms that one miss is worth', 1, 50, 1, 4),
    ]
    return Explorer(draw, sliders, title='Cost (blue; 1 is never raising an alarm), recall (orange), precision (green)',
                    alt='Cost, recall and precision against the threshold.')


def lighting_explorer(
    pictures,   # `(H, W, 3)` uint8 each
    measured,   # brightness → a dict with `told_apart` and, for each network, (accuracy, confidence)
    names,      # of two networks
) -> Explorer:
    "Pictures in another light, and what was measured there."
    lights = sorted(measured)
    xlim = lights[0] - .02, lights[-1] + .02
    canvas = Canvas(xlim, (0, 1.04), 'brightness', 'share', height=240)
    lines = []
    for name, colour in zip(names, (BLUE, ORANGE)):
        accuracy = [measured[light][name][0] for light in lights]
        confidence = [measured[light][name][1] for light in lights]
        lines += [(lights, accuracy, colour, 2), (lights, confidence, colour, 1)]
    auc = [measured[light]['told_apart'] for light in lights]
    lines.append((lights, auc, GREEN, 2))

    def words(name, light):
        accuracy, confidence = measured[light][name]
        return f'{name}: accuracy {accuracy:.1%}, confidence {confidence:.1%}'

    def draw(place):
        light = lights[place]
        relit = [relight(picture, brightness=light) for picture in pictures]
        curves = canvas.draw(lines, [(light, GREY, '')])
        networks = '; '.join(words(name, light) for name in names)
        tiles = grid(relit, 8, cell=86)
        return np.vstack([tiles, curves]), (
            f"Brightness {light:+.2f}. {networks}. "
            f"A classifier tells this light from that of training with AUC {measured[light]['told_apart']:.2f}.")

    last = len(lights) - 1
    slider = Slider('place', 'brightness, from dark to bright', 0, last, 1, len(lights) // 2)
    return Explorer(draw, [slider],
                    title=f'Accuracy (thick) and confidence (thin): {names[0]} blue, {names[1]} orange. AUC: green',
                    alt='Pictures in another light, above accuracy, confidence and AUC against brightness.')
