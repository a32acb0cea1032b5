"""The sliders of lesson 04: a schedule with warm restarts, and how patient early stopping is."""
import numpy as np

from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, FADED, GREEN, ORANGE
from course_utils.techniques.schedules import SGDR, stops_after

DRAWN_STEPS = 16  # points of the drawn schedule in an epoch


def schedule_designer(
    longest: int=60,  # epochs that can be drawn
) -> Explorer:
    "Sliders for a schedule with warm restarts, its curve, its total length, and a warning."
    canvas = Canvas((0, longest), (0, 1.06), 'epoch', 'share of the highest rate', width=760)
    steps = np.arange(longest * DRAWN_STEPS)
    epoch_of_step = steps / DRAWN_STEPS

    def draw(first, mult, low, decay, epochs):
        schedule = SGDR(first, mult, low, decay)
        rates = np.array([schedule(step, DRAWN_STEPS) for step in steps.tolist()])
        is_run = steps <= epochs * DRAWN_STEPS
        lines = [
            (epoch_of_step, rates, FADED, 1),
            (epoch_of_step[is_run], rates[is_run], BLUE, 2),
        ]
        return canvas.draw(lines, [(epochs, ORANGE, 'end of the run')]), schedule.story(epochs)

    sliders = [
        Slider('first', 'first cycle (epochs)', 1, 30, 1, 1),
        Slider('mult', 'multiplier', 1., 4., .5, 2.),
        Slider('low', 'minimum rate', 0., .5, .05, 0.),
        Slider('decay', 'peak decay', .5, 1., .05, 1.),
        Slider('epochs', 'epochs of the run', 1, longest, 1, 15),
    ]
    return Explorer(draw, sliders, alt='Learning rate against epoch, with warm restarts.', title='Schedule designer')


def patience_explorer(
    curves: dict,             # name → validation loss of each epoch, three at most
    max_patience: int=10,     # right end of the slider
    patience: int=2,          # where the slider begins
) -> Explorer:
    "Recorded validation losses, and where early stopping would have ended each run."
    curves = {name: np.asarray(losses) for name, losses in curves.items()}
    longest = max(len(losses) for losses in curves.values())
    top = 1.1 * np.quantile(np.concatenate(list(curves.values())), .95)
    canvas = Canvas((.5, longest + .5), (0, top), 'epoch', 'validation loss', width=760)

    def words(name, losses, stop, best):
        end = f'stops after epoch {stop}' if stop else 'runs to its end'
        return (f'{name}: {end}, takes epoch {best} with loss {losses[best - 1]:.3f} '
                f'(at the end {losses[-1]:.3f}, lowest {losses.min():.3f})')

    def draw(patience, min_delta):
        lines = []
        marks = []
        sentences = []
        for (name, losses), colour in zip(curves.items(), (BLUE, ORANGE, GREEN)):
            stop, best = stops_after(losses, patience, min_delta)
            epochs = np.arange(1, len(losses) + 1)
            lines.append((epochs, losses, FADED, 1))
            lines.append((epochs[:stop], losses[:stop], colour, 2))
            if stop: marks.append((stop, colour, name))
            sentences.append(words(name, losses, stop, best))
        return canvas.draw(lines, marks), '; '.join(sentences) + '.'

    sliders = [
        Slider('patience', 'patience (epochs)', 1, max_patience, 1, patience),
        Slider('min_delta', 'min_delta', 0., .1, .005, 0.),
    ]
    return Explorer(draw, sliders, title='Early stopping on recorded losses',
                    alt='Validation loss against epoch, and where each run would stop.')
