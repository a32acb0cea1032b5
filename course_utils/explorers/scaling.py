"""The slider of lesson 08: the same seconds for every network, and what each has reached by then."""
import numpy as np

from course_utils.config import CourseError
from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import CYCLE, FADED, GREY

STEP = 5  # per cent of the longest training


def epoch_ends(run) -> np.ndarray:  # `(epochs,)` seconds
    "When each epoch of a `Run` was over, all epochs being equally long."
    n_epochs = len(run.history)
    return run.seconds * np.arange(1, n_epochs + 1) / n_epochs


def reached(run, seconds: float) -> int:
    "How many epochs were over by then."
    return int((epoch_ends(run) <= seconds * 1.000001).sum())


def _axes(runs: dict) -> Canvas:
    "Axes that hold the second half of every curve: the first epochs may lie far above."
    losses = [run.history.valid_loss.to_numpy() for run in runs.values()]
    low = min(loss.min() for loss in losses)
    high = max(loss[len(loss) // 2:].max() for loss in losses)
    longest = max(run.seconds for run in runs.values())
    return Canvas((0, longest * 1.03), (low - .02, high + .05), 'seconds of training', 'valid loss')


def _state_words(name: str, run, n_epochs: int) -> str:
    "One network after so many epochs."
    if not n_epochs: return f'{name} has not finished its first epoch'
    row = run.history.iloc[n_epochs - 1]
    return f'{name} {n_epochs} epochs, loss {row.valid_loss:.3f}, accuracy {row.valid_accuracy:.1%}'


def scaling_explorer(
    runs: dict,  # name → `Run`, with its history and seconds
    title: str='The same seconds for every network',
) -> Explorer:
    "An explorer that gives all trainings the same time, and shows how far each has come. Raises `CourseError` for fewer than two."
    if len(runs) < 2: raise CourseError('There is one training, but a slider that compares needs at least two.')
    if len(runs) > len(CYCLE): raise CourseError(f'{len(runs)} curves cannot be told by colour: give at most {len(CYCLE)} trainings.')
    canvas = _axes(runs)
    longest = max(run.seconds for run in runs.values())

    def draw(share):
        seconds = longest * share / 100
        faded, lines, words = [], [], []
        for (name, run), colour in zip(runs.items(), CYCLE):
            n = reached(run, seconds)
            ends, loss = epoch_ends(run), run.history.valid_loss
            faded.append((ends, loss, FADED, 1))
            lines.append((ends[:n], loss[:n], colour, 3))
            words.append(_state_words(name, run, n))
        drawn = [line for line in [*faded, *lines] if len(line[0]) > 1]
        picture = canvas.draw(drawn, [(seconds, GREY, f'{seconds:.0f} s')])
        return picture, f"After {seconds:.0f} s: {'; '.join(words)}."

    slider = Slider('share', 'time, % of the longest training', STEP, 100, STEP, 100)
    return Explorer(draw, [slider], title=title,
                    alt='Validation loss against seconds of training, a curve for each network, in colour up to a time that moves.')
