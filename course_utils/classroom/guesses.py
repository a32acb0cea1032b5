"""A guess before a measurement, a card after it that says what was expected, what came out and why, and a score of how well you know what you know."""
import math, os, time
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as widgets, numpy as np
from IPython.display import display

from course_utils.classroom.answers import answers_record
from course_utils.classroom.exercise import all_exercises
from course_utils.config import CourseError, profile
from course_utils.report.results import read_results
from course_utils.show.html import LINE_BREAK, Message, element, frame, in_html, join, table, widget_bundle
from course_utils.show.palette import LEVELS
from course_utils.training.learner import History, device_name, versions

SHARE_HELD = .8  # of the ranges should hold the truth
NO_GUESS = 'No guess of yours has met its result yet: guess(…) before a measurement, result_card(…) after it.'
FIRST_GUESS = 'Write down a guess before you run the next cell. It is a range that should hold the truth eight times out of ten.'


# ---- quantities ----

@dataclass
class Quantity:
    "A number that a lesson measures."
    lesson: str
    name: str
    words: str
    widest: tuple          # what somebody who knows nothing would say: lowest, highest
    example: tuple | None  # the guess that stands in the lesson; left as it is, it does not count
    log: bool              # is it a matter of factors?
    shown: str             # a format
    expected: Callable | None  # what `record` has written → (value, low, high); None: it is not judged

    def scaled(self, value) -> float:
        "On the scale on which it is judged."
        return math.log(max(value, 1e-12)) if self.log else float(value)

    def in_words(self, pair) -> str:
        "A range."
        return ' to '.join(self.shown.format(v) for v in pair)

QUANTITIES = {}  # (lesson, name) → `Quantity`


def quantity(
    lesson: str,  # `02`
    name: str,
    words: str,   # as it is called in a sentence
    *,
    widest: tuple,               # this and the others as in `Quantity`
    shown: str='{:.3g}',
    example: tuple | None=None,
    log: bool=False,
    expected: Callable | None=None,
):
    "Names a quantity. Called by the modules in `course_utils.exercises`."
    QUANTITIES[lesson, name] = Quantity(lesson, name, words, widest, example, log, shown, expected)


def quantities(lesson: str) -> dict:  # name → `Quantity`
    "What a lesson measures. Raises `CourseError` where that is nothing."
    all_exercises()
    found = {name: q for (number, name), q in QUANTITIES.items() if number == lesson}
    if found: return found
    lessons = sorted({number for number, _ in QUANTITIES})
    raise CourseError(f"Lesson '{lesson}' measures nothing that can be guessed: there are {', '.join(lessons)}.")


def _check_names(lesson, names):
    "Raises `CourseError` for a quantity that is not there."
    known = quantities(lesson)
    for name in names:
        if name not in known: raise CourseError(f"Lesson {lesson} measures no '{name}': there is {', '.join(known)}.")


# ---- the score ----

def interval_score(low, high, x, alpha=.2) -> float:
    "Gneiting and Raftery 2007, eq. 43, for an interval that should hold `x` with probability 1 − alpha. Lower is better."
    return (high - low) + 2 / alpha * max(low - x, 0) + 2 / alpha * max(x - high, 0)


def guess_score(
    q: Quantity,
    pair,  # the guess: low, high
    x,     # what came out
) -> float:
    "The interval score as a share of what the widest guess would cost if it held the truth."
    low, high = map(q.scaled, q.widest)
    return interval_score(*map(q.scaled, pair), q.scaled(x)) / (high - low)


# ---- a guess ----

def as_pair(
    q: Quantity,
    value,  # a number, or two
) -> tuple[float, float]:
    "A guess as low and high. A number alone stands for itself, a tenth of the widest range to either side. Raises `CourseError` for what is no range."
    try:
        if np.ndim(value): pair = tuple(float(v) for v in value)
        else: pair = _widened(q, float(value))
    except (TypeError, ValueError): pair = ()
    if len(pair) != 2 or not all(map(math.isfinite, pair)):
        example = f"guess('{q.lesson}', {q.name}={q.example or q.widest})"
        raise CourseError(f"A guess of {q.name} is a number, or low and high in brackets, as in {example}.")
    low, high = pair
    if low > high: raise CourseError(f"Your guess of {q.name} runs from {low:g} to {high:g}: the lower number comes first.")
    if q.log and low <= 0: raise CourseError(f"Your guess of {q.name} begins at {low:g}, and it can only be above 0.")
    return pair


