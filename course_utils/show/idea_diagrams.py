"""Diagrams of the ideas of lessons 06, 07, 08, 11 and 13. Three of them are drawn from numbers of a lesson's own run."""
import matplotlib.pyplot as plt, numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from course_utils.config import CourseError
from course_utils.show.diagrams import blank_axes
from course_utils.show.figures import Figure, show
from course_utils.show.palette import BLUE, FADED, GREY, INK, ORANGE, PAPER, SKY

ARROW = dict(arrowstyle='-|>', mutation_scale=14, lw=1.6, color=GREY)
GLYPH = (  # a letter that no turn and no mirror leaves as it is
    '......',
    '.####.',
    '.#....',
    '.###..',
    '.#....',
    '......',
)


def empty_axes(width: float, height: float) -> tuple:  # figure, axes; a unit is an inch
    "Axes without lines, as large as the figure."
    return blank_axes((width, height), xlim=(0, width), ylim=(0, height))


def arrow(ax, start: tuple, end: tuple): ax.add_patch(FancyArrowPatch(start, end, **ARROW))


def place_image(ax, image, left: float, bottom: float, side: float, **options):
    "An image on axes whose unit is an inch, with a thin frame."
    right, top = left + side, bottom + side
    ax.imshow(image, extent=(left, right, bottom, top), interpolation='nearest', aspect='auto', zorder=2, **options)
    ax.add_patch(Rectangle((left, bottom), side, side, fill=False, color=GREY, lw=.8, zorder=3))


# ---- lesson 06: views of one picture, averaged ----

def glyph_pixels() -> np.ndarray:  # `(1, 6, 6, 3)` uint8
    "`GLYPH` as a picture, dark on light."
    is_ink = np.array([[mark == '#' for mark in row] for row in GLYPH])
    grey = np.where(is_ink, 40, 225).astype(np.uint8)
    return np.repeat(grey[None, ..., None], 3, -1)


def averaged_views(
    views: list,   # functions of pictures `(N, H, W, 3)` uint8, as in lesson 06
    probs,         # `(views,)`: what the network gives the same class in each view
) -> Figure:
    "One picture in several views, the network's answer for each, and their mean. Raises `CourseError` where not each view has an answer."
    if len(views) < 2 or len(views) != len(probs):
        raise CourseError(f'{len(views)} views and {len(probs)} answers make no average: give two views or more, and an answer for each.')
    answers = ', '.join(f'{view} {p:.2f}' for view, p in zip(views, probs))
    alt = (f'A letter F in {len(views)} views, each with an arrow through the same network to a bar, the probability of one class '
           f'for a real picture: {answers}. A dashed line is their mean, {np.mean(probs):.2f}: the answer of test-time augmentation.')
    return show(averaged_views_figure(views, probs), alt)


def averaged_views_figure(views: list, probs):  # a matplotlib figure
    "What `averaged_views` shows."
    height = .62 * len(views) + .7
    fig, ax = empty_axes(7.4, height)
    for row, (view, p) in enumerate(zip(views, probs)):
        bottom = height - .62 * (row + 1) - .1
        middle = bottom + .25
        ax.text(.05, middle, str(view), color=INK, va='center')
        place_image(ax, view(glyph_pixels())[0], 1.3, bottom, .5)
        arrow(ax, (1.9, middle), (2.5, middle))
        arrow(ax, (3.7, middle), (4.2, middle))
        ax.add_patch(Rectangle((4.3, bottom + .06), 2.4 * p, .38, color=BLUE))
        ax.text(6.8, middle, f'{p:.2f}', color=INK, va='center')
    ax.add_patch(Rectangle((2.55, .55), 1.1, height - .65, color=SKY, alpha=.35))
    ax.text(3.1, (height + .45) / 2, 'the same\nnetwork', color=INK, ha='center', va='center')
    mean = 4.3 + 2.4 * np.mean(probs)
    ax.plot([mean, mean], [.35, height - .05], color=ORANGE, lw=2, ls='--')
    ax.text(mean, .15, f'mean {np.mean(probs):.2f}', color=ORANGE, ha='center', va='center')
    return fig


# ---- lesson 07: maps, weighted by gradients ----

def weighted_sum(
    maps,     # `(C, h, w)` of one layer
    weights,  # `(C,)`: mean gradients
) -> np.ndarray:  # `(h, w)`, zero or more
    "The channels, each times its weight, added up; what is below zero is cut off."
    return np.maximum(np.tensordot(weights, maps, 1), 0)


