"""The slider of lesson 11: a search, trial by trial."""
import pandas as pd

from course_utils.config import CourseError
from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import ORANGE, grey


def _axes(values, score, label, log) -> Canvas:
    "Axes with some room around all trials."
    room = (score.max() - score.min()) * .08 + 1e-3
    pad = 1.3 if log else 1.
    xlim = values.min() / pad, values.max() * pad
    ylim = score.min() - room, score.max() + room
    return Canvas(xlim, ylim, label, 'score', xscale='log' if log else 'linear')


def _settings_words(trial) -> str:
    "The settings of one trial, a row of the table."
    settings = trial.drop(['state', 'score', 'seconds', 'test'], errors='ignore')
    words = [f'{name} {value}' if isinstance(value, str) else f'{name} {value:.3g}' for name, value in settings.items()]
    return ', '.join(words)


def search_explorer(
    table: pd.DataFrame,  # of `trials_table`, with the column `x`; a column `test` is told, too
    x: str,               # the setting on the horizontal axis
    log: bool=True,       # is that axis logarithmic?
) -> Explorer:
    "An explorer of a search, trial by trial. Raises `CourseError` where fewer than two trials are finished."
    trials = table[table.state == 'complete']
    if len(trials) < 2: raise CourseError('A search of one finished trial cannot be explored: let it run on.')
    values = trials[x].to_numpy(float)
    score = trials.score.to_numpy(float)
    canvas = _axes(values, score, x, log)
    tiny = values.max() * 1e-9  # a dot is a thick line that is as good as no line

    def dot(trial, colour, width):
        return [values[trial], values[trial] + tiny], [score[trial]] * 2, colour, width

    def shade(trial):
        "The later, the darker."
        return grey(int(200 - 170 * trial / len(trials)))

    def draw(k):
        best = int(score[:k].argmax())
        dots = [dot(trial, shade(trial), 8) for trial in range(k)]
        test = f' On the test pictures it is {trials.test.iloc[best]:.1%}.' if 'test' in trials else ''
        picture = canvas.draw([*dots, dot(best, ORANGE, 12)])
        return picture, f'After {k} trials the best is {score[best]:.1%}, at {_settings_words(trials.iloc[best])}.{test}'

    slider = Slider('k', 'trials', 1, len(trials), 1, len(trials))
    return Explorer(draw, [slider], title='A search, trial by trial',
                    alt=f'Score against {x}, a dot for each trial, later ones darker, the best one orange.')
