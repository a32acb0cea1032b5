"""A guess before a measurement, a card after it that says what was expected, what came out and why, and a score of how well you know what you know."""
import html, math, time
from dataclasses import dataclass

import ipywidgets as widgets, numpy as np
from IPython.display import display

from course_utils.classroom.checker import all_exercises, kept
from course_utils.config import CourseError, profile
from course_utils.report.results import read_results
from course_utils.show.html import Said, framed, in_html
from course_utils.training.learner import History, device_name, versions


@dataclass
class Quantity:
    "A number that a lesson measures."
    lesson: str
    name: str
    words: str
    widest: tuple         # what somebody who knows nothing would say: lowest, highest
    example: tuple | None # the guess that stands in the lesson; left as it is, it does not count
    log: bool             # is it a matter of factors?
    shown: str            # a format
    expected: object      # what `record` has written → (value, low, high); None: it is not judged

    def at(self, value) -> float:
        "On the scale on which it is judged."
        return math.log(max(value, 1e-12)) if self.log else float(value)
    def words_of(self, pair) -> str: return ' to '.join(self.shown.format(v) for v in pair)

QUANTITIES = {}  # (lesson, name) → `Quantity`


def quantity(lesson, name, words, *, widest, shown='{:.3g}', example=None, log=False, expected=None):
    "Names a quantity. Called by the modules in `course_utils.exercises`."
    QUANTITIES[lesson, name] = Quantity(lesson, name, words, widest, example, log, shown, expected)


def quantities(lesson) -> dict:
    "Name → `Quantity` of one lesson. Raises `CourseError` where it has none."
    all_exercises()
    out = {name: q for (l, name), q in QUANTITIES.items() if l == lesson}
    if not out: raise CourseError(f"Lesson '{lesson}' measures nothing that can be guessed: there are {', '.join(sorted({l for l, _ in QUANTITIES}))}.")
    return out


def interval_score(low, high, x, alpha=.2) -> float:
    "Gneiting and Raftery 2007, eq. 43, for an interval that should hold `x` with probability 1 − alpha. Lower is better."
    return (high - low) + 2 / alpha * max(low - x, 0) + 2 / alpha * max(x - high, 0)


def guess_score(q: Quantity, pair, x) -> float:
    "The interval score as a share of what the widest guess would cost if it held the truth."
    low, high = map(q.at, q.widest)
    return interval_score(*map(q.at, pair), q.at(x)) / (high - low)


def as_pair(q: Quantity, value) -> tuple:
    "A guess as low and high. A single number stands for itself, a tenth of the widest range to either side."
    try:
        if np.ndim(value) == 0:
            value = float(value)
            low, high = map(q.at, q.widest)
            tenth = (high - low) / 10
            pair = (value * math.exp(-tenth), value * math.exp(tenth)) if q.log else (value - tenth, value + tenth)
        else: pair = tuple(float(v) for v in value)
    except (TypeError, ValueError): pair = ()
    if len(pair) != 2 or not all(map(math.isfinite, pair)): raise CourseError(f"A guess of {q.name} is a number, or low and high in brackets, as in predict('{q.lesson}', {q.name}={q.example or q.widest}).")
    if pair[0] > pair[1]: raise CourseError(f"Your guess of {q.name} runs from {pair[0]:g} to {pair[1]:g}: the lower number comes first.")
    if q.log and pair[0] <= 0: raise CourseError(f"Your guess of {q.name} begins at {pair[0]:g}, and it can only be above 0.")
    return pair