def _widened(q, value):
    "A tenth of the widest range to either side."
    low, high = map(q.scaled, q.widest)
    tenth = (high - low) / 10
    return (value * math.exp(-tenth), value * math.exp(tenth)) if q.log else (value - tenth, value + tenth)


def guess(
    lesson: str,  # `02`
    **guesses     # name of a quantity → (low, high), or a number
):
    "Writes down a guess before a measurement. Without one, shows a form. Raises `CourseError` for a quantity that is not there, or no range."
    display(Guess(lesson, write_down(lesson, guesses)))


def write_down(
    lesson: str,
    guesses: dict,  # name of a quantity → (low, high), or a number
) -> list:  # a sentence a guess
    "Keeps the guesses. Raises `CourseError` as `guess` does."
    _check_names(lesson, guesses)
    known = quantities(lesson)
    pairs = {name: as_pair(known[name], value) for name, value in guesses.items()}
    with answers_record() as record:
        written = record['predictions'].setdefault(lesson, {})
        results = record['outcomes'].get(lesson, {}).get('values', {})
        sentences = [_write_one(known[name], pair, written, is_known=name in results) for name, pair in pairs.items()]
    return sentences or [FIRST_GUESS]


def _write_one(q, pair, written, is_known) -> str:
    "Keeps one guess, unless an earlier one has met its result."
    old = written.get(q.name)
    if old and list(pair) == old['range']: return _guess_sentence(q, pair, 'As before.')
    if old and old['counts'] and is_known:
        note = f"The result is known, so your first guess, {q.in_words(old['range'])}, stays."
        return _guess_sentence(q, old['range'], note)
    is_example = q.example is not None and list(pair) == list(q.example)
    now = time.strftime('%Y-%m-%d %H:%M:%S')
    written[q.name] = dict(range=list(pair), at=now, counts=not is_example and not is_known)
    if is_example: note = 'That is the guess that came with the lesson: write down your own, and it counts.'
    elif is_known: note = 'The result is known already, so it does not count.'
    else: note = 'It is written down.'
    return _guess_sentence(q, pair, note)


def _guess_sentence(q, pair, note) -> str: return f"Your guess: {q.words}, {q.in_words(pair)}. {note}"


class Guess:
    "What has been guessed: a sentence, and in JupyterLab a form to change it."
    def __init__(self,
        lesson: str,
        sentences: list,
    ):
        self.lesson, self.sentences = lesson, sentences

    def __repr__(self): return ' '.join(self.sentences)

    def html(self) -> str:
        "Without the form."
        return frame('info', join(map(in_html, self.sentences), LINE_BREAK))

    def _repr_mimebundle_(self, **_): return widget_bundle(self.form(), self.html(), repr(self))

    def form(self) -> widgets.VBox:
        "Two numbers a quantity, and a button. All of it can be reached by Tab and pressed by Enter or space."
        message = widgets.HTML(self.html())
        with answers_record(change=False) as record: written = record['predictions'].get(self.lesson, {})
        rows = []
        for name, q in quantities(self.lesson).items():
            if q.example is not None: rows.append(self._form_row(q, written.get(name, {}), message))
        return widgets.VBox([message, *rows])

    def _form_row(self, q, written, message) -> widgets.VBox:
        "One quantity. Its button writes the guess down and changes the message."
        low, high = written.get('range', q.example)
        boxes = [_number_box('from', low, q), _number_box('to', high, q)]
        button = widgets.Button(description='Write it down', tooltip=f'Write down the guess of {q.words}')
        def keep(_):
            pair = tuple(box.value for box in boxes)
            try: message.value = Guess(self.lesson, write_down(self.lesson, {q.name: pair})).html()
            except CourseError as e: message.value = frame('trouble', str(e))
        button.on_click(keep)
        question = widgets.HTML(join(['Eight times out of ten, the ', q.words, ' lies']))
        return widgets.VBox([question, widgets.HBox([*boxes, button])])