def weighted_maps(
    maps,             # `(C, h, w)`: a layer's channels for one picture
    weights,          # `(C,)`: how much the class's logit rises with each, the mean of its gradient
    n_shown: int = 3, # channels that are drawn: those that count most
) -> Figure:
    "How Grad-CAM is made: channels, each times its weight, added up. Raises `CourseError` where not each channel has a weight."
    maps, weights = np.asarray(maps, float), np.asarray(weights, float)
    if maps.ndim != 3 or weights.shape != (len(maps),):
        raise CourseError(f'Maps of shape {maps.shape} and weights of shape {weights.shape} do not fit: give (C, h, w) and (C,).')
    signs = ', '.join(f'{weights[channel]:+.2g}' for channel in strongest(maps, weights, n_shown))
    alt = (f'{n_shown} channels of a layer, each a map of {maps.shape[1]}×{maps.shape[2]} places, with their weights, the mean gradients: '
           f'{signs}. They and {len(maps) - n_shown} more are added up, what is below zero is cut off, and the Grad-CAM map is left.')
    return show(weighted_maps_figure(maps, weights, n_shown), alt)


def strongest(maps, weights, n: int) -> np.ndarray:  # `(n,)` numbers of channels
    "The channels whose weighted maps hold most."
    share = np.abs(weights) * np.abs(maps).sum((1, 2))
    return np.argsort(-share, kind='stable')[:n]


def weighted_maps_figure(maps, weights, n_shown: int):  # a matplotlib figure
    "What `weighted_maps` shows."
    step = 1.75
    fig, ax = empty_axes(step * (n_shown + 1) + 1.7, 2.2)
    for place, channel in enumerate(strongest(maps, weights, n_shown)):
        left = .1 + step * place
        place_image(ax, maps[channel], left, .55, 1.3, cmap='Greys_r')
        colour = BLUE if weights[channel] > 0 else ORANGE
        ax.text(left + .65, .28, f'× {weights[channel]:+.2g}', color=colour, ha='center', va='center')
        ax.text(left + 1.52, 1.2, '+', color=INK, ha='center', va='center', fontsize=16)
        ax.text(left + .65, 2.02, f'channel {channel}', color=INK, ha='center', va='center')
    left = .1 + step * n_shown
    ax.text(left + .45, 1.2, f'{len(maps) - n_shown}\nmore', color=GREY, ha='center', va='center')
    arrow(ax, (left + .95, 1.2), (left + 1.6, 1.2))
    ax.text(left + 1.27, 1.45, 'ReLU', color=GREY, ha='center', va='center', fontsize=10)
    place_image(ax, weighted_sum(maps, weights), left + 1.75, .55, 1.3, cmap='cividis')
    ax.text(left + 2.4, 2.02, 'Grad-CAM', color=INK, ha='center', va='center')
    return fig


# ---- lesson 08: depth, width and the side of the picture ----

def scaled_networks(
    depth: float = 2,    # times the layers
    width: float = 1.5,  # times the channels
    side: float = 1.5,   # times the side of the picture
) -> Figure:
    "A network scaled along each of three axes, and what each does to the work. Raises `CourseError` for a factor that is not above 1."
    factors = dict(depth=depth, width=width, side=side)
    for name, factor in factors.items():
        if not factor > 1: raise CourseError(f'{name} is {factor}, but only a factor above 1 makes the network larger.')
    alt = (f'Four small networks as rows of blocks, a layer each. Beside the base: {depth:g} times as deep, which has more blocks and '
           f'about {depth:g} times the work; {width:g} times as wide, whose blocks are thicker, with {width**2:.3g} times the work; '
           f'and fed pictures of {side:g} times the side, whose blocks are taller, with {side**2:.3g} times the work.')
    return show(scaled_networks_figure(depth, width, side), alt)


def scaled_networks_figure(depth: float, width: float, side: float):  # a matplotlib figure
    "What `scaled_networks` shows."
    fig, ax = empty_axes(8.4, 2.7)
    panels = (
        ('base', 1, 1, 1, 'work × 1'),
        (f'deeper × {depth:g}', depth, 1, 1, f'work × {depth:g}'),
        (f'wider × {width:g}', 1, width, 1, f'work × {width:g}² = {width**2:.3g}'),
        (f'larger pictures × {side:g}', 1, 1, side, f'work × {side:g}² = {side**2:.3g}'),
    )
    for place, (name, d, w, s, work) in enumerate(panels):
        middle = 1.05 + 2.1 * place
        draw_network(ax, middle, d, w, s)
        ax.text(middle, 2.5, name, color=INK, ha='center', va='center')
        ax.text(middle, .12, work, color=GREY, ha='center', va='center', fontsize=10)
    return fig


def draw_network(ax, middle: float, depth: float, width: float, side: float):
    "A layer is a block: its height is the side of its map, its thickness the number of its channels."
    n_layers = round(4 * depth)
    thickness = .13 * width
    pitch = thickness + .06
    left = middle - pitch * n_layers / 2
    for layer in range(n_layers):
        height = side * (1.1 - .8 * layer / n_layers)
        colour = ORANGE if layer == n_layers - 1 else BLUE
        ax.add_patch(Rectangle((left + pitch * layer, 1.3 - height / 2), thickness, height, color=colour))