class Guess:
    "What has been guessed: a sentence, and in JupyterLab a form to change it."
    def __init__(self, lesson, says): self.lesson, self.says = lesson, says
    def __repr__(self): return ' '.join(self.says)
    def html(self): return framed('#0072B2', '<br>'.join(map(in_html, self.says)))
    def _repr_mimebundle_(self, **_):
        live = {'version_major': 2, 'version_minor': 0, 'model_id': self.form().model_id}
        return {'application/vnd.jupyter.widget-view+json': live, 'text/html': self.html(), 'text/plain': repr(self)}

    def form(self) -> widgets.VBox:
        "Two numbers a quantity, and a button. All of it can be reached by Tab and pressed by Enter or space."
        says, rows = widgets.HTML(self.html()), []
        with kept(change=False) as record: old = record['predictions'].get(self.lesson, {})
        for name, q in quantities(self.lesson).items():
            if q.example is None: continue
            low, high = old.get(name, {}).get('range', q.example)
            wide = dict(layout=widgets.Layout(width='11em'), style=dict(description_width='4em'))
            boxes = [widgets.FloatText(v, description=word, tooltip=f'{word}: {q.words}', **wide) for word, v in (('from', low), ('to', high))]
            button = widgets.Button(description='Write it down', tooltip=f'Write down the guess of {q.words}')
            def keep(_, name=name, boxes=boxes):
                try: says.value = Guess(self.lesson, write_down(self.lesson, {name: tuple(b.value for b in boxes)})).html()
                except CourseError as e: says.value = framed('#D55E00', html.escape(str(e)))
            button.on_click(keep)
            rows.append(widgets.VBox([widgets.HTML(f'Eight times out of ten, the {html.escape(q.words)} lies'), widgets.HBox([*boxes, button])]))
        return widgets.VBox([says, *rows])


def predict(
    lesson: str,  # `02`
    **guesses     # name of a quantity → (low, high), or a number
):
    "Writes down a guess before a measurement. Without one, shows a form. Raises `CourseError` for a quantity that is not there, or no range."
    display(Guess(lesson, write_down(lesson, guesses)))


def write_down(lesson, guesses) -> list:  # a sentence a guess
    those, says = quantities(lesson), []
    for name in guesses:
        if name not in those: raise CourseError(f"Lesson {lesson} measures no '{name}': there is {', '.join(those)}.")
    pairs = {name: as_pair(those[name], value) for name, value in guesses.items()}
    with kept() as record:
        old, seen = record['predictions'].setdefault(lesson, {}), record['outcomes'].get(lesson, {}).get('values', {})
        for name, pair in pairs.items():
            q, before = those[name], old.get(name)
            if before and list(pair) == before['range']: note = 'As before.'
            elif before and before['counts'] and name in seen: note = f"The result is known, so your first guess, {q.words_of(before['range'])}, stays."; pair = before['range']
            else:
                example = q.example is not None and list(pair) == list(q.example)
                old[name] = dict(range=list(pair), at=time.strftime('%Y-%m-%d %H:%M:%S'), counts=not example and name not in seen)
                note = 'That is the guess that came with the lesson: write down your own, and it counts.' if example else 'The result is known already, so it does not count.' if name in seen else 'It is written down.'
            says.append(f"Your guess: {q.words}, {q.words_of(pair)}. {note}")
    return says or ['Write down a guess before you run the next cell. It is a range that should hold the truth eight times out of ten.']

SIGNS = {'as expected': ('✓', '#009E73'), 'near': ('≈', '#E69F00'), 'off': ('✗', '#D55E00'), 'not compared': ('·', '#6b6b6b')}


def how_near(q: Quantity, expected, x) -> str:
    "One of `SIGNS`."
    if expected is None or x is None or not math.isfinite(x): return 'not compared' if expected is None else 'off'
    value, low, high = map(q.at, expected)
    off = q.at(x) - value
    side = abs((high if off > 0 else low) - value)
    return 'as expected' if abs(off) <= side + 1e-9 else 'near' if abs(off) <= 2 * side or q.name == 'seconds' else 'off'


