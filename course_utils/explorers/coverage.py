"""The figure of lesson 09: how often intervals hold the truth, by the bootstrap and as the course makes them."""
import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter

from course_utils.config import CourseError, root
from course_utils.report.results import read_results
from course_utils.show.figures import Figure, show
from course_utils.show.palette import BLUE, GREY, ORANGE

PROMISED = .95
METHOD_COLOURS = {'bootstrap': ORANGE, 'now': BLUE}  # name of a method in results/coverage.json → its colour
SEED_LINES = {'1': '-', '5': '--'}                # seeds → how the line is drawn


def coverage_figure() -> Figure:
    "The least share of 95 % intervals that hold the truth, against the number of pictures, from results/coverage.json."
    table = coverage_table()
    pictures = table['pictures']
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for ax, (kind, methods) in zip(axes, table['least'].items()):
        for method, by_seeds in methods.items():
            for n_seeds, shares in by_seeds.items():
                ax.plot(pictures, shares, SEED_LINES[n_seeds], marker='o', ms=4, color=METHOD_COLOURS[method],
                        label=f'{method}, {seeds_in_words(n_seeds)}')
        ax.axhline(PROMISED, color=GREY, lw=1)
        ax.set(title=kind, xlabel='held-out pictures', xscale='log', ylim=(0, 1.03))
        ax.set_xticks([8, 20, 50, 200, 656, 2000], ['8', '20', '50', '200', '656', '2000'])
        ax.minorticks_off()
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel('intervals that hold the truth')
    axes[1].legend(frameon=False, loc='lower right')
    return show(fig, coverage_alt(table))


def coverage_table() -> dict:
    "Of these results, else of those that come with the course: no data set and no machine is in it. Raises `CourseError` where there is neither."
    table = read_results('coverage') or read_results(root()/'results'/'coverage.json')
    if table: return table
    raise CourseError("results/coverage.json is not there: fetch it with the course, or set COURSE_RESULTS to the folder in which it lies.")


def coverage_alt(table: dict) -> str:
    "What `coverage_figure` shows, in words."
    pictures = ', '.join(map(str, table['pictures']))
    words = []
    for kind, methods in table['least'].items():
        for method, by_seeds in methods.items():
            for n_seeds, shares in by_seeds.items():
                percents = ', '.join(f'{share:.0%}' for share in shares)
                words.append(f'{kind}, {method}, {seeds_in_words(n_seeds)}: {percents}')
    return (f'The least share of intervals of {PROMISED:.0%} that hold the truth, with {pictures} held-out pictures. '
            f"{'; '.join(words)}.")


def seeds_in_words(n_seeds: str) -> str: return '1 seed' if n_seeds == '1' else f'{n_seeds} seeds'
