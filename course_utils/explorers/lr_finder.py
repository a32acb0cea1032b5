"""Raise the rate a little at every step, watch the loss, and read off a rate worth training with."""
import numpy as np

from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.lr_finder import COLOURS, Curve, RULES, first_finite, rule, smooth


def finder_explorer(
    *curves: Curve,  # one sweep, or one a seed
) -> Explorer:
    "The rates that the rules give, the median over the sweeps, as the smoothing changes. The first sweep's batches are grey."
    named, seen = lambda rule: rule.replace('_', ' '), [first_finite(c.raw) for c in curves]
    top = 2 * float(np.median(seen[0][:10])) if len(seen[0]) else 1.
    canvas = Canvas((curves[0].lrs[0], curves[0].lrs[-1]), (0, top), 'learning rate', 'loss', 'log')
    def said(name, given):
        if not given: return f'{named(name)} has no answer'
        around = f' ({min(given):.1e} to {max(given):.1e})' if len(curves) > 1 else ''
        return f'{named(name)} {np.median(given):.1e}{around}'
    def draw(beta, sma):
        says = [c.suggest(beta, sma) for c in curves]
        given = {name: [s[name].rate for s in says if s[name].rate] for name in RULES}
        medians = {name: float(np.median(v)) for name, v in given.items() if v}
        lines = [(c.lrs[:len(raw)], smooth(raw, beta), '#7fb8d8' if k else '#0072B2', 1 if k else 2) for k, (c, raw) in enumerate(zip(curves, seen))]
        picture = canvas.draw([(curves[0].lrs[:len(seen[0])], seen[0], '#b0b0b0', 1), *lines[1:], lines[0]],
                              [(rate, COLOURS[name], named(name)) for name, rate in medians.items()])
        factor = f' The rules differ by a factor of {max(medians.values()) / min(medians.values()):.0f}.' if medians else ''
        return picture, f'Smoothing {beta:.2f}, window {sma}: ' + ', '.join(said(name, v) for name, v in given.items()) + '.' + factor
    alt = 'Loss of each batch and smoothed loss against the learning rate, with the rate of each rule.'
    if len(curves) > 1: alt = f'Smoothed losses of {len(curves)} seeds against the learning rate, with the median rate of each rule.'
    return Explorer(draw, [Slider('beta', 'smoothing (beta)', 0., .98, .035, .98), Slider('sma', 'window (steps)', 1, 40, 1, 20)],
                    alt=alt, title=f"{len(curves)} sweep{'s' * (len(curves) > 1)}, five rules")
