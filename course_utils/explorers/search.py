"""Let the machine try settings, stop it and start it again with nothing lost, and find out what the best it found is worth on pictures it never saw."""
import pandas as pd

from course_utils.config import CourseError
from course_utils.show.canvas import Canvas
from course_utils.show.explorer import Explorer, Slider


def search_explorer(
    table: pd.DataFrame,  # of `trials_table`, with the column `x`; a column `test` is told, too
    x: str,               # the setting on the horizontal axis
    log: bool=True,       # is that axis logarithmic?
) -> Explorer:
    "An explorer of a search, trial by trial."
    t = table[table.state == 'complete']
    if len(t) < 2: raise CourseError('A search of one finished trial cannot be explored: let it run on.')
    places, score = t[x].to_numpy(float), t.score.to_numpy(float)
    room, pad = (score.max() - score.min()) * .08 + 1e-3, 1.3 if log else 1.
    canvas = Canvas((places.min() / pad, places.max() * pad), (score.min() - room, score.max() + room), x, 'score', xscale='log' if log else 'linear')
    tick = places.max() * 1e-9
    def draw(k):
        best = int(score[:k].argmax())
        dot = lambda i, colour, width: ([places[i], places[i] + tick], [score[i]] * 2, colour, width)
        # light to dark: the later, the darker
        dots = [dot(i, '#%02x%02x%02x' % ((int(200 - 170 * i / len(t)),) * 3), 8) for i in range(k)]
        numbers = t.iloc[best].drop(['state', 'score', 'seconds', 'test'], errors='ignore')
        settings = ', '.join(f'{n} {v}' if isinstance(v, str) else f'{n} {v:.3g}' for n, v in numbers.items())
        test = f' On the test pictures it is {t.test.iloc[best]:.1%}.' if 'test' in t else ''
        return canvas.draw([*dots, dot(best, '#D55E00', 12)]), f'After {k} trials the best is {score[best]:.1%}, at {settings}.{test}'
    return Explorer(draw, [Slider('k', 'trials', 1, len(t), 1, len(t))], title='A search, trial by trial',
                    alt=f'Score against {x}, a dot for each trial, later ones darker, the best one orange.')
