"""What lesson 06 shows of several views of a picture: sliders for the picture and the number of views, and reliability diagrams."""
import matplotlib.pyplot as plt, numpy as np
from scipy.special import softmax

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import GAP, fade, grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, FADED, GREY, ORANGE
from course_utils.techniques.calibration import reliability
from course_utils.techniques.tta import spread

MAX_COLUMNS = 8  # views in a row


def _spread_places(wide, n) -> np.ndarray:  # `(n,)`
    "Places of `n` pictures at equal steps from the least spread to the most."
    n = min(n, len(wide))
    steps = np.linspace(0, len(wide) - 1, n).round().astype(int)
    return np.argsort(wide)[steps]


def view_explorer(
    pics: Pictures,
    logits,         # `(V, N, C)`, from `tta_logits`
    views: list,    # the same views
    idx=None,       # the same pictures; None: the validation pictures
    n: int=24,      # how many of them, from the least spread to the most
    cell: int=104,  # side of one view, in pixels
) -> Explorer:
    "An explorer of the views of a picture: what each says, and the mean as views are added."
    idx = pics.valid if idx is None else np.asarray(idx)
    probs = softmax(np.asarray(logits, float), axis=-1)
    targets = pics.y[idx]
    wide = spread(logits)
    places = _spread_places(wide, n)
    images = np.asarray(pics.x[idx])
    seen = [view(images)[places] for view in views]  # `(n, size, size, 3)` a view
    n_views = len(views)
    numbers = np.arange(1, n_views + 1)
    columns = min(n_views, MAX_COLUMNS)
    canvas = Canvas(
        (.5, n_views + .5), (0, 1.02), 'number of views', 'p of the true class',
        width=columns * (cell + GAP), height=220,
    )

    def draw_views(picture, number, p_true):
        "All views, those that are not averaged faded."
        shown = [pictures[picture] for pictures in seen]
        shown[number:] = map(fade, shown[number:])
        titles = [f'{view} {p:.2f}' for view, p in zip(views, p_true)]
        return grid(shown, columns, titles, cell)

    def draw_curve(number, p_true, mean):
        lines = [(numbers[:number], mean[:number], BLUE, 3)]
        for k, p in zip(numbers, p_true):
            colour = ORANGE if k <= number else FADED
            lines.append(([k, k], [p, p], colour, 9))
        return canvas.draw(lines)

    def draw(picture, number):
        place = places[picture]
        p_true = probs[:, place, targets[place]]
        mean = np.cumsum(p_true) / numbers
        answer = pics.classes[probs[:number, place].mean(0).argmax()]
        truth = pics.classes[targets[place]]
        verdict = 'right' if answer == truth else 'wrong'
        tiles = draw_views(picture, number, p_true)
        curve = draw_curve(number, p_true, mean)
        return np.vstack([tiles, curve]), (
            f'This is {truth}. The plain picture gives that {p_true[0]:.2f}, '
            f'the mean of {number} view{"s" * (number > 1)} {mean[number - 1]:.2f}: '
            f'the answer is {answer}, {verdict}. The spread over all {n_views} is {wide[place]:.2f}.')

    sliders = [
        Slider('picture', 'picture, by spread', 0, len(places) - 1, 1, len(places) * 3 // 4),
        Slider('number', 'views averaged', 1, n_views, 1, n_views),
    ]
    return Explorer(draw, sliders, title='Views of a picture',
                    alt='The views of one picture, the probability of its true class in each (dots), and the running mean (line).')


def reliability_figure(
    named: dict,   # name → (probabilities `(N, C)`, labels `(N,)`)
    bins: int=15,  # of confidence
):  # a matplotlib figure
    "Reliability diagrams side by side: a bubble a bin, as large as its share of the pictures, and its gap."
    size = 2.9 * len(named), 3
    fig, axes = plt.subplots(1, len(named), figsize=size, sharey=True, squeeze=False)
    for ax, name in zip(axes[0], named):
        probs, targets = named[name]
        table = reliability(probs, targets, bins)
        least = 1 / np.shape(probs)[1]  # nobody is less sure than this of the answer they give
        ax.plot([least, 1], [least, 1], color=GREY, lw=1)
        ax.vlines(table.confidence, table.confidence, table.accuracy, color=ORANGE, lw=2)
        areas = 8 + 500 * table.n / table.n.sum()
        ax.scatter(table.confidence, table.accuracy, s=areas, color=BLUE, alpha=.75, zorder=3)
        ax.set(title=name, xlabel='confidence')
        ax.set(xlim=(least - .04, 1.04), ylim=(-.04, 1.04))
        ax.title.set_fontsize(10)
    axes[0, 0].set_ylabel('share that is right')
    return fig
