"""Diagrams of ideas, drawn by code in the course's colours."""
import matplotlib.pyplot as plt, numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from course_utils.config import CourseError
from course_utils.show.figures import Figure, show
from course_utils.show.palette import BLUE, FADED, GREEN, GREY, INK, ORANGE, PAPER, SKY, TRAIN_COLOUR, VALID_COLOUR, YELLOW


def blank_axes(size: tuple, **limits) -> tuple:  # figure, axes
    "Axes without lines, of this size in inches; `limits` are of `Axes.set`."
    fig, ax = plt.subplots(figsize=size)
    ax.set(**limits)
    ax.axis('off')
    return fig, ax


def frozen_stages(
    n_stages: int,  # of the network; the last is its head
    n_frozen: int,  # from the picture on
) -> Figure:
    "What a frozen stage saves: the pass forward, the pass backward, and the maps that are kept between the two. Raises `CourseError` where no stage is left to learn."
    if not 0 < n_frozen < n_stages:
        raise CourseError(f'{n_frozen} of {n_stages} stages cannot be drawn as frozen: choose 1 to {n_stages - 1}.')
    alt = (f'Two rows of {n_stages} boxes, the stages of a network, the last its head. Above, all stages learn: in each step the '
           f'pictures go forward through all, the maps of all are kept, and the gradient goes back through all. Below, the first '
           f'{n_frozen} are frozen: they see each view of a picture once, and their maps lie on the disk. In each step only the '
           f'last {n_stages - n_frozen} stages go forward and backward.')
    return show(frozen_stages_figure(n_stages, n_frozen), alt)


def frozen_stages_figure(n_stages: int, n_frozen: int):  # a matplotlib figure
    "What `frozen_stages` shows."
    fig, ax = blank_axes((7.6, 3.9), xlim=(-.2, n_stages + .2), ylim=(-.75, 5.6))
    draw_stages(ax, 3.4, n_stages, 0)
    ax.text(0, 5.3, 'All stages learn: each step goes through all of them', color=INK, va='center')
    draw_step(ax, 3.4, 0, n_stages)
    draw_stages(ax, 0, n_stages, n_frozen)
    ax.text(0, 1.9, f'The first {n_frozen} are frozen: each step begins behind them', color=INK, va='center')
    draw_step(ax, 0, n_frozen, n_stages)
    middle = n_frozen / 2
    ax.text(middle, 1.18, 'once a view, kept on the disk', color=GREY, ha='center', va='center', fontsize=10)
    ax.text(middle, -.38, 'no gradient, no graph', color=GREY, ha='center', va='center', fontsize=10)
    return fig


def draw_stages(ax, bottom: float, n_stages: int, n_frozen: int):
    "A row of boxes: grey ones are frozen, blue ones learn, the orange one is the head."
    for stage in range(n_stages):
        colour = FADED if stage < n_frozen else BLUE
        if stage == n_stages - 1: colour = ORANGE
        box = FancyBboxPatch((stage + .1, bottom), .8, .8, boxstyle='round,pad=0,rounding_size=.08', color=colour)
        ax.add_patch(box)
        name = 'head' if stage == n_stages - 1 else str(stage + 1)
        ink = INK if colour == FADED else PAPER
        ax.text(stage + .5, bottom + .4, name, color=ink, ha='center', va='center')


def draw_step(ax, bottom: float, first: int, n_stages: int):
    "The arrows of one step, from stage `first` to the last and back."
    middle = (first + n_stages) / 2
    arrow = dict(arrowstyle='-|>', mutation_scale=14, lw=1.8)
    ax.add_patch(FancyArrowPatch((first + .1, bottom + .98), (n_stages - .1, bottom + .98), color=BLUE, **arrow))
    ax.add_patch(FancyArrowPatch((n_stages - .1, bottom - .18), (first + .1, bottom - .18), color=ORANGE, **arrow))
    ax.text(middle, bottom + 1.22, 'forward: maps are kept', color=BLUE, ha='center', va='center', fontsize=10)
    ax.text(middle, bottom - .42, 'backward: the gradient', color=ORANGE, ha='center', va='center', fontsize=10)