# ---- lesson 11: chosen by few pictures, judged by others ----

def chosen_and_judged(
    chosen_by,      # `(trials,)` scores on the pictures that the choice is made by
    judged_by,      # `(trials,)` scores of the same trials on other pictures
    n_chosen_by: int,  # how many pictures there are of each
    n_judged_by: int,
) -> Figure:
    "What becomes of the winner of a search on other pictures. Raises `CourseError` where not each trial has both scores."
    chosen_by, judged_by = np.asarray(chosen_by, float), np.asarray(judged_by, float)
    if len(chosen_by) < 2 or chosen_by.shape != judged_by.shape:
        raise CourseError(f'{len(chosen_by)} and {len(judged_by)} scores make no choice: give two trials or more, with both scores each.')
    winner = chosen_by.argmax()
    alt = (f'A line for each of {len(chosen_by)} trials, from its accuracy on the {n_chosen_by} pictures of the choice to that on '
           f'{n_judged_by} others. The winner has {chosen_by[winner]:.1%} on the left, the mean of all being {chosen_by.mean():.1%}; '
           f'on the right it has {judged_by[winner]:.1%}, the mean being {judged_by.mean():.1%}.')
    return show(chosen_and_judged_figure(chosen_by, judged_by, n_chosen_by, n_judged_by), alt)


def chosen_and_judged_figure(chosen_by, judged_by, n_chosen_by: int, n_judged_by: int):  # a matplotlib figure
    "What `chosen_and_judged` shows."
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    winner = chosen_by.argmax()
    for looks, worth in zip(chosen_by, judged_by): ax.plot([0, 1], [looks, worth], color=FADED, lw=1)
    means = [chosen_by.mean(), judged_by.mean()]
    ax.plot([0, 1], means, color=BLUE, lw=2.5, ls='--', label='mean of all trials')
    ax.plot([0, 1], [chosen_by[winner], judged_by[winner]], 'o-', color=ORANGE, lw=2.5, label='the winner')
    ax.set(xlim=(-.1, 1.1), xticks=[0, 1], ylabel='accuracy')
    ax.set_xticklabels([f'on the {n_chosen_by} pictures\nit was chosen by', f'on {n_judged_by} others'])
    ax.legend(frameon=False, facecolor=PAPER)
    return fig


# ---- lesson 13: what each technique changes in one step of training ----

STEP_PARTS = {  # a part of a training step → the techniques of lesson 13 that change it
    'pictures': ('TrivialAugment', 'growing pictures', 'mixup, CutMix'),
    'labels': ('label smoothing', 'mixup, CutMix'),
    'weights': ('averaged weights',),
}


def step_of_training() -> Figure:
    "One step of training as boxes, each with the newer techniques that change it."
    changed = '; '.join(f"{part}: {', '.join(names)}" for part, names in STEP_PARTS.items())
    alt = ('Boxes of one training step. Pictures go into the network, which has weights; its answer and the labels go into the loss, '
           f'which moves the weights. Under each box the techniques that change it: {changed}.')
    return show(step_of_training_figure(), alt)


def step_of_training_figure():  # a matplotlib figure
    "What `step_of_training` shows."
    fig, ax = empty_axes(8.4, 2.7)
    lefts = {'pictures': .1, 'weights': 2.4, 'loss': 4.7, 'labels': 6.9}
    titles = {'pictures': 'pictures', 'weights': 'network\n(weights)', 'loss': 'loss', 'labels': 'labels'}
    for part, left in lefts.items():
        colour = SKY if part in STEP_PARTS else PAPER
        ax.add_patch(Rectangle((left, 1.5), 1.4, .8, facecolor=colour, edgecolor=GREY, alpha=.6))
        ax.text(left + .7, 1.9, titles[part], color=INK, ha='center', va='center')
        for row, name in enumerate(STEP_PARTS.get(part, ())):
            ax.text(left + .7, 1.2 - .3 * row, name, color=BLUE, ha='center', va='center', fontsize=10)
    arrow(ax, (1.5, 1.9), (2.4, 1.9))
    arrow(ax, (3.8, 1.9), (4.7, 1.9))
    arrow(ax, (6.9, 1.9), (6.1, 1.9))
    ax.plot([5.4, 5.4, 3.1], [2.3, 2.55, 2.55], color=GREY, lw=1.6)
    arrow(ax, (3.1, 2.55), (3.1, 2.3))
    ax.text(4.25, 2.62, 'gradients move the weights', color=GREY, ha='center', va='bottom', fontsize=10)
    ax.set(ylim=(0, 2.95))
    return fig
