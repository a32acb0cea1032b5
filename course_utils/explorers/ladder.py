"""The slider of lesson 09: it climbs the ladder, a technique a rung."""
import matplotlib.pyplot as plt, numpy as np
from matplotlib.ticker import PercentFormatter

from course_utils.report.stats import gains
from course_utils.show.draw import figure_to_pixels
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, ORANGE


def draw_rungs(
    seeds: dict,   # name → `Seeds`, bottom first
    last: int,     # the last rung drawn, from 0
) -> np.ndarray:   # `(H, W, 3)` uint8
    "Accuracy of each rung with its interval; those above `last` are left out."
    levels = np.array([s.accuracy for s in seeds.values()])  # a row a rung: mean, low, high
    fig, ax = plt.subplots(figsize=(8, .8 + .36 * len(seeds)), dpi=96)
    for rung, (mean, low, high) in enumerate(levels[:last + 1]):
        colour = BLUE if rung < last else ORANGE
        to_ends = [[mean - low], [high - mean]]
        ax.errorbar(mean, rung, xerr=to_ends, fmt='o', capsize=4, color=colour)
    left = levels[:, 1].min() - .01
    right = levels[:, 2].max() + .01
    ax.set(xlabel='validation accuracy', xlim=(left, right))
    ax.set(yticks=range(len(seeds)), yticklabels=seeds, ylim=(-.6, len(seeds) - .4))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis='y', visible=False)
    return figure_to_pixels(fig)


def ladder_explorer(
    seeds: dict,  # name → `Seeds`, bottom first
) -> Explorer:
    "A slider that climbs: the accuracy reached, and what the rung added."
    names = list(seeds)
    rungs_and_those_below = list(zip(names[1:], names))
    steps = gains(seeds, rungs_and_those_below).droplevel('against')

    def draw(rung):
        name = names[rung]
        accuracy = seeds[name].right.mean()
        minutes = seeds[name].seconds / 60
        reached = f'{name}: {accuracy:.1%} of the held-out pictures are named right, after {minutes:.1f} minutes. '
        if not rung: return draw_rungs(seeds, 0), reached + 'The ladder starts here.'
        step = steps.loc[name]
        added = f'This rung added {step.gain:+.1%} ({step.low:+.1%} to {step.high:+.1%}).'
        return draw_rungs(seeds, rung), reached + added

    slider = Slider('rung', 'rung', 0, len(names) - 1, 1, 0)
    return Explorer(draw, [slider], title='The ladder',
                    alt='Validation accuracy of each rung with its 95 % interval.')
