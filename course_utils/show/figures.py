"""Figures that say in words what they show: any picture with alternative text, the curves of a training, dots with intervals."""
import io

import matplotlib.pyplot as plt, pandas as pd
from PIL import Image
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_utils.config import CourseError
from course_utils.show import draw  # noqa: F401  it sets how matplotlib draws
from course_utils.show.html import data_url, element
from course_utils.show.palette import GREY, PAPER, TRAIN_COLOUR, VALID_COLOUR


class Figure:
    "A picture and what it shows in words. Jupyter and the site both use those words as the alternative text."
    def __init__(self,
        picture: bytes,    # a file
        alt: str,          # what it shows, in a sentence or two
        width: int,        # at which it is shown, in pixels
        kind: str='webp',  # of the file
    ):
        if not alt.strip(): raise CourseError("A figure needs alt text: one sentence that says what it shows.")
        self.picture = picture
        self.alt = alt
        self.width = width
        self.kind = kind

    def _repr_mimebundle_(self, **_):
        src = data_url(self.picture, f'image/{self.kind}')
        style = f'width:{self.width}px;max-width:100%;height:auto;background:{PAPER};border-radius:6px'
        return {'text/html': element('img', alt=self.alt, src=src, style=style), 'text/plain': self.alt}


def _render(fig) -> Image.Image:
    "A matplotlib figure, which is closed, in 1.5 times the size it is shown at: sharp on fine screens."
    png = io.BytesIO()
    fig.savefig(png, format='png', dpi=144, facecolor=PAPER)
    plt.close(fig)
    return Image.open(png).convert('RGB')


def show(
    fig,       # a matplotlib figure, which is closed, or a picture `(H, W, 3)` uint8
    alt: str,  # what it shows, in a sentence or two
) -> Figure:
    "Turns a figure or a picture into one with alternative text. Raises `CourseError` where that is empty."
    is_matplotlib = hasattr(fig, 'savefig')
    image = _render(fig) if is_matplotlib else Image.fromarray(fig)
    width = image.width // 2 if is_matplotlib else image.width
    webp = io.BytesIO()
    image.save(webp, 'webp', quality=82, method=4)
    return Figure(webp.getvalue(), alt, width)


# ---- the curves of a training ----

def best_epoch(history: pd.DataFrame) -> int:
    "The epoch with the lowest validation loss."
    return int(history.epoch[history.valid_loss.idxmin()])


def _axis_limits(history, quantity) -> tuple:
    "Of all epochs, so that a figure of the first few has the same axes."
    values = history[[f'train_{quantity}', f'valid_{quantity}']].to_numpy()
    if quantity == 'loss': return 0, min(values.max() * 1.05, loss_limit(history))
    return min(.4, values.min()), 1.01


def loss_limit(history) -> float:
    "At least 2, and twice the lowest validation loss: one epoch that flew off makes no curve flat, and no panel is blank."
    return max(2., 2 * history.valid_loss.min())


def curves_figure(
    history: pd.DataFrame,        # a row an epoch: epoch, train_loss, valid_loss, train_accuracy, valid_accuracy
    majority: float | None=None,  # accuracy of always saying the most frequent class
    n_epochs: int | None=None,    # draw only this many epochs, on the axes of all
):  # a matplotlib figure
    "What `curves` shows."
    drawn = history.iloc[:n_epochs]
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.1))
    loss_ax, accuracy_ax = axes
    for ax, quantity in zip(axes, ('loss', 'accuracy')):
        ax.plot(drawn.epoch, drawn[f'train_{quantity}'], marker='o', ms=4, color=TRAIN_COLOUR, label='train')
        ax.plot(drawn.epoch, drawn[f'valid_{quantity}'], marker='s', ms=4, color=VALID_COLOUR, label='valid')
        ax.set(xlabel='epoch', ylabel=quantity)
        ax.set(xlim=(.5, len(history) + .5), ylim=_axis_limits(history, quantity))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss_ax.axvline(best_epoch(drawn), color=GREY, ls='--', lw=1)
    accuracy_ax.yaxis.set_major_formatter(PercentFormatter(1))
    if majority: accuracy_ax.axhline(majority, color=GREY, ls=':', label='majority class')
    loss_ax.legend(frameon=False)
    accuracy_ax.legend(frameon=False, loc='lower right')
    return fig


