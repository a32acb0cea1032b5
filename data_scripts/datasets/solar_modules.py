"""Recovers the modules that the solar cells were cut from; `course_utils.data.modules` keeps the result.

    python -m data_scripts.datasets.solar_modules

What is used: types in the order of the files, sizes, series of cells that are there twice, and jumps between pictures.
It prints the constants of `course_utils.data.modules`, and how sure they are."""
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter1d

from course_utils.data.sources import solar_cells

CELLS = 60   # cells, six rows of ten
LARGEST_MODULE = 72  # six rows of twelve: a run up to this long is one module
WINDOW = 20   # cells before and after a place, two rows of ten: as much of the module's edge on both sides
NEAR_PLACES = 5      # a cut is seen where its jump is the highest of those at most so many places away


@dataclass
class Series:
    "Cells that are there twice, one after the other both times."
    first: int   # place of the first cell, from 0
    second: int  # the same, the second time
    length: int


def recover_modules() -> dict:
    "All constants of `course_utils.data.modules`, and what says how sure they are: `n_inner` cuts, `higher`, `by_chance`."
    table, _ = solar_cells()
    small = np.stack([small_picture(path) for path in table.path])
    runs = run_starts(table.type)
    jumps = run_jumps(small, runs)
    series = repeated_series(small)
    sizes = []
    for start, stop in pairwise(runs): sizes += module_sizes(start, stop, jumps, series)
    starts = np.cumsum([0, *sizes[:-1]])
    inner = [start for start in starts if start not in runs]
    unseen = [start for start in inner if not is_peak(jumps, start)]
    return dict(
        sizes=tuple(sizes),
        twice=tuple(module_at(place, starts) for place in (series.first, series.second)),
        unseen=tuple(module_at(start, starts) for start in unseen),
        n_inner=len(inner),
        higher=jump_auc(jumps, inner),
        by_chance=seen_by_chance(jumps, inner),
    )


def small_picture(path) -> np.ndarray:  # `(30, 30)`
    "A cell's light, means of 10×10 pixels: what a whole module shares is coarse."
    with Image.open(path) as file: return np.asarray(file.convert('L').reduce(10), float)


def run_starts(types) -> list:  # places, and the number of cells at the end
    "Where the type changes."
    lengths = [len(list(run)) for _, run in groupby(types)]
    return np.cumsum([0, *lengths]).tolist()


def module_at(place: int, starts) -> int:
    "The number, from 1, of the module that holds a cell."
    return int(np.searchsorted(starts, place, side='right'))


# ---- jumps ----

def light_profiles(small: np.ndarray) -> np.ndarray:  # `(N, 60)`
    "Medians of rows and of columns, each without its mean and spread: where light falls, busbars and edges lie."
    profiles = np.stack([np.median(small, axis=2), np.median(small, axis=1)], axis=1)
    profiles -= profiles.mean(2, keepdims=True)
    profiles /= profiles.std(2, keepdims=True)
    flat = profiles.reshape(len(small), -1)
    return (flat - flat.mean(0)) / flat.std(0)