# ---- folds ----

def folds_and_groups(
    n_groups: int,     # groups of pictures that are alike, such as modules
    n_folds: int = 4,
) -> Figure:
    "How folds hold every picture out once, and groups whole. Raises `CourseError` where a fold would stay empty."
    if not 1 < n_folds <= n_groups:
        raise CourseError(f'{n_groups} groups fill no {n_folds} folds: choose 2 to {n_groups} folds.')
    alt = (f'{n_folds} rows, a training each, of {n_groups} modules. Each row holds out other modules, whole, and trains on all the '
           f'others. Over all rows every module is held out once.')
    return show(folds_figure(n_groups, n_folds), alt)


def folds_figure(n_groups: int, n_folds: int):  # a matplotlib figure
    "What `folds_and_groups` shows."
    fig, ax = blank_axes((7, .7 + .5 * n_folds), xlim=(-1.6, n_groups + .1), ylim=(-.3, n_folds + .5))
    for fold in range(n_folds):
        bottom = n_folds - 1 - fold
        ax.text(-1.5, bottom + .35, f'training {fold + 1}', color=INK, va='center')
        for group in range(n_groups):
            is_held_out = group % n_folds == fold
            colour = ORANGE if is_held_out else BLUE
            box = FancyBboxPatch((group + .06, bottom), .88, .7, boxstyle='round,pad=0,rounding_size=.08', color=colour)
            ax.add_patch(box)
            word = 'held out' if is_held_out else 'trains'
            ax.text(group + .5, bottom + .35, word, color=PAPER, ha='center', va='center', fontsize=9)
    for group in range(n_groups):
        ax.text(group + .5, n_folds + .1, f'module {group + 1}', color=GREY, ha='center', va='center', fontsize=9)
    return fig


# ---- the gap between two curves ----

def gap_between_curves() -> Figure:
    "What overfitting looks like: two losses that part where a network begins to learn its own pictures by heart."
    alt = ('A sketch of two losses over the epochs. That of the training pictures falls to the end. That of held-out pictures falls with it, '
           'is lowest in the middle, and rises again. Left of the lowest point the network learns what all pictures share; right of it, '
           'it memorises its own. The distance between the two at the end is the gap.')
    return show(gap_figure(), alt)


def gap_figure():  # a matplotlib figure
    "What `gap_between_curves` shows."
    epoch = np.linspace(0, 10, 200)
    train_loss = .05 + .9 * np.exp(-epoch / 3)
    valid_loss = train_loss + .12 + .0075 * epoch ** 2
    best = epoch[valid_loss.argmin()]
    fig, ax = plt.subplots(figsize=(7, 3))
    ax.axvspan(0, best, color=SKY, alpha=.18, lw=0)
    ax.axvspan(best, 10, color=YELLOW, alpha=.18, lw=0)
    ax.plot(epoch, train_loss, color=TRAIN_COLOUR, lw=2.5)
    ax.plot(epoch, valid_loss, color=VALID_COLOUR, lw=2.5)
    ax.text(.6, .18, 'pictures it trains on', color=TRAIN_COLOUR)
    ax.text(6.4, .92, 'pictures it never saw', color=VALID_COLOUR)
    ax.text(best / 2, 1.14, 'it learns', color=INK, ha='center', va='center')
    ax.text((best + 10) / 2, 1.14, 'it memorises', color=INK, ha='center', va='center')
    ends = (9.6, train_loss[-1] + .02), (9.6, valid_loss[-9] - .02)
    ax.add_patch(FancyArrowPatch(*ends, arrowstyle='<|-|>', mutation_scale=12, color=INK))
    ax.text(9.45, .5, 'the gap', color=INK, ha='right', va='center')
    ax.set(xlim=(0, 10), ylim=(0, 1.22), xlabel='epoch', ylabel='loss', xticks=[], yticks=[])
    return fig


