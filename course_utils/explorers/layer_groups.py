"""Early layers know edges and need a nudge; the head knows nothing and needs a push. So give each group of layers a rate of its own."""
import cv2, matplotlib, numpy as np
from torch import nn

from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.layer_groups import group_table, per_stage, rates_of


def group_colours(n: int) -> list:
    "A colour for each of `n` groups, `(r, g, b)` in 0…255, that colour-blind readers can tell apart: three named ones, else from dark to light (cividis)."
    if n == 3: return [(0, 114, 178), (0, 158, 115), (213, 94, 0)]
    return [tuple(int(255 * c) for c in matplotlib.colormaps['cividis'](g / max(n - 1, 1))[:3]) for g in range(n)]


def draw_groups(model: nn.Module, splitter, ax):
    "Bars of parameters for each stage, in the colours of the splitter's groups."
    place = {id(p): g for g, ps in enumerate(splitter(model)) for p in ps}
    stages, table, names = per_stage(model), group_table(model, per_stage), group_table(model, splitter).index
    colours = group_colours(len(names))
    for k, ps in enumerate(stages):
        g = place[id(ps[0])]
        ax.bar(k, table.parameters.iloc[k], color=np.array(colours[g]) / 255, label=names[g] if g not in {place[id(s[0])] for s in stages[:k]} else None)
    ax.set(yscale='log', ylabel='parameters', xticks=range(len(stages)))
    ax.set_xticklabels([m.split(', ')[0] for m in table.modules], rotation=45, ha='right', fontsize=8)
    ax.set_title(model.pretrained_cfg['architecture'], fontsize=10); ax.legend(frameon=False, fontsize=8)


def draw_rates(names, rates, low=1e-7, high=1e-1, width=720) -> np.ndarray:
    "Bars of rates on a logarithmic scale, one row a group: `(H, width, 3)` uint8."
    row, left, right, top = 30, 150, 90, 24
    out = np.full((top + row * len(rates) + 6, width, 3), 255, np.uint8)
    x = lambda v: int(left + (width - left - right) * (np.log10(np.clip(v, low, high)) - np.log10(low)) / (np.log10(high) - np.log10(low)))
    write = lambda text, at, colour=(40, 40, 40): cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, .42, colour, 1, cv2.LINE_AA)
    for e in range(round(np.log10(low)), round(np.log10(high)) + 1):
        cv2.line(out, (x(10. ** e), top), (x(10. ** e), len(out)), (225, 225, 225), 1)
        write(f'1e{e}', (x(10. ** e) - 14, 15), (107, 107, 107))
    for k, (name, rate, colour) in enumerate(zip(names, rates, group_colours(len(rates)))):
        y = top + row * k
        cv2.rectangle(out, (left, y + 5), (max(x(rate), left + 1), y + row - 5), colour, -1)
        write(name[:19], (4, y + 20)); write(f'{rate:.1e}', (x(rate) + 6, y + 20))
    return out


def rates_explorer(
    names,           # one a group
    rates,           # function of the slider's value: what is passed as `lr_max`
    slider: Slider,
    title: str,
) -> Explorer:
    "An explorer of the rate each group gets. The numbers are read off an optimizer."
    def draw(**value):
        used = rates_of(rates(*value.values()), len(names))
        return draw_rates(names, used), f'{names[0]} learns at {used[0]:.2e}, {names[-1]} at {used[-1]:.2e}: {float(f"{used[-1] / used[0]:.3g}"):,g} times as fast.'
    return Explorer(draw, [slider], alt='The rate of each group on a logarithmic scale.', title=title)