def _number_box(word, value, q) -> widgets.FloatText:
    layout = widgets.Layout(width='11em')
    style = dict(description_width='4em')
    return widgets.FloatText(value, description=word, tooltip=f'{word}: {q.words}', layout=layout, style=style)


# ---- what came out ----

# a verdict → its level in `palette.LEVELS`, which has sign and colour; the worst comes last
VERDICT_LEVELS = {'not compared': 'none', 'as expected': 'good', 'near': 'near', 'off': 'trouble'}
VERDICT_SIGNS = {verdict: LEVELS[level].sign for verdict, level in VERDICT_LEVELS.items()}


def result_verdict(
    q: Quantity,
    expected,  # value, low, high; or None
    x,         # what came out
) -> str:
    "One of `VERDICT_LEVELS`."
    if expected is None: return 'not compared'
    if x is None or not math.isfinite(x): return 'off'
    value, low, high = map(q.scaled, expected)
    distance = q.scaled(x) - value
    side = abs((high if distance > 0 else low) - value)
    if abs(distance) <= side + 1e-9: return 'as expected'
    return 'near' if abs(distance) <= 2 * side or q.name == 'seconds' else 'off'


@dataclass
class ResultRow:
    "One quantity on a result card."
    quantity: Quantity
    obtained: float
    expected: tuple | None  # value, low, high
    guess: list | None      # low, high

    @property
    def verdict(self) -> str: return result_verdict(self.quantity, self.expected, self.obtained)

    def cells(self) -> dict:  # column → text
        "The quantity and its values in words."
        sign = VERDICT_SIGNS[self.verdict]
        return {
            '': self.quantity.words,
            'expected': self._expected_words(),
            'obtained': self.quantity.shown.format(self.obtained),
            'your guess': self._guess_words(),
            'verdict': f'{sign} {self.verdict}',
        }

    def _expected_words(self):
        if not self.expected: return '—'
        value, *limits = self.expected
        return f'{self.quantity.shown.format(value)} ({self.quantity.in_words(limits)})'

    def _guess_words(self):
        if not self.guess: return '—'
        low, high = self.guess
        if low <= self.obtained <= high: judgement = 'holds it'
        else: judgement = 'too low' if high < self.obtained else 'too high'
        return f'{self.quantity.in_words(self.guess)}: {judgement}'

    def sentence(self, columns) -> str:
        "For a console."
        cells = self.cells()
        values = [f'{column} {cells[column]}' for column in columns if column not in ('', 'verdict')]
        verdict = f". {cells['verdict']}" if 'verdict' in columns else '.'
        return f"{cells['']}: {', '.join(values)}{verdict}"


def result_card(
    lesson: str,     # `02`
    pics,            # the `Pictures` it was measured on
    run=None,        # the main `Run`: its curves help to name a cause
    **obtained       # name of a quantity → its value
):
    "Compares what came out with what was expected and with your guess, and says what may lie behind a difference."
    known = quantities(lesson)
    _check_names(lesson, obtained)
    if run is not None and 'seconds' in known: obtained['seconds'] = run.seconds
    values = {name: float(value) for name, value in obtained.items()}
    measured = {} if _is_reference() else _measured(lesson, pics)
    guessed, note = _keep_outcome(lesson, pics, values)
    rows = []
    for name, x in values.items():
        q = known[name]
        rows.append(ResultRow(q, x, _expected(q, measured), guessed.get(name, {}).get('range')))
    worst = _worst_verdict(rows)
    explanations = causes(pics, run, worst in ('near', 'off'), measured)
    if note: explanations.append(note)
    display(card_message(lesson, rows, worst, explanations, run))


def _measured(lesson, pics) -> dict:
    "What the authors' run has recorded for these data and this profile."
    return read_results(f'lesson_{lesson}').get('runs', {}).get(f'{pics.name} {profile().name}', {})


def _is_reference() -> bool:
    "Is this the run that will be kept? What was kept before it may have been measured on another recipe."
    return os.environ.get('COURSE_REFERENCE') == '1'