# ---- one picture, many views ----

VIEWS = {  # name → turned by so many degrees, mirrored, how dark
    'as it is': (0, False, 0.), 'mirrored': (0, True, 0.), 'turned': (90, False, 0.),
    'brighter': (0, False, -.1), 'darker': (0, False, .12), 'mirrored, turned': (90, True, 0.)}


def views_of_one_picture(
    label: str,  # its class
) -> Figure:
    "What augmentation is: another view of a picture in each epoch, always with the same label."
    alt = (f'A solar cell with a crack, and {len(VIEWS)} views of it, one an epoch: {", ".join(VIEWS)}. Below each stands the same label, {label}.')
    return show(views_figure(label), alt)


def views_figure(label: str):  # a matplotlib figure
    "What `views_of_one_picture` shows."
    fig, ax = blank_axes((8.4, 2.5), xlim=(-.1, len(VIEWS) * 1.35), ylim=(-.75, 1.75), aspect='equal')
    for place, (name, view) in enumerate(VIEWS.items()):
        left = place * 1.35
        draw_cracked_cell(ax, left, *view)
        middle = left + .5
        ax.text(middle, 1.5, f'epoch {place + 1}', color=GREY, ha='center', va='center', fontsize=9)
        ax.text(middle, 1.2, name, color=INK, ha='center', va='center', fontsize=9)
        ax.text(middle, -.3, label, color=ORANGE, ha='center', va='center', fontsize=10)
    return fig


def draw_cracked_cell(ax, left: float, angle: float, is_mirrored: bool, darkness: float):
    "A grey square with a crack and a mark in one corner, so that a turn can be seen."
    grey = (.72 - darkness,) * 3
    ax.add_patch(FancyBboxPatch((left, 0), 1, 1, boxstyle='round,pad=0,rounding_size=.08', color=grey))
    lines = [[(.1, .85), (.3, .6), (.35, .5), (.6, .35), (.65, .12)], [(.82, .82), (.9, .82)]]
    for points in lines:
        x, y = np.array(points).T - .5
        if is_mirrored: x = -x
        turn = np.radians(angle)
        turned_x = np.cos(turn) * x - np.sin(turn) * y
        turned_y = np.sin(turn) * x + np.cos(turn) * y
        ax.plot(left + .5 + turned_x, .5 + turned_y, color=INK, lw=2.5, solid_capstyle='round')


# ---- rates on a valley ----

RATES_ON_A_VALLEY = {'too small': .02, 'right': .3, 'too large': 1.02}  # of a loss x²: each step takes x to (1 − 2·rate)·x


def steps_in_a_valley(
    n_steps: int = 8,
) -> Figure:
    "Steps of gradient descent on the same loss, at three learning rates."
    alt = (f'The same loss three times, a valley, with {n_steps} steps of gradient descent from the same place. With a rate that is too small the '
           'steps hardly leave it. With the right rate they reach the bottom. With a rate that is too large each lands on the other side, '
           'a little higher.')
    return show(valley_figure(n_steps), alt)


def descent(rate: float, n_steps: int, start: float = -1.) -> np.ndarray:  # `(n_steps + 1,)`
    "Places of gradient descent on the loss x², whose gradient is 2x."
    return start * (1 - 2 * rate) ** np.arange(n_steps + 1)


def valley_figure(n_steps: int):  # a matplotlib figure
    "What `steps_in_a_valley` shows."
    fig, axes = plt.subplots(1, 3, figsize=(8.6, 2.4), sharey=True)
    ground = np.linspace(-1.6, 1.6, 100)
    for ax, (name, rate) in zip(axes, RATES_ON_A_VALLEY.items()):
        places = descent(rate, n_steps)
        ax.plot(ground, ground ** 2, color=GREY, lw=2)
        ax.plot(places, places ** 2, 'o-', color=GREEN if name == 'right' else ORANGE, lw=1.2, ms=5)
        ax.set_title(f'rate {name}', color=INK, fontsize=11)
        ax.set(xticks=[], yticks=[], ylim=(-.1, 2.4), xlabel='a weight')
    axes[0].set_ylabel('loss')
    return fig


