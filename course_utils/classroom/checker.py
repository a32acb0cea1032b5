"""The learner's four commands: `check` says what is wrong, `hint` has three rungs, `solution` shows code, `progress` a table."""
import contextlib, copy, inspect, io, random, sys, time, traceback
from dataclasses import dataclass

import numpy as np
from IPython.display import display

from course_utils.classroom.answers import answers_record
from course_utils.classroom.compare import Wrong, equal, short_repr
from course_utils.classroom.exercise import Exercise, all_exercises, find_exercise
from course_utils.classroom.time_limit import TimeUp, time_limit
from course_utils.config import CourseError
from course_utils.show.html import LINE_BREAK, Message, cell, element, frame, in_html, join, table

ROUNDS = 3  # of fresh inputs for each check
TEXT_LEFT = 'text-align:left;vertical-align:top'  # of a cell in the table of progress


class AskedFunction:
    "A learner's function. Calling it gives what it gives, or raises `Wrong`."
    def __init__(self,
        function,
        changes: bool=False,  # may it change what it is given?
    ):
        self.function, self.changes = function, changes

    def __call__(self, *args):
        original = None if self.changes else copy.deepcopy(args)
        result = self._result(args)
        if not self.changes and not equal(original, args):
            raise Wrong(f"{self._call(original)} changes what it is given. Work on a copy, so that whoever called it still has theirs.")
        if result is None and not self.changes:
            raise Wrong(f"{self._call(args)} gives None. What it has worked out must be returned.")
        return result

    def _result(self, args):
        call = self._call(args)
        try: return self.function(*args)
        except (TimeUp, KeyboardInterrupt): raise
        except BaseException as error:
            message = f': {error}' if str(error) else ''
            line = _line_of(error, self.function)
            raise Wrong(f"{call} stops with {type(error).__name__}{message}{line}") from None

    def _call(self, args) -> str:
        "The call, as it would be written."
        name = getattr(self.function, '__name__', 'your function')
        return f"{name}({', '.join(map(short_repr, args))})"


def _line_of(error, function) -> str:
    "Where in the learner's own code it happened: the end of a sentence."
    code = getattr(function, '__code__', None)
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.line for step in steps if code and step.filename == code.co_filename]
    return f', in the line `{lines[-1]}`.' if lines and lines[-1] else '.'


class _Counter(io.TextIOBase):
    "Swallows what is printed, and counts it."
    n = 0
    def writable(self): return True

    def write(self, text):
        self.n += len(text)
        return len(text)


@contextlib.contextmanager
def unchanged_randomness():
    "Leaves the generators of random numbers as they were."
    torch = sys.modules.get('torch')
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch and torch.get_rng_state()
    try: yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch: torch.set_rng_state(torch_state)


@dataclass
class Verdict:
    "What a check says."
    key: str
    right: bool
    sentence: str
    note: str=''

    @property
    def head(self) -> str: return f"✓ {self.key}: right." if self.right else f"✗ {self.key}: not yet."

    def __repr__(self): return _sentences(self.head, self.sentence, self.note)

    def _repr_html_(self):
        note = [LINE_BREAK, element('small', in_html(self.note))] if self.note else []
        return frame('good' if self.right else 'trouble', element('b', self.head), ' ', in_html(self.sentence), *note)


def _sentences(*texts) -> str:
    "Those that say something, one after another."
    return ' '.join(filter(None, texts))


def judge(
    ex: Exercise,
    answer,  # a value, or a function
    rounds: int=ROUNDS,
) -> Verdict:
    "Checks an answer. Never raises, and comes back within the exercise's time."
    if answer is None or answer is ...: return Verdict(ex.key, False, f'There is nothing in `{ex.answer}` yet.')
    if ex.function and not callable(answer):
        sentence = f'`{ex.answer}` is {short_repr(answer)}, and should be a function: give its name alone, without brackets.'
        return Verdict(ex.key, False, sentence)
    printed = _Counter()
    sentence = _run_check(ex, answer, rounds, printed)
    note = f'What it printed, {printed.n:,} characters, is left out here.' if printed.n else ''
    return Verdict(ex.key, not sentence, sentence or '', note)


def _run_check(ex, answer, rounds, printed) -> str | None:
    "What is wrong, with everything kept away that a learner's code may do."
    try:
        with (unchanged_randomness(), time_limit(ex.limit_s), np.errstate(all='ignore'),
              contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)):
            try: return _first_finding(ex, answer, rounds)
            except Wrong as e: return str(e)
    except TimeUp:
        return f'It was stopped after {ex.limit_s:g} seconds. Is there a loop that never ends, or one that is far too long?'
    except KeyboardInterrupt: return 'You stopped the check.'
    except Exception as e:
        return f'{short_repr(answer)} is not of the kind that is asked for ({type(e).__name__}: {e}).'


