"""What lesson 05 shows of groups of layers: how many parameters each holds, and a slider for the rate each gets."""
import cv2, matplotlib, numpy as np
from torch import nn

from course_utils.show.draw import write
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, GREEN, GREY, ORANGE, RULER, rgb
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


def rates_explorer(
    names,           # one a group
    rates,           # function of the slider's value: what is passed as `lr_max`
    slider: Slider,
    title: str,
) -> Explorer:
    "An explorer of the rate each group gets. The numbers are read off an optimizer."
    def draw(**values):
        used = rates_of(rates(*values.values()), len(names))
        ratio = float(f"{used[-1] / used[0]:.3g}")  # three digits that count
        sentence = f'{names[0]} learns at {used[0]:.2e}, {names[-1]} at {used[-1]:.2e}: {ratio:,g} times as fast.'
        return draw_rates(names, used), sentence

    return Explorer(draw, [slider], alt='The rate of each group on a logarithmic scale.', title=title)
