"""The sliders of lesson 03: how much a sweep is smoothed, and what five rules make of it."""
import numpy as np

from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, NOISE, PALE_BLUE
from course_utils.techniques.lr_finder import COLOURS, Curve, RULES, first_finite, smooth


def _rule_name(name) -> str: return name.replace('_', ' ')


def _rule_words(name, rates, with_range) -> str:
    "What one rule says, over all sweeps."
    rule = _rule_name(name)
    if not rates: return f'{rule} has no answer'
    ends = f' ({min(rates):.1e} to {max(rates):.1e})' if with_range else ''
    return f'{rule} {np.median(rates):.1e}{ends}'


def finder_explorer(
    *curves: Curve,  # one sweep, or one a seed
) -> Explorer:
    "The rates that the rules give, the median over the sweeps, as the smoothing changes. The first sweep's batches are grey."
    losses = [first_finite(curve.raw) for curve in curves]
    first = curves[0]
    first_lrs = first.lrs[:len(losses[0])]
    top = 2 * float(np.median(losses[0][:10])) if len(first_lrs) else 1.
    xlim = first.lrs[0], first.lrs[-1]
    canvas = Canvas(xlim, (0, top), 'learning rate', 'loss', 'log')
    batches = first_lrs, losses[0], NOISE, 1

    def smoothed_lines(beta):
        "The first sweep's line last, so that it lies on top."
        lines = []
        for curve, raw in zip(curves[1:], losses[1:]):
            lines.append((curve.lrs[:len(raw)], smooth(raw, beta), PALE_BLUE, 1))
        lines.append((first_lrs, smooth(losses[0], beta), BLUE, 2))
        return lines

    def rates_by_rule(beta, sma):
        rates = {name: [] for name in RULES}
        for curve in curves:
            for name, suggestion in curve.suggest(beta, sma).items():
                if suggestion.rate: rates[name].append(suggestion.rate)
        return rates

    def draw(beta, sma):
        rates = rates_by_rule(beta, sma)
        medians = {name: float(np.median(found)) for name, found in rates.items() if found}
        marks = [(rate, COLOURS[name], _rule_name(name)) for name, rate in medians.items()]
        words = [_rule_words(name, found, len(curves) > 1) for name, found in rates.items()]
        sentence = f'Smoothing {beta:.2f}, window {sma}: {", ".join(words)}.'
        if medians:
            factor = max(medians.values()) / min(medians.values())
            sentence += f' The rules differ by a factor of {factor:.0f}.'
        return canvas.draw([batches, *smoothed_lines(beta)], marks), sentence

    alt = 'Loss of each batch and smoothed loss against the learning rate, with the rate of each rule.'
    if len(curves) > 1: alt = f'Smoothed losses of {len(curves)} seeds against the learning rate, with the median rate of each rule.'
    sliders = [
        Slider('beta', 'smoothing (beta)', 0., .98, .035, .98),
        Slider('sma', 'window (steps)', 1, 40, 1, 20),
    ]
    return Explorer(draw, sliders, alt=alt, title=f"{len(curves)} sweep{'s' * (len(curves) > 1)}, five rules")