def run_jumps(
    small: np.ndarray,  # `(N, 30, 30)`
    starts: list,       # of the runs
) -> np.ndarray:        # `(N,)`; NaN near the ends of a run
    "How much profiles differ before and after each place of a run: the difference of means for the spread within, over all numbers."
    profiles = light_profiles(small)
    jumps = np.full(len(small), np.nan)
    for start, stop in pairwise(starts):
        for place in range(start + WINDOW // 2, stop - WINDOW // 2 + 1):
            preceding = profiles[max(start, place - WINDOW):place]
            following = profiles[place:min(stop, place + WINDOW)]
            jumps[place] = jump_between(preceding, following)
    return jumps


def jump_between(preceding: np.ndarray, following: np.ndarray) -> float:
    "See `run_jumps`."
    difference = preceding.mean(0) - following.mean(0)
    n = len(preceding) + len(following)
    variance = (len(preceding) * preceding.var(0) + len(following) * following.var(0)) / n
    return float(np.sqrt((difference**2 / (variance + .02)).mean()))


def is_peak(jumps: np.ndarray, place: int) -> bool:
    "Is there no higher jump near?"
    return jumps[place] >= np.nanmax(jumps[place - NEAR_PLACES:place + NEAR_PLACES + 1])


# ---- series that are there twice ----

def repeated_series(small: np.ndarray) -> Series:
    "The longest series that comes again: each pair correlates over .7, after what a cell shares with its neighbours is taken away."
    remaining = small - uniform_filter1d(small, WINDOW + 1, axis=0, mode='nearest')
    flat = remaining.reshape(len(small), -1)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = flat @ flat.T > .7
    best = Series(0, 0, 0)
    for shift in range(LARGEST_MODULE, len(small)):
        first, length = longest_run(np.diagonal(alike, shift))
        if length > best.length: best = Series(first, first + shift, length)
    return best


def longest_run(flags: np.ndarray) -> tuple:  # its first place, its length
    "The longest run of True."
    edges = np.flatnonzero(np.diff(np.r_[0, flags, 0]))
    if not len(edges): return 0, 0
    firsts, lengths = edges[::2], np.diff(edges)[::2]
    longest = lengths.argmax()
    return int(firsts[longest]), int(lengths[longest])


# ---- cuts ----

def module_sizes(
    start: int, stop: int,  # of a run
    jumps: np.ndarray,
    series: Series,
) -> list:
    "The sizes of a run's modules: sixties, and a smaller one where the cuts fit the jumps and the repeated series best."
    length = stop - start
    if length <= LARGEST_MODULE: return [length]
    n_modules = -(-length // CELLS)
    short = length - CELLS * (n_modules - 1)
    if short == CELLS: return [CELLS] * n_modules
    choices = []
    for position in range(n_modules):
        sizes = [CELLS] * n_modules
        sizes[position] = short
        choices.append(sizes)

    def fitness(sizes: list) -> tuple:
        "Whether it puts the series into one module, cut before and after it; then the mean jump."
        cuts = start + np.cumsum(sizes)[:-1]
        ends = {series.first, series.first + series.length}
        return ends <= set(cuts.tolist()), jumps[cuts].mean()

    return max(choices, key=fitness)


# ---- how sure ----

def far_from(jumps: np.ndarray, cuts: list) -> np.ndarray:
    "Places with a jump that are no cut, nor near one."
    places = np.flatnonzero(~np.isnan(jumps))
    distance = np.abs(places[:, None] - np.array(cuts)).min(1)
    return places[distance > NEAR_PLACES]


def jump_auc(jumps: np.ndarray, cuts: list) -> float:
    "How often the jump at a cut is higher than one far from all cuts: .5 if cuts were nothing special."
    elsewhere = jumps[far_from(jumps, cuts)]
    return float(np.mean([(jumps[cut] > elsewhere).mean() for cut in cuts]))


def seen_by_chance(jumps: np.ndarray, cuts: list) -> float:
    "The share of places far from all cuts that look like a cut."
    return float(np.mean([is_peak(jumps, place) for place in far_from(jumps, cuts)]))


def main():
    found = recover_modules()
    n_seen = found['n_inner'] - len(found['unseen'])
    print(f"MODULE_SIZES = {found['sizes']}")
    print(f"PICTURED_TWICE = {found['twice']}")
    print(f"UNSEEN_STARTS = {found['unseen']}")
    print(f"{len(found['sizes'])} modules. Within runs of a type {n_seen} of {found['n_inner']} cuts are seen as the highest jump within {NEAR_PLACES} "
          f"places; {found['by_chance']:.0%} of other places are. A cut's jump is higher than another place's in {found['higher']:.1%}.")


if __name__ == '__main__': main()
