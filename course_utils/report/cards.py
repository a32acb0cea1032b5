"""The card at the top of a lesson (minutes, what is needed, what will be learnt, the pictures, what to expect), and its last three lines."""
from course_utils.config import profile
from course_utils.data.sources import subset_note
from course_utils.report.headlines import headline_of
from course_utils.report.results import read_results
from course_utils.show.html import card
from course_utils.show.words import plural
from course_utils.training.learner import device_name


class Card:
    "A few lines in a frame."
    def __init__(self,
        rows: dict,    # name → text
        folded=None,   # the same for lines that open at a click, such as a result that would spoil a guess
    ):
        self.rows = rows
        self.folded = folded or {}

    def __repr__(self):
        return '\n'.join(f'{name}: {text}' for name, text in self.rows.items())

    def _repr_html_(self):
        return card(self.rows, self.folded)

    def _repr_mimebundle_(self, **_):
        return {'text/html': self._repr_html_(), 'text/plain': repr(self)}


def at_a_glance(
    lesson: str,  # the notebook's name without ending, `00_overfitting`
    need: str,    # what the learner should know or have
    able: str,    # what the learner will be able to do
    data: str | None = None,  # the data set, where the lesson chooses it; None reads `COURSE_DATA`
) -> Card:
    "The card at the top of a lesson. Minutes and the result are what `make lessons` measured last; the result is folded away, as the learner guesses first."
    minutes = measured_minutes(lesson)
    kernel = f'This kernel: profile {profile().name} on {device_name()}.'
    rows = {
        'Minutes': f'{minutes}. {kernel}' if minutes else kernel,
        'You need': need,
        'You will be able to': able,
    }
    pictures = subset_note(data)
    if pictures: rows['Pictures'] = f'{pictures}.'
    number = lesson.split('_')[0]
    headline = headline_of(number)
    folded = {'What came out here (after your guess)': headline} if headline else {}
    return Card(rows, folded)


def conclusion(
    saw: str,       # what the runs of this lesson showed, with their numbers
    why: str,       # what explains it
    tomorrow: str,  # what to do with pictures of one's own
) -> Card:
    "The three lines that a lesson ends with. Their numbers come from its runs, so none can be out of date."
    return Card({'What we saw': saw, 'Why': why, 'What to do tomorrow': tomorrow})


def measured_minutes(lesson: str) -> str:
    """Minutes of a lesson at each profile but smoke, whose minutes no learner spends, as `make lessons` measured them; empty where
    it has not."""
    runs = read_results('lessons').get(lesson, {})
    minutes = []
    for name, run in runs.items():
        if name == 'smoke': continue
        cores = plural(run['torch_threads'], 'thread') if run.get('torch_threads') else ''
        where = ', '.join(filter(None, [run['device'], cores]))
        minutes.append(f"{run['seconds'] / 60:.1f} at profile {name} ({where})")
    return '; '.join(minutes)
