"""Figures with a description, grids of pictures, curves, and the numbers that cards and tables read."""
import base64, html, io

import matplotlib.pyplot as plt, numpy as np, pandas as pd
from PIL import Image
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_utils.config import CourseError
from course_utils.show.palette import BLUE, CYCLE, FIGURE_STYLE, GREY, ORANGE

plt.rcParams.update(FIGURE_STYLE | {'axes.prop_cycle': plt.cycler(color=CYCLE)})


class Figure:
    "A picture and what it shows in words. Jupyter and the site both use those words as the alternative text."
    def __init__(self, picture: bytes, alt: str, width: int, kind='webp'):
        if not alt.strip(): raise CourseError("A figure needs alt text: one sentence that says what it shows.")
        self.picture, self.alt, self.width, self.kind = picture, alt, width, kind
    def _repr_mimebundle_(self, **_):
        src = f'data:image/{self.kind};base64,{base64.b64encode(self.picture).decode()}'
        style = f'width:{self.width}px;max-width:100%;height:auto;background:#fff;border-radius:6px'
        return {'text/html': f'<img alt="{html.escape(self.alt)}" src="{src}" style="{style}">', 'text/plain': self.alt}


def show(
    fig,       # a matplotlib figure, which is closed, or a picture `(H, W, 3)` uint8
    alt: str,  # what it shows, in a sentence or two
) -> Figure:
    "Turns a figure or a picture into one with alternative text."
    out = io.BytesIO()
    if hasattr(fig, 'savefig'):
        raw = io.BytesIO()
        fig.savefig(raw, format='png', dpi=144, facecolor='white')
        plt.close(fig)
        im = Image.open(raw).convert('RGB')
        im.save(out, 'webp', quality=82, method=4)
        return Figure(out.getvalue(), alt, im.width // 2)
    im = Image.fromarray(fig)
    im.save(out, 'webp', quality=82, method=4)
    return Figure(out.getvalue(), alt, im.width)


def curves(
    run,                          # a `Run`
    majority: float | None=None,  # accuracy of always saying the most frequent class
    until: int | None=None,       # draw only this many epochs, on the axes of all
) -> Figure:
    "Loss and accuracy of every epoch, on training and validation pictures."
    all_rows = run.history
    h = all_rows.iloc[:until]
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.1))
    for ax, what in zip(axes, ('loss', 'accuracy')):
        both = all_rows[[f'train_{what}', f'valid_{what}']]
        for part, colour, mark in (('train', BLUE, 'o'), ('valid', ORANGE, 's')):
            ax.plot(h.epoch, h[f'{part}_{what}'], marker=mark, ms=4, color=colour, label=part)
        ax.set(xlabel='epoch', ylabel=what, xlim=(.5, len(all_rows) + .5), ylim=(0, min(both.to_numpy().max() * 1.05, 2.)) if what == 'loss' else (min(.4, both.to_numpy().min()), 1.01))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].axvline(best := int(h.epoch[h.valid_loss.idxmin()]), color=GREY, ls='--', lw=1)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    if majority: axes[1].axhline(majority, color=GREY, ls=':', label='majority class')
    axes[0].legend(frameon=False); axes[1].legend(frameon=False, loc='lower right')
    return show(fig, curves_in_words(h, best))


def curves_in_words(h, best) -> str:
    last = h.iloc[-1]
    return (f"Curves over {len(h)} epochs. Training loss goes from {h.train_loss.iloc[0]:.2f} to {last.train_loss:.2f}, validation loss is lowest at epoch {best} "
            f"({h.valid_loss.min():.2f}) and {last.valid_loss:.2f} at the end. Training accuracy ends at {last.train_accuracy:.1%}, validation accuracy at {last.valid_accuracy:.1%}.")


def dots(
    table: pd.DataFrame,   # a row per name, with columns `mean` (or `gain`), `low` and `high`
    label: str,            # of the axis
    alt: str,              # what the figure shows; the rows are added in words
    even: float=0,         # where nothing differs: 0 for differences, 1 for ratios, which get a logarithmic axis
) -> Figure:
    "One dot and its interval a row, beside a line where nothing differs."
    fig, ax = plt.subplots(figsize=(7, .8 + .35 * len(table)))
    table = table.rename(columns=dict(gain='mean'))[['mean', 'low', 'high']].astype(float)
    table.index = [name if isinstance(name, str) else ' against '.join(name) for name in table.index]
    t = table[::-1]
    ax.errorbar(t['mean'], range(len(t)), xerr=[t['mean'] - t.low, t.high - t['mean']], fmt='o', capsize=4)
    ax.axvline(even, color=GREY, lw=1)
    ax.set(yticks=range(len(t)), yticklabels=[n.replace('$', r'\$') for n in t.index], xlabel=label, ylim=(-.6, len(t) - .4), xscale='log' if even else 'linear')
    ax.grid(axis='y', visible=False)
    fmt = '.2f' if even else '+.3f'
    return show(fig, f'{alt} ' + '; '.join(f"{name} {r['mean']:{fmt}} ({r.low:{fmt}} to {r.high:{fmt}})" for name, r in table.iterrows()) + '.')


def as_picture(fig) -> np.ndarray:  # `(H, W, 3)` uint8
    "A matplotlib figure, which is closed, as a picture for an explorer."
    fig.canvas.draw()
    picture = np.asarray(fig.canvas.buffer_rgba())[..., :3].copy()
    plt.close(fig)
    return picture