# ---- a restart ----

def restart_in_a_landscape() -> Figure:
    "What a warm restart does: small steps settle in a valley, large ones leave it again."
    alt = ('A loss with two valleys. Falling rates take the weights down into the first, a narrow one; there a snapshot is taken. A restart '
           'raises the rate: the next steps are large enough to cross the ridge. Falling rates take the weights down into the second valley, '
           'which is wider; there the second snapshot is taken.')
    return show(restart_figure(), alt)


def landscape(x):
    "A loss with a narrow valley near 2 and a wide one near 7."
    return 1.1 - .75 * np.exp(-((x - 2) / .55) ** 2) - .95 * np.exp(-((x - 7) / 1.5) ** 2)


def restart_figure():  # a matplotlib figure
    "What `restart_in_a_landscape` shows."
    fig, ax = plt.subplots(figsize=(7.4, 3))
    ground = np.linspace(0, 10, 300)
    ax.plot(ground, landscape(ground), color=GREY, lw=2)
    for places in (np.array([.9, 1.35, 1.7, 1.9, 2.]), np.array([4.9, 5.9, 6.5, 6.85, 7.])):
        heights = landscape(places)
        ax.plot(places[:-1], heights[:-1], 'o-', color=BLUE, ms=6, lw=1.2)
        ax.plot(places[-1], heights[-1], 's', color=GREEN, ms=10)
        ax.text(places[-1], heights[-1] - .13, 'snapshot', color=GREEN, ha='center', va='center')
    jump = FancyArrowPatch((2.05, landscape(2.) + .06), (4.85, landscape(4.9) + .08), connectionstyle='arc3,rad=-.75',
                           arrowstyle='-|>', mutation_scale=16, color=ORANGE, lw=2)
    ax.add_patch(jump)
    ax.text(3.4, 1.5, 'restart: the rate is high again', color=ORANGE, ha='center', va='center')
    ax.text(.15, 1.28, 'the rate falls', color=BLUE, va='center')
    ax.text(5.6, 1.2, 'the rate falls', color=BLUE, va='center')
    ax.set(xlim=(0, 10), ylim=(-.1, 1.65), xticks=[], yticks=[], xlabel='weights', ylabel='loss')
    return fig


# ---- groups of layers ----

def groups_of_stages(
    rates: dict,         # name of a group → its learning rate, from the picture on; the last is the head's
    n_stages: int = 9,   # of the network; the last is its head
) -> Figure:
    "A network's stages in the colours of three groups, each with a rate of its own. Raises `CourseError` where there are not three."
    if len(rates) != 3: raise CourseError(f'{len(rates)} groups cannot be drawn: give early, middle and head a rate each.')
    in_words = ', '.join(f'{name} {rate:g}' for name, rate in rates.items())
    alt = (f'{n_stages} boxes in a row, the stages of a network from the picture to its head, in three colours. Each group has a learning '
           f'rate, drawn as an arrow that is longer for a larger rate: {in_words}.')
    return show(groups_figure(rates, n_stages), alt)


def group_sizes(n_stages: int) -> list:  # stages of the early group, the middle one and the head
    "As `three_groups` cuts: the first half of the body, the second half, the head."
    early = n_stages // 2
    return [early, n_stages - 1 - early, 1]