def curves_alt(
    history: pd.DataFrame,  # as `curves_figure` takes it: the epochs that are drawn
) -> str:
    "What `curves` shows, in words."
    first = history.iloc[0]
    last = history.iloc[-1]
    return (f"Curves over {len(history)} epochs. "
            f"Training loss goes from {first.train_loss:.2f} to {last.train_loss:.2f}, "
            f"validation loss is lowest at epoch {best_epoch(history)} ({history.valid_loss.min():.2f}) and {last.valid_loss:.2f} at the end. "
            f"Training accuracy ends at {last.train_accuracy:.1%}, validation accuracy at {last.valid_accuracy:.1%}.")


def curves(
    run,                          # a `Run`
    majority: float | None=None,  # accuracy of always saying the most frequent class
    n_epochs: int | None=None,    # draw only this many epochs, on the axes of all
) -> Figure:
    "Loss and accuracy of every epoch, on training and validation pictures."
    fig = curves_figure(run.history, majority, n_epochs)
    return show(fig, curves_alt(run.history.iloc[:n_epochs]))


# ---- dots with intervals ----

def dots(
    table: pd.DataFrame,   # a row per name, with columns `mean` (or `gain`), `low` and `high`
    label: str,            # of the axis
    alt: str,              # what the figure shows; the rows are added in words
    even: float=0,         # where nothing differs: 0 for differences, 1 for ratios, which get a logarithmic axis
) -> Figure:
    "One dot and its interval a row, beside a line where nothing differs."
    table = table.rename(columns=dict(gain='mean'))[['mean', 'low', 'high']].astype(float)
    table.index = [name if isinstance(name, str) else ' against '.join(name) for name in table.index]
    return show(dots_figure(table, label, even), f'{alt} {_dots_alt(table, even)}')


def dots_figure(
    table: pd.DataFrame,  # a row per name, which is a string, with columns `mean`, `low` and `high`
    label: str,           # of the axis
    even: float=0,        # see `dots`
):  # a matplotlib figure
    "What `dots` shows: the first row on top."
    rows = table[::-1]
    places = range(len(rows))
    names = [name.replace('$', r'\$') for name in rows.index]  # a dollar would begin a formula
    names = [name.replace(' against ', '\nagainst ') for name in names]
    fig, ax = plt.subplots(figsize=dots_size(names))
    to_ends = [rows['mean'] - rows.low, rows.high - rows['mean']]
    ax.errorbar(rows['mean'], places, xerr=to_ends, fmt='o', capsize=4)
    ax.axvline(even, color=GREY, lw=1)
    ax.set(xlabel=label, xscale='log' if even else 'linear')
    ax.set(yticks=places, yticklabels=names, ylim=(-.6, len(rows) - .4))
    ax.grid(axis='y', visible=False)
    return fig


def dots_size(
    names: list,  # of the rows; some have more than one line
) -> tuple:  # width and height of the figure, in inches
    "Wide enough that the axes keep their width beside the longest line of the names: a letter takes about a twelfth of an inch."
    lines = [line for name in names for line in name.splitlines()]
    longest = max(map(len, lines), default=0)
    row = .35 if len(lines) == len(names) else .5
    return max(7, 4 + longest / 12), .8 + row * len(names)


def _dots_alt(table, even) -> str:
    "The rows in words."
    digits = '.2f' if even else '+.3f'
    words = [f"{name} {row['mean']:{digits}} ({row.low:{digits}} to {row.high:{digits}})" for name, row in table.iterrows()]
    return '; '.join(words) + '.'