def _keep_outcome(lesson, pics, values):
    "Keeps what came out, and finds the guesses. A disk that refuses costs a sentence, no card."
    guessed = {}
    try:
        with answers_record() as record:
            guessed = record['predictions'].get(lesson, {})
            if profile().name != 'smoke':
                record['outcomes'][lesson] = dict(values=values, data=pics.name, profile=profile().name)
    except CourseError as e: return guessed, str(e)
    return guessed, ''


def _expected(q, measured):
    "Value, low and high as measured by the authors; None where nothing can be compared."
    if not q.expected or not measured or profile().name == 'smoke': return None
    try: return tuple(float(v) for v in q.expected(measured))
    except (KeyError, TypeError, ValueError): return None  # measured before this number was recorded


def _worst_verdict(rows) -> str:
    order = list(VERDICT_LEVELS)
    return max((row.verdict for row in rows), key=order.index, default='not compared')


def card_message(
    lesson: str,
    rows: list,          # of `ResultRow`
    worst: str,          # one of `VERDICT_LEVELS`
    explanations: list,  # of sentences
    run=None,            # the main `Run`
) -> Message:
    "What `result_card` shows."
    head = f"{VERDICT_SIGNS[worst]} Lesson {lesson}: {worst}."
    machine = _machine_words(run)
    columns = card_columns(rows)
    text = '\n'.join([head, *(row.sentence(columns) for row in rows), *explanations, machine])
    paragraphs = [element('p', sentence) for sentence in explanations]
    lines = [[cells[column] for column in columns] for cells in (row.cells() for row in rows)]
    body = table(columns, lines, element('b', head))
    return Message(text, frame(VERDICT_LEVELS[worst], body, *paragraphs, element('small', machine)))


def card_columns(rows: list) -> list:
    "Those that have something to say: what was expected and the verdict only where something was, a guess only where there is one."
    is_guessed = any(row.guess for row in rows)
    is_compared = any(row.expected for row in rows)
    has_something = {'': True, 'expected': is_compared, 'obtained': True, 'your guess': is_guessed, 'verdict': is_compared}
    return [column for column, has in has_something.items() if has]


def _machine_words(run) -> str:
    "Where, how long and with which versions."
    place = f"{device_name()}, profile {profile().name}"
    main = f", {run.seconds:.0f} s for the main training" if run is not None else ''
    total_s = History.total_seconds
    total = f", {total_s:.0f} s for all trainings since the kernel started" if total_s >= 1 else ''
    names = ', '.join(f'{name} {version}' for name, version in versions().items())
    return f'{place}{main}{total}. {names}.'


# ---- why ----

def causes(
    pics, run,
    is_off: bool,       # is the result not as expected?
    measured: dict,  # what `record` wrote for these data and this profile, or nothing
) -> list:  # of sentences
    "What may lie behind a result, the likeliest first."
    sentences = _unmeasured(pics, measured)
    if run is not None and profile().name != 'smoke': sentences += from_curves(pics, run, is_off)
    if not measured: return sentences
    sentences += _other_device(measured) + _other_versions(measured)
    if is_off and not sentences:
        sentences.append('Nothing in sight explains it. Most expected ranges are for other pictures, and training anew on another machine can move a number further. Restart the kernel and run all cells: was a setting changed on the way?')
    return sentences


def _unmeasured(pics, measured) -> list:
    "Is there no number to compare with?"
    name = profile().name
    if name == 'smoke':
        return ['Profile smoke: so few pictures and steps that no number means anything. For numbers, COURSE_PROFILE=cpu.']
    if measured: return []
    if _is_reference(): return ['This is the run that is kept: yours will be compared with it.']
    remark = '' if pics.name.startswith('solar') else ' Expected numbers are for the solar cells.'
    return [f"There is no measured number for {pics.name} at profile {name}, so yours is the first.{remark}"]


def _other_device(measured) -> list:
    device = device_name()
    if measured.get('device') == device: return []
    is_slower = device.startswith('CPU') and not measured['device'].startswith('CPU')
    effect = 'on CPU more seconds are normal.' if is_slower else 'seconds differ, and numbers may a little.'
    return [f"Measured on {measured['device']}, and this is {device}: {effect}"]


def _other_versions(measured) -> list:
    old = measured.get('versions', {})
    news = [f'{name} {version} (measured with {old[name]})' for name, version in versions().items()
            if old.get(name) and old[name] != version]
    return [f"Other versions: {', '.join(news)}."] if news else []