def groups_figure(rates: dict, n_stages: int):  # a matplotlib figure
    "What `groups_of_stages` shows."
    fig, ax = blank_axes((7.6, 2.9), xlim=(-1.15, n_stages + .3), ylim=(-.3, 3.1))
    ax.text(-.6, .4, 'picture', color=GREY, ha='center', va='center')
    longest = max(rates.values())
    left = 0
    for (name, rate), size, colour in zip(rates.items(), group_sizes(n_stages), (BLUE, GREEN, ORANGE)):
        for stage in range(left, left + size):
            box = FancyBboxPatch((stage + .08, 0), .84, .8, boxstyle='round,pad=0,rounding_size=.08', color=colour)
            ax.add_patch(box)
        middle = left + size / 2
        decades = np.log10(longest / rate)
        top = 1 + max(1.1 - .35 * decades, .2)
        ax.add_patch(FancyArrowPatch((middle, .95), (middle, top), arrowstyle='-|>', mutation_scale=18, color=colour, lw=4))
        ax.text(middle, top + .3, f'{name}\nrate {rate:g}', color=colour, ha='center', va='center', fontsize=10)
        left += size
    return fig


# ---- an exported file ----

def exported_file(
    size: int,       # side of the pictures that the network takes, in pixels
    n_classes: int,
) -> Figure:
    "What an exported file holds, on the way from a picture to an answer. Raises `CourseError` where there is nothing to choose between."
    if n_classes < 2: raise CourseError(f'{n_classes} class cannot be drawn as a choice: give 2 or more.')
    alt = (f'A picture goes into a frame, the ONNX file, and three answers come out. In the frame, from left to right: the preparation, '
           f'the centre square at {size} pixels by one resize; the network; and three ways to its answers. Divided by a temperature, its '
           f'logits become probabilities of {n_classes} classes. The weights of its last layer give a map of the evidence. The distance '
           f'from the training pictures, compared with a threshold, may say: I do not know.')
    return show(exported_file_figure(size, n_classes), alt)


def exported_file_figure(size: int, n_classes: int):  # a matplotlib figure
    "What `exported_file` shows."
    fig, ax = blank_axes((8.6, 3.7), xlim=(0, 11.2), ylim=(0, 5.6))
    frame = FancyBboxPatch((2.1, .1), 6.6, 4.9, boxstyle='round,pad=0,rounding_size=.15', fill=False, edgecolor=GREY, lw=1.5)
    ax.add_patch(frame)
    ax.text(5.4, 5.3, 'one file: the network, and as text all that it must be told', color=INK, ha='center', va='center')
    middle = 2.5
    draw_box(ax, .1, middle, 1.6, 'a picture', FADED, INK)
    draw_box(ax, 2.4, middle, 1.8, f'prepare:\n{size}×{size} pixels,\none resize,\nmean and std', GREY, PAPER)
    draw_box(ax, 4.6, middle, 1.6, 'network', BLUE, PAPER)
    draw_arrow(ax, (1.7, middle), (2.4, middle))
    draw_arrow(ax, (4.2, middle), (4.6, middle))
    ways = [
        (4.2, 'logits ÷\ntemperature', f'probabilities\nof {n_classes} classes'),
        (middle, 'last layer,\nplace by place', 'where the\nevidence lies'),
        (.8, 'distance >\nthreshold?', '"I do not know"'),
    ]
    for height, inside, shown in ways:
        draw_box(ax, 6.6, height, 1.9, inside, GREY, PAPER)
        draw_box(ax, 9.1, height, 2, shown, ORANGE, PAPER)
        draw_arrow(ax, (6.2, middle), (6.6, height))
        draw_arrow(ax, (8.5, height), (9.1, height))
    return fig


def draw_box(ax, left: float, middle: float, width: float, words: str, colour: str, ink: str):
    "A box with words, whose middle has this height."
    height = .34 + .3 * len(words.splitlines())
    place = left, middle - height / 2
    ax.add_patch(FancyBboxPatch(place, width, height, boxstyle='round,pad=0,rounding_size=.08', color=colour))
    ax.text(left + width / 2, middle, words, color=ink, ha='center', va='center', fontsize=9)


def draw_arrow(ax, start: tuple, end: tuple):
    "From one box to the next."
    ax.add_patch(FancyArrowPatch(start, end, color=INK, arrowstyle='-|>', mutation_scale=11, lw=1.4, shrinkA=0, shrinkB=0))
