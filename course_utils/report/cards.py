"""Figures with a description, grids of pictures, curves, and the numbers that cards and tables read."""
import html

from course_utils.config import profile
from course_utils.data.sources import how_many
from course_utils.report.results import read_results
from course_utils.training.learner import device_name


class Card:
    "A few lines in a frame."
    def __init__(self, rows): self.rows = rows
    def _repr_mimebundle_(self, **_):
        style = 'border:1px solid #8886;border-left:4px solid #0072B2;border-radius:6px;padding:.6em 1em;margin:.5em 0;max-width:44em'
        body = ''.join(f'<div style="margin:.25em 0"><b>{html.escape(k)}</b> · {html.escape(v)}</div>' for k, v in self.rows.items())
        return {'text/html': f'<div class="course-card" style="{style}">{body}</div>', 'text/plain': '\n'.join(f'{k}: {v}' for k, v in self.rows.items())}


def at_a_glance(
    lesson: str,  # the notebook's name without ending, `00_overfitting`
    need: str,    # what the learner should know or have
    able: str,    # what the learner will be able to do
    data: str | None = None,  # the data set, where the lesson chooses it; None reads `COURSE_DATA`
) -> Card:
    "The card at the top of a lesson. Minutes and the expected result are what `make lessons` measured last."
    times = read_results('lessons').get(lesson, {})
    minutes = '; '.join(f"{t['seconds'] / 60:.1f} at profile {p} ({t['device']})" for p, t in times.items() if p != 'smoke')
    rows = {'Minutes': (minutes or 'not measured yet') + f'. This kernel: profile {profile().name} on {device_name()}.',
            'You need': need, 'You will be able to': able}
    if pictures := how_many(data): rows['Pictures'] = f'{pictures}.'
    if expected := read_results(f"lesson_{lesson.split('_')[0]}").get('headline'): rows['Expect'] = expected
    return Card(rows)