def causes(
    pics, run, off: bool, measured: dict,  # `measured`: what `record` wrote for these data and this profile, or nothing
) -> list:
    "What may lie behind a result, in sentences, the likeliest first."
    out, name = [], profile().name
    if name == 'smoke': out.append('Profile smoke: so few pictures and steps that no number means anything. For numbers, COURSE_PROFILE=cpu.')
    elif not measured: out.append(f"There is no measured number for {pics.name} at profile {name}, so yours is the first." + (' Expected numbers are for the solar cells.' if not pics.name.startswith('solar') else ''))
    if run is not None and name != 'smoke': out += from_curves(pics, run, off)
    if not measured: return out
    if measured.get('device') != (here := device_name()):
        slow = here.startswith('CPU') and not measured['device'].startswith('CPU')
        out.append(f"Measured on {measured['device']}, and this is {here}: " + ('on CPU more seconds are normal.' if slow else 'seconds differ, and numbers may a little.'))
    if new := [f'{k} {v} (measured with {o})' for k, v in versions().items() if (o := measured.get('versions', {}).get(k)) and o != v]: out.append(f"Other versions: {', '.join(new)}.")
    if off and not out: out.append('Nothing in sight explains it. Most expected ranges are for other pictures, and training anew on another machine can move a number further. Restart the kernel and run all cells: was a setting changed on the way?')
    return out


def from_curves(pics, run, off) -> list:
    "What the curves of a training say about its rate and its pictures."
    h, chance, out = run.history, math.log(len(pics.classes)), []
    first, last, lost = h.train_loss.iloc[0], h.train_loss.iloc[-1], run.accuracy <= pics.majority + .01
    if lost: out.append(f"An accuracy of {run.accuracy:.1%} is no better than always saying the most frequent class ({pics.majority:.1%}).")
    if (lost or off) and h.train_loss.max() > 1.5 * chance and last > .7 * chance:
        out.append(f"The training loss went up to {h.train_loss.max():.2f}, where guessing costs {chance:.2f}: the rate may be ten times too high. Try a tenth.")
    elif (lost or off) and last > .9 * min(first, chance):
        out.append(f"The training loss hardly fell, from {first:.2f} to {last:.2f}: the rate may be ten times too low, or the epochs too few.")
    counts, gap = np.bincount(pics.y[pics.train], minlength=len(pics.classes)), h.train_accuracy.iloc[-1] - run.accuracy
    if gap > .1 and counts.min() < 100:
        out.append(f"Too few pictures: class '{pics.classes[counts.argmin()]}' has {counts.min()} to learn from, and the network knows its own far better ({gap:+.1%}).")
    return out


def result_card(
    lesson: str,     # `02`
    pics,            # the `Pictures` it was measured on
    run=None,        # the main `Run`: its curves help to name a cause
    **obtained       # name of a quantity → its value
):
    "Compares what came out with what was expected and with your guess, and says what may lie behind a difference."
    those = quantities(lesson)
    for name in obtained:
        if name not in those: raise CourseError(f"Lesson {lesson} measures no '{name}': there is {', '.join(those)}.")
    if run is not None and 'seconds' in those: obtained['seconds'] = run.seconds
    measured = read_results(f'lesson_{lesson}').get('runs', {}).get(f'{pics.name} {profile().name}', {})
    values, note = {k: float(v) for k, v in obtained.items()}, ''
    guessed = {}
    try:
        with kept() as record:
            guessed = record['predictions'].get(lesson, {})
            if profile().name != 'smoke': record['outcomes'][lesson] = dict(values=values, data=pics.name, profile=profile().name)
    except CourseError as e: note = str(e)
    rows = []
    for name, x in values.items():
        q, expected = those[name], None
        if q.expected and measured and profile().name != 'smoke':
            try: expected = tuple(float(v) for v in q.expected(measured))
            except (KeyError, TypeError, ValueError): pass  # measured before this number was recorded
        word, g = how_near(q, expected, x), guessed.get(name, {}).get('range')
        rows.append(dict(what=q.words, expected=f'{q.shown.format(expected[0])} ({q.words_of(expected[1:])})' if expected else '—', obtained=q.shown.format(x),
                         guess='—' if not g else f"{q.words_of(g)}: {'holds it' if g[0] <= x <= g[1] else 'too low' if g[1] < x else 'too high'}", verdict=f'{SIGNS[word][0]} {word}', word=word))
    worst = max((r['word'] for r in rows), key=['not compared', 'as expected', 'near', 'off'].index, default='not compared')
    why = causes(pics, run, worst in ('near', 'off'), measured) + ([note] if note else [])
    display(card_said(lesson, rows, worst, why, run))


