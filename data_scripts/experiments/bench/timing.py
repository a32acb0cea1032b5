"""How ways are timed against each other, and what a row of the bench holds."""
import gc, math, time
from collections import deque
from statistics import median

import numpy as np
from tqdm import tqdm

from data_scripts.experiments.engine import pick


def n_turns(n: int | None = None) -> int: return n or pick(smoke=2, cpu=7)


def in_turn(
    ways: dict,   # name → a function without arguments; it may return the seconds it wants counted
    n: int,
    warm: bool = True,
) -> dict:        # name → n seconds
    "Calls every way once to warm up, then all of them `n` times, one after the other; each turn begins with another."
    seconds = {name: [] for name in ways}
    order = deque(ways.items())
    for turn in tqdm(range(n + warm), disable=None, leave=False):
        order.rotate(-1)
        for name, call in order:
            gc.collect()  # what the way before left behind is not this one's to clear away
            start = time.perf_counter()
            returned = call()
            elapsed = time.perf_counter() - start
            if turn >= warm: seconds[name].append(returned if isinstance(returned, float) else elapsed)
    return seconds


def bench_row(
    seconds: dict,    # way → seconds of each turn; the first way is the course's
    description: str,
    unit: str = 's',
    **more            # what else the row says
) -> dict:
    "Medians, and how many times as much a peer takes: the median of the ratios in each turn, with the lowest and the highest."
    course, *peers = seconds
    ratios = {peer: turn_ratios(seconds[course], seconds[peer]) for peer in peers}
    return dict(
        what=description,
        unit=unit,
        n=len(seconds[course]),
        median={name: four_digits(median(times)) for name, times in seconds.items()},
        ratio={peer: four_digits(median(values)) for peer, values in ratios.items()},
        range={peer: list(map(four_digits, (min(values), max(values)))) for peer, values in ratios.items()},
        **more,
    )


def turn_ratios(course: list, peer: list) -> list:
    "A ratio for each turn. One in which neither got there has none."
    pairs = [(a, b) for a, b in zip(course, peer) if not a == b == math.inf]
    return [b / a for a, b in pairs] or [math.inf]


def four_digits(value: float) -> float | None:
    "None for what was not reached: JSON has no infinity."
    return float(f'{value:.4g}') if math.isfinite(value) else None


def differences(results: dict) -> dict:  # peer → largest absolute difference
    "The largest difference between the course's result, which comes first, and each peer's."
    course, *peers = [np.asarray(result) for result in results.values()]
    names = list(results)[1:]

    def largest(peer) -> float:
        n = min(len(course), len(peer))
        return float(np.abs(course[:n] - peer[:n]).max())

    return {name: largest(peer) for name, peer in zip(names, peers)}
