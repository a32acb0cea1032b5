"""Ask the network about several views of the same picture, and average its answers."""
import matplotlib.pyplot as plt, numpy as np
from scipy.special import softmax

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.calibration import reliability
from course_utils.techniques.tta import spread


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
    p, targets, wide = softmax(np.asarray(logits, float), axis=-1), pics.y[idx], spread(logits)
    chosen = np.argsort(wide)[np.linspace(0, len(idx) - 1, min(n, len(idx))).round().astype(int)]
    x = np.asarray(pics.x[idx])
    pictures, total, columns = [view(x)[chosen] for view in views], len(views), min(len(views), 8)
    width = columns * (cell + 4)
    canvas = Canvas((.5, total + .5), (0, 1.02), 'number of views', 'p of the true class', width=width, height=220)
    def draw(picture, number):
        i, at = chosen[picture], np.arange(1, total + 1)
        each, named, true = p[:, i, targets[i]], pics.classes[p[:number, i].mean(0).argmax()], pics.classes[targets[i]]
        mean = np.cumsum(each) / at
        shown = [v[picture] if k < number else (v[picture] * .25 + 191).astype(np.uint8) for k, v in enumerate(pictures)]
        top = grid(shown, columns, [f'{view} {q:.2f}' for view, q in zip(views, each)], cell)
        dots = [([k, k], [q, q], '#D55E00' if k <= number else '#c8c8c8', 9) for k, q in zip(at, each)]
        curve = canvas.draw([(at[:number], mean[:number], '#0072B2', 3), *dots])
        return np.vstack([top, curve]), (f'This is {true}. The plain picture gives that {each[0]:.2f}, the mean of {number} view{"s" * (number > 1)} '
            f'{mean[number - 1]:.2f}: the answer is {named}, {"right" if named == true else "wrong"}. The spread over all {total} is {wide[i]:.2f}.')
    sliders = [Slider('picture', 'picture, by spread', 0, len(chosen) - 1, 1, len(chosen) * 3 // 4),
               Slider('number', 'views averaged', 1, total, 1, total)]
    return Explorer(draw, sliders, title='Views of a picture',
                    alt='The views of one picture, the probability of its true class in each (dots), and the running mean (line).')


def reliability_figure(
    named: dict,  # name → (probabilities, labels)
    bins: int=15,
):
    "Reliability diagrams side by side, as a matplotlib figure: a bubble a bin, as large as its share of the pictures, and its gap."
    fig, axes = plt.subplots(1, len(named), figsize=(2.9 * len(named), 3), sharey=True, squeeze=False)
    for ax, (name, (probs, targets)) in zip(axes[0], named.items()):
        t, least = reliability(probs, targets, bins), 1 / np.shape(probs)[1]
        ax.plot([least, 1], [least, 1], color='#6b6b6b', lw=1)
        ax.vlines(t.confidence, t.confidence, t.accuracy, color='#D55E00', lw=2)
        ax.scatter(t.confidence, t.accuracy, s=8 + 500 * t.n / t.n.sum(), color='#0072B2', alpha=.75, zorder=3)
        ax.set(title=name, xlabel='confidence', xlim=(least - .04, 1.04), ylim=(-.04, 1.04))
        ax.title.set_fontsize(10)
    axes[0, 0].set_ylabel('share that is right')
    return fig