def from_curves(
    pics, run,
    is_off: bool,  # is the result not as expected?
) -> list:  # of sentences
    "What the curves of a training say about its rate and its pictures."
    sentences = []
    is_lost = run.accuracy <= pics.majority + .01
    if is_lost:
        sentences.append(f"An accuracy of {run.accuracy:.1%} is no better than always saying the most frequent class ({pics.majority:.1%}).")
    if is_lost or is_off: sentences += _wrong_rate(pics, run)
    return sentences + _few_pictures(pics, run)


def _wrong_rate(pics, run) -> list:
    loss = run.history.train_loss
    chance = math.log(len(pics.classes))
    first, last = loss.iloc[0], loss.iloc[-1]
    if loss.max() > 1.5 * chance and last > .7 * chance:
        return [f"The training loss went up to {loss.max():.2f}, where guessing costs {chance:.2f}: the rate may be ten times too high. Try a tenth."]
    # a head that was fitted beforehand begins far below guessing, and has nowhere to fall
    began_low = first < .5 * chance
    if last > .9 * min(first, chance) and not began_low:
        return [f"The training loss hardly fell, from {first:.2f} to {last:.2f}: the rate may be ten times too low, or the epochs too few."]
    return []


def _few_pictures(pics, run) -> list:
    counts = np.bincount(pics.y[pics.train], minlength=len(pics.classes))
    gap = run.history.train_accuracy.iloc[-1] - run.accuracy
    if gap <= .1 or counts.min() >= 100: return []
    name = pics.classes[counts.argmin()]
    return [f"Too few pictures: class '{name}' has {counts.min()} to learn from, and the network knows its own far better ({gap:+.1%})."]


# ---- how well you know what you know ----

@dataclass
class JudgedGuess:
    "A guess that counts, and what came out."
    quantity: Quantity
    range: list  # low, high
    obtained: float

    @property
    def score(self) -> float: return guess_score(self.quantity, self.range, self.obtained)

    @property
    def holds(self) -> bool:
        low, high = self.range
        return low <= self.obtained <= high

    def sentence(self) -> str:
        q = self.quantity
        came = q.shown.format(self.obtained)
        return f"Lesson {q.lesson}, {q.words}: {q.in_words(self.range)}; it was {came}; score {self.score:.2f}"


def calibration():
    "Over all your guesses that count: how many ranges held the truth, and the mean score."
    all_exercises()
    with answers_record(change=False) as record: guesses, outcomes = record['predictions'], record['outcomes']
    judged = []
    for lesson, lesson_guesses in guesses.items():
        results = outcomes.get(lesson, {}).get('values', {})
        for name, written in lesson_guesses.items():
            x, q = results.get(name), QUANTITIES.get((lesson, name))
            if written['counts'] and x is not None and q: judged.append(JudgedGuess(q, written['range'], x))
    display(calibration_message(judged))


def calibration_message(
    judged: list,  # of `JudgedGuess`
) -> Message:
    "The sentences of `calibration`."
    if not judged: return Message(NO_GUESS, frame('info', NO_GUESS))
    n = len(judged)
    held = sum(g.holds for g in judged)
    score = np.mean([g.score for g in judged])
    head = f"{held} of {n} ranges held the truth, where {SHARE_HELD * n:.1f} should. Mean score {score:.2f}: 0 is perfect, 1 is what knowing nothing costs."
    if n >= 5: head += f' {_advice(held, n)}'
    lines = [g.sentence() for g in judged]
    page = frame('info', element('b', head), element('ul', *(element('li', line) for line in lines)))
    return Message('\n'.join([head, *lines]), page)


def _advice(held, n) -> str:
    "More than 1.3 standard deviations from what should be are told."
    wanted = SHARE_HELD * n
    deviation = (SHARE_HELD * (1 - SHARE_HELD) * n) ** .5
    if abs(held - wanted) <= 1.3 * deviation: return 'Your ranges are about as wide as they should be.'
    if held < wanted: return 'Your ranges are too narrow: you know less than you think.'
    return 'Your ranges are too wide: you know more than you say.'
