"""Every technique of this course, one on top of the other, with what each added, its interval, and its minutes."""
import matplotlib.pyplot as plt, numpy as np
from matplotlib.ticker import PercentFormatter

from course_utils.report.stats import gains
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.figures import as_picture
from course_utils.show.palette import BLUE, ORANGE


def draw_rungs(
    seeds: dict,  # name → `Seeds`, bottom first
    upto: int,    # the last rung drawn, from 0
) -> np.ndarray:  # `(H, W, 3)` uint8
    "Accuracy of each rung with its interval; those above `upto` are left out."
    levels = [s.accuracy for s in seeds.values()]
    fig, ax = plt.subplots(figsize=(8, .8 + .36 * len(seeds)), dpi=96)
    for k, (mean, low, high) in enumerate(levels[:upto + 1]):
        ax.errorbar(mean, k, xerr=[[mean - low], [high - mean]], fmt='o', capsize=4, color=BLUE if k < upto else ORANGE)
    ax.set(yticks=range(len(seeds)), yticklabels=seeds, ylim=(-.6, len(seeds) - .4), xlabel='validation accuracy',
           xlim=(min(low for _, low, _ in levels) - .01, max(high for *_, high in levels) + .01))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0)); ax.grid(axis='y', visible=False)
    return as_picture(fig)


def ladder_explorer(
    seeds: dict,  # name → `Seeds`, bottom first
) -> Explorer:
    "A slider that climbs: the accuracy reached, and what the rung added."
    names = list(seeds)
    steps = gains(seeds, list(zip(names[1:], names))).droplevel('against')
    def at(rung):
        name, s = names[rung], seeds[names[rung]]
        says = f'{name}: {s.right.mean():.1%} of the held-out pictures are named right, after {s.seconds / 60:.1f} minutes. '
        if not rung: return draw_rungs(seeds, 0), says + 'The ladder starts here.'
        r = steps.loc[name]
        return draw_rungs(seeds, rung), says + f'This rung added {r.gain:+.1%} ({r.low:+.1%} to {r.high:+.1%}).'
    return Explorer(at, [Slider('rung', 'rung', 0, len(names) - 1, 1, 0)], title='The ladder', alt='Validation accuracy of each rung with its 95 % interval.')
