"""What lesson 05 shows of groups of layers: how many parameters each holds, and sliders for the rate each gets and the loss it gives."""
import cv2, matplotlib, numpy as np
from torch import nn

from course_utils.show.canvas import Canvas
from course_utils.show.draw import write
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, FADED, GREEN, GREY, ORANGE, RULER, rgb
from course_utils.techniques.layer_groups import group_table, per_stage, rates_of

# How `draw_rates` lays out its bars, in pixels.
BAR_ROW = 30                # height of a row
BARS_TOP = 24               # where the first begins
BARS_LEFT = 150             # room for names
BARS_RIGHT = 90             # room for numbers


def group_colours(n: int) -> list:
    "A colour for each of `n` groups, `(r, g, b)` in 0…255, that colour-blind readers can tell apart: three named ones, else from dark to light (cividis)."
    if n == 3: return [rgb(BLUE), rgb(GREEN), rgb(ORANGE)]
    shades = matplotlib.colormaps['cividis'](np.linspace(0, 1, n))  # a row each: red, green, blue, alpha in 0…1
    bytes_ = (255 * shades[:, :3]).astype(int)
    return [tuple(shade) for shade in bytes_.tolist()]


def draw_groups(
    model: nn.Module,
    splitter,          # parameters of a model → lists of them, one a group
    ax,                # matplotlib's axes, which are drawn into
):
    "Bars of parameters for each stage, in the colours of the splitter's groups."
    group_of = {id(p): g for g, params in enumerate(splitter(model)) for p in params}
    stages = [group_of[id(params[0])] for params in per_stage(model)]  # the group of each stage
    table = group_table(model, per_stage)
    names = group_table(model, splitter).index
    colours = group_colours(len(names))
    for k, group in enumerate(stages):
        is_first = group not in stages[:k]
        label = names[group] if is_first else None  # one entry a group in the legend
        colour = np.array(colours[group]) / 255
        ax.bar(k, table.parameters.iloc[k], color=colour, label=label)
    first_modules = [modules.split(', ')[0] for modules in table.modules]
    ax.set(yscale='log', ylabel='parameters', xticks=range(len(stages)))
    ax.set_xticklabels(first_modules, rotation=45, ha='right', fontsize=8)
    ax.set_title(model.pretrained_cfg['architecture'], fontsize=10)
    ax.legend(frameon=False, fontsize=8)


def draw_rates(
    names,               # one a group
    rates,               # one a group
    low: float=1e-7,     # left end of the scale
    high: float=1e-1,    # right end of the scale
    width: int=720,      # of the picture, in pixels
) -> np.ndarray:         # `(H, width, 3)` uint8
    "Bars of rates on a logarithmic scale, one row a group."
    height = BARS_TOP + BAR_ROW * len(rates) + 6
    picture = np.full((height, width, 3), 255, np.uint8)
    longest = width - BARS_LEFT - BARS_RIGHT  # bar
    first, last = np.log10([low, high])

    def column(rate):
        decades = np.log10(np.clip(rate, low, high)) - first
        return int(BARS_LEFT + longest * decades / (last - first))

    for exponent in range(round(first), round(last) + 1):
        x = column(10. ** exponent)
        cv2.line(picture, (x, BARS_TOP), (x, height), rgb(RULER), 1)
        write(picture, f'1e{exponent}', (x - 14, 15), GREY)
    bars = zip(names, rates, group_colours(len(rates)))
    for k, (name, rate, colour) in enumerate(bars):
        top = BARS_TOP + BAR_ROW * k
        end = column(rate)
        upper_left = BARS_LEFT, top + 5
        lower_right = max(end, BARS_LEFT + 1), top + BAR_ROW - 5
        cv2.rectangle(picture, upper_left, lower_right, colour, -1)
        write(picture, name[:19], (4, top + 20))
        write(picture, f'{rate:.1e}', (end + 6, top + 20))
    return picture


def measured_rates_explorer(
    names,       # of the groups, from the picture on
    runs: dict,  # spread → head's rate → `Run`; 1 is one rate for all. Rates that all spreads have are shown
) -> Explorer:
    "An explorer of trainings that differ in their rates: the rate of each group, and the validation loss that this gave."
    spreads = sorted(runs)
    peaks = sorted(set.intersection(*map(set, runs.values())))
    curves = {(spread, peak): runs[spread][peak].history.valid_loss.to_numpy() for spread in spreads for peak in peaks}
    highest = max(losses.max() for losses in curves.values())
    longest = max(map(len, curves.values()))
    canvas = Canvas((.5, longest + .5), (0, 1.05 * highest), 'epoch', 'validation loss')
    best = min(curves, key=lambda place: curves[place][-1])

    def line(place, colour, width):
        losses = curves[place]
        return np.arange(1, len(losses) + 1), losses, colour, width

    def draw(spread, peak):
        chosen = spreads[spread - 1], peaks[peak - 1]
        used = rates_of(slice(chosen[1] / chosen[0], chosen[1]), len(names))
        lines = [line(place, FADED, 1) for place in curves if place != chosen]
        picture = canvas.draw([*lines, line(chosen, ORANGE, 3)])
        words = (f'Spread {chosen[0]:g}: {names[0]} layers at {used[0]:.1e}, {names[-1]} at {used[-1]:.1e}. '
                 f'Validation loss at the end {curves[chosen][-1]:.3f}; '
                 f'the lowest of all {curves[best][-1]:.3f}, at spread {best[0]:g} and {best[1]:.1e}.')
        return np.concatenate([draw_rates(names, used), picture]), words

    def one_of(values) -> str: return ', '.join(f'{value:g}' for value in values)

    sliders = [
        Slider('spread', f'spread, one of {one_of(spreads)}', 1, len(spreads), 1, 1),
        Slider('peak', f"head's rate, one of {one_of(peaks)}", 1, len(peaks), 1, 1),
    ]
    return Explorer(draw, sliders, title='Rates of three groups, and the loss that they gave',
                    alt='The rate of each group on a logarithmic scale, and the validation loss of every epoch.')
