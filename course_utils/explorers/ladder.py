"""The ladder: a slider that climbs it, a technique a rung, and one figure from bottom to top."""
import matplotlib.pyplot as plt, numpy as np
from matplotlib.ticker import PercentFormatter

from course_utils.report.ladder_results import bottom_to_top, ladder_in_words, one_fold_words
from course_utils.report.stats import gains
from course_utils.show.draw import figure_to_pixels
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.figures import Figure, show
from course_utils.show.palette import BLUE, FADED, ORANGE


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


# ---- from bottom to top ----

def climb_figure(
    ladders: dict,  # data set in words → name of a rung → `Seeds`, as `ladders_measured` gives it; not empty
) -> Figure:
    "A panel for each data set: the accuracy of each rung with its interval, and what the whole ladder added."
    alt = '. '.join(f'{data.capitalize()}, {ladder_in_words(ladder)}' for data, ladder in ladders.items())
    return show(draw_climbs(ladders), f'The ladder from bottom to top. {alt}.')


def draw_climbs(ladders: dict):  # a matplotlib figure
    "What `climb_figure` shows."
    n_rungs = max(map(len, ladders.values()))
    fig, axes = plt.subplots(1, len(ladders), figsize=(2 + 4 * len(ladders), 1.2 + .36 * n_rungs), squeeze=False)
    for ax, (data, ladder) in zip(axes[0], ladders.items()):
        draw_climb(ax, ladder)
        whole = bottom_to_top(ladder)
        if whole is None: ax.set_title(data)
        else: ax.set_title(f'{data}: {whole.gain:+.1%}{one_fold_words(ladder)}', loc='left')
    return fig


def draw_climb(ax, ladder: dict):
    "One data set's rungs, bottom first."
    levels = np.array([seeds.accuracy for seeds in ladder.values()])  # a row a rung: mean, low, high
    means, lows, highs = levels.T
    places = np.arange(len(levels))
    ax.plot(means, places, color=FADED, lw=1)
    colours = [BLUE] * (len(levels) - 1) + [ORANGE]
    for place, colour in zip(places, colours):
        to_ends = [[means[place] - lows[place]], [highs[place] - means[place]]]
        ax.errorbar(means[place], place, xerr=to_ends, fmt='o', capsize=4, color=colour)
    ax.set(xlabel='held-out pictures named right', ylim=(-.6, len(levels) - .4))
    ax.set(yticks=places, yticklabels=list(ladder))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis='y', visible=False)
