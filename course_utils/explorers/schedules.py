"""Let the learning rate fall to nought along a cosine, and then, perhaps, jump back up and fall again."""
import numpy as np

from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.schedules import SGDR, stops_after


def schedule_designer(longest: int=60) -> Explorer:
    "Sliders for a schedule with warm restarts, its curve, its total length, and a warning."
    canvas = Canvas((0, longest), (0, 1.06), 'epoch', 'share of the highest rate', width=760)
    at = np.arange(longest * 16)
    def draw(first, mult, low, decay, epochs):
        s = SGDR(first, mult, low, decay)
        rates = np.array([s(step, 16) for step in at.tolist()])
        run = at <= epochs * 16
        lines = [(at / 16, rates, '#c8c8c8', 1), (at[run] / 16, rates[run], '#0072B2', 2)]
        return canvas.draw(lines, [(epochs, '#D55E00', 'end of the run')]), s.story(epochs)
    return Explorer(draw, [Slider('first', 'first cycle (epochs)', 1, 30, 1, 1), Slider('mult', 'multiplier', 1., 4., .5, 2.),
                           Slider('low', 'minimum rate', 0., .5, .05, 0.), Slider('decay', 'peak decay', .5, 1., .05, 1.),
                           Slider('epochs', 'epochs of the run', 1, longest, 1, 15)],
                    alt='Learning rate against epoch, with warm restarts.', title='Schedule designer')


def patience_explorer(
    curves: dict,       # name → validation loss of each epoch, three at most
    most: int=10,       # the longest patience
    patience: int=2,    # where the slider begins
) -> Explorer:
    "Recorded validation losses, and where early stopping would have ended each run."
    colours, longest = ('#0072B2', '#D55E00', '#009E73'), max(map(len, curves.values()))
    top = 1.1 * np.quantile(np.concatenate([list(c) for c in curves.values()]), .95)
    canvas = Canvas((.5, longest + .5), (0, top), 'epoch', 'validation loss', width=760)
    def draw(patience, min_delta):
        lines, marks, says = [], [], []
        for (name, loss), colour in zip(curves.items(), colours):
            loss, (stop, best) = np.asarray(loss), stops_after(loss, patience, min_delta)
            at = np.arange(1, len(loss) + 1)
            lines += [(at, loss, '#c8c8c8', 1), (at[:stop], loss[:stop], colour, 2)]
            if stop: marks.append((stop, colour, name))
            says.append(f"{name}: {f'stops after epoch {stop}' if stop else 'runs to its end'}, takes epoch {best} with loss {loss[best - 1]:.3f}"
                        + (f' (at the end {loss[-1]:.3f}, lowest {loss.min():.3f})'))
        return canvas.draw(lines, marks), '; '.join(says) + '.'
    return Explorer(draw, [Slider('patience', 'patience (epochs)', 1, most, 1, patience), Slider('min_delta', 'min_delta', 0., .1, .005, 0.)],
                    title='Early stopping on recorded losses', alt='Validation loss against epoch, and where each run would stop.')