def card_said(lesson, rows, worst, why, run) -> Said:
    head = f"{SIGNS[worst][0]} Lesson {lesson}: {worst}."
    here = f"{device_name()}, profile {profile().name}" + (f", {run.seconds:.0f} s for the main training" if run is not None else '')
    here += (f", {History.total_seconds:.0f} s for all trainings since the kernel started" if History.total_seconds >= 1 else '') + '. ' + ', '.join(f'{k} {v}' for k, v in versions().items()) + '.'
    columns = ('what', 'expected', 'obtained', 'guess', 'verdict')
    text = '\n'.join([head, *(f"{r['what']}: expected {r['expected']}, obtained {r['obtained']}, your guess {r['guess']}. {r['verdict']}" for r in rows), *why, here])
    th = lambda t, scope: f'<th scope="{scope}" style="text-align:left">{html.escape(t)}</th>'
    body = ''.join('<tr>' + th(r['what'], 'row') + ''.join(f'<td style="text-align:left">{html.escape(r[c])}</td>' for c in columns[1:]) + '</tr>' for r in rows)
    table = f'<table><caption style="text-align:left"><b>{html.escape(head)}</b></caption><thead><tr>{"".join(th(t, "col") for t in ("", "expected", "obtained", "your guess", "verdict"))}</tr></thead><tbody>{body}</tbody></table>'
    return Said(text, framed(SIGNS[worst][1], table + ''.join(f'<p>{html.escape(w)}</p>' for w in why) + f'<small>{html.escape(here)}</small>'))


def calibration():
    "Over all your guesses that count: how many ranges held the truth, and the mean score."
    all_exercises()
    with kept(change=False) as record: guesses, outcomes = record['predictions'], record['outcomes']
    rows = []
    for lesson, those in guesses.items():
        for name, g in those.items():
            x, q = outcomes.get(lesson, {}).get('values', {}).get(name), QUANTITIES.get((lesson, name))
            if g['counts'] and x is not None and q: rows.append((q, g['range'], x, guess_score(q, g['range'], x)))
    display(Said(*calibration_said(rows)))


def calibration_said(rows) -> tuple:  # text, HTML
    if not rows:
        text = 'No guess of yours has met its result yet: predict(…) before a measurement, result_card(…) after it.'
        return text, framed('#0072B2', html.escape(text))
    held, score = sum(g[0] <= x <= g[1] for _, g, x, _ in rows), np.mean([s for *_, s in rows])
    n = len(rows)
    advice = 'Your ranges are about as wide as they should be.' if abs(held - .8 * n) <= 1.3 * (.16 * n) ** .5 else 'Your ranges are too narrow: you know less than you think.' if held < .8 * n else 'Your ranges are too wide: you know more than you say.'
    head = f"{held} of {n} ranges held the truth, where {.8 * n:.1f} should. Mean score {score:.2f}: 0 is perfect, 1 is what knowing nothing costs."
    if n >= 5: head += f' {advice}'
    lines = [f"Lesson {q.lesson}, {q.words}: {q.words_of(g)}; it was {q.shown.format(x)}; score {s:.2f}" for q, g, x, s in rows]
    return '\n'.join([head, *lines]), framed('#0072B2', f'<b>{html.escape(head)}</b><ul>{"".join(f"<li>{html.escape(l)}</li>" for l in lines)}</ul>')
