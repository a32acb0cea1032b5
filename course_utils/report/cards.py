"""The card at the top of a lesson: minutes, what is needed, what will be learnt, the pictures, what to expect."""
from course_utils.config import profile
from course_utils.data.sources import subset_note
from course_utils.report.results import read_results
from course_utils.show.html import card
from course_utils.training.learner import device_name


class Card:
    "A few lines in a frame."
    def __init__(self,
        rows: dict,  # name → text
    ):
        self.rows = rows

    def __repr__(self):
        return '\n'.join(f'{name}: {text}' for name, text in self.rows.items())

    def _repr_html_(self):
        return card(self.rows)

    def _repr_mimebundle_(self, **_):
        return {'text/html': self._repr_html_(), 'text/plain': repr(self)}


def at_a_glance(
    lesson: str,  # the notebook's name without ending, `00_overfitting`
    need: str,    # what the learner should know or have
    able: str,    # what the learner will be able to do
    data: str | None = None,  # the data set, where the lesson chooses it; None reads `COURSE_DATA`
) -> Card:
    "The card at the top of a lesson. Minutes and the expected result are what `make lessons` measured last."
    rows = {
        'Minutes': f'{measured_minutes(lesson)}. This kernel: profile {profile().name} on {device_name()}.',
        'You need': need,
        'You will be able to': able,
    }
    pictures = subset_note(data)
    if pictures: rows['Pictures'] = f'{pictures}.'
    number = lesson.split('_')[0]
    headline = read_results(f'lesson_{number}').get('headline')
    if headline: rows['Expect'] = headline
    return Card(rows)


def measured_minutes(lesson: str) -> str:
    "Minutes of a lesson at each profile but smoke, whose minutes no learner spends, as `make lessons` measured them."
    runs = read_results('lessons').get(lesson, {})
    minutes = [f"{run['seconds'] / 60:.1f} at profile {name} ({run['device']})" for name, run in runs.items() if name != 'smoke']
    return '; '.join(minutes) or 'not measured yet'