def _first_finding(ex, answer, rounds) -> str | None:
    "Each round draws other inputs."
    for _ in range(rounds):
        asked = AskedFunction(answer, ex.changes) if ex.function else answer
        sentence = ex.check(asked, np.random.default_rng())
        if sentence: return sentence


def check(
    key: str,  # `03-1`
    answer,    # a value, or a function
):
    "Says whether an answer is right, or what is wrong with it, and keeps it. Raises `CourseError` for an exercise that is not there."
    ex = find_exercise(key)
    untouched = answer is None or ex.function and _source(answer) in ex.start  # running the cell as it came is no try
    if untouched: verdict = Verdict(key, False, f'`{ex.answer}` is still as it came: write your answer into the cell.')
    else: verdict = judge(ex, answer)
    try:
        with answers_record() as record:
            row = record['exercises'].setdefault(key, {})
            if not untouched: _note_try(row, answer)
            if verdict.right: row.setdefault('done', _now())
            if not verdict.right: verdict.note = _sentences(verdict.note, f"A hint: hint('{key}')")
            elif row.get('tries', 1) == 1: verdict.sentence = 'At the first try.'
    except CourseError as e: verdict.note = str(e)
    display(verdict)


def _note_try(row, answer):
    "Tries count until it is done."
    if not row.get('done'): row['tries'] = row.get('tries', 0) + 1
    row['answer'] = _source(answer)
    row['at'] = _now()


def _now() -> str: return time.strftime('%Y-%m-%d %H:%M:%S')


def _source(answer) -> str:
    "A learner's answer as text: the code of a function, or the value."
    if not inspect.isfunction(answer): return repr(answer)[:2000]
    try: return inspect.getsource(answer).strip()
    except (OSError, TypeError): return short_repr(answer)


def hint(
    key: str,  # `03-1`
):
    "The next of three hints, each of which says more. The last one stays."
    ex = find_exercise(key)
    with answers_record() as record:
        row = record['exercises'].setdefault(key, {})
        row['hints'] = k = min(row.get('hints', 0) + 1, len(ex.hints))
    head = f'Hint {k} of {len(ex.hints)}.'
    text = ex.hints[k - 1]
    last_words = f" If that does not help: solution('{key}')" if k == len(ex.hints) else ''
    page = frame('info', element('b', head), ' ', in_html(text), last_words)
    display(Message(f'{head} {text}{last_words}', page))


def solution(
    key: str,  # `03-1`
):
    "Code that passes. Not the only one."
    ex = find_exercise(key)
    with answers_record() as record:
        row = record['exercises'].setdefault(key, {})
        row.setdefault('solution', _now())
    code = element('pre', element('code', ex.solution), style='margin:.5em 0 0;white-space:pre-wrap')
    display(Message(ex.solution, frame('info', element('b', f'One solution of {key}.'), code)))


def exercise_state(
    row: dict,  # of the record
) -> tuple[str, str]:  # a sign, and words
    "How far one exercise is."
    n = row.get('tries', 0)
    tries = f"{n} {'try' if n == 1 else 'tries'}"
    if row.get('done'):
        knew_solution = row.get('solution', '9') <= row['done']  # as text, times stand in order
        return '✓', 'done after the solution' if knew_solution else f'done, {tries}'
    return ('…', f'not yet, {tries}') if n else ('○', 'open')


@dataclass
class ProgressRow:
    "How far one exercise is, in the table of all."
    ex: Exercise
    sign: str
    words: str

    @property
    def text(self) -> str: return f'{self.ex.key} {self.sign} {self.words}'

    @property
    def page(self) -> str:
        small = element('small', f'{self.ex.key}: {self.words}')
        return cell(join([element('b', self.sign), ' ', self.ex.title, LINE_BREAK, small]), style=TEXT_LEFT)


def progress():
    "A table of all exercises: done, tried or open."
    with answers_record(change=False) as record: answers = record['exercises']
    lessons = {}
    for key, ex in all_exercises().items():
        sign, words = exercise_state(answers.get(key, {}))
        lessons.setdefault(key[:2], []).append(ProgressRow(ex, sign, words))
    rows = [row for lesson_rows in lessons.values() for row in lesson_rows]
    done = sum(row.sign == '✓' for row in rows)
    head = f'{done} of {len(rows)} exercises done.'
    lines = [_progress_line(lesson, lessons[lesson]) for lesson in lessons]
    display(Message('\n'.join([head, *lines]), _progress_page(head, done, len(rows), lessons)))


def _progress_line(lesson, rows) -> str: return f"Lesson {lesson}: {'; '.join(row.text for row in rows)}"


def _progress_page(head, done, n, lessons):
    "A bar, and a line of the table for each lesson."
    style = 'width:100%;max-width:30em'
    bar = element('progress', max=n, value=done, aria_label=head, style=style)
    body = []
    for lesson, rows in lessons.items():
        name = cell(f'Lesson {lesson}', scope='row', style=TEXT_LEFT)
        body.append([name, *(row.page for row in rows)])
    return element('div', bar, table([], body, head), class_='course-card')
