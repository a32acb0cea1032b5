"""Checks that say what is wrong, three rungs of hints, solutions, and a record of what is done, kept on your own disk."""
import contextlib, copy, ctypes, html, importlib, inspect, io, json, os, random, signal, sys, textwrap, threading, time, traceback
from dataclasses import dataclass
from numbers import Number

import numpy as np
from IPython.display import display
from filelock import FileLock, Timeout

from course_utils.config import CourseError, home_dir
from course_utils.show.html import Said, framed, in_html


@contextlib.contextmanager
def kept(change: bool=True):
    "The record as a dict of dicts. What is changed inside is saved on leaving. Raises `CourseError` where the disk refuses."
    path = home_dir()/'answers.json'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix('.lock'), timeout=20):
            record = _read(path)
            yield record
            if not change: return
            part = path.with_suffix('.part')
            with part.open('w', encoding='utf-8') as f:
                json.dump(record, f, indent=1, sort_keys=True, ensure_ascii=False)
                f.flush(); os.fsync(f.fileno())
            os.replace(part, path)
    except Timeout: raise CourseError(f"Another notebook has held {path} for 20 seconds: close it, and run this cell again.") from None
    except OSError as e:
        raise CourseError(f"Your answers could not be kept in {path.parent} ({e.strerror or e}): make room there, or set COURSE_HOME to another folder.") from None


def _read(path):
    record = {}
    if path.exists():
        try: record = json.loads(path.read_text(encoding='utf-8'))
        except ValueError: pass
        if not isinstance(record, dict) or not record or not all(isinstance(v, dict) and all(isinstance(row, dict) for row in v.values()) for v in record.values()):
            aside = path.with_name(f'answers-damaged-{time.strftime("%Y%m%d-%H%M%S")}.json')
            os.replace(path, aside)
            print(f'{path} could not be read. It is kept as {aside.name}, and a new one is begun.')
            record = {}
    for part in ('exercises', 'predictions', 'outcomes'): record.setdefault(part, {})
    return record


@dataclass
class Exercise:
    "One exercise."
    key: str        # `03-1`: lesson and number
    title: str
    task: str       # Markdown
    start: str      # the code that the learner finds; it runs, and does not pass
    answer: str     # the expression that is checked
    hints: tuple    # three, each says more than the one before
    solution: str   # code that passes
    wrong: dict     # code that does not pass → words of the sentence it is answered with
    check: object   # (answer, generator) → a sentence, or None where it is right
    changes: bool=False   # may the learner's function change what it is given?
    limit_s: float=6.     # a check that takes longer is stopped
    before: str=''        # code that stands in for the lesson's own variables, in tests

    @property
    def function(self) -> bool:
        "Is a function asked for?"
        return f'def {self.answer}(' in self.start

EXERCISES = {}  # key → `Exercise`, filled by the modules in `course_utils.exercises`


def exercise(key, title, task, *, start, answer, hints, solution, wrong, **more):
    "Turns a check into an `Exercise`."
    tidy = lambda code: textwrap.dedent(code).strip()
    def add(check):
        EXERCISES[key] = Exercise(key, title, tidy(task), tidy(start), answer, tuple(hints), tidy(solution),
                                  {tidy(code): words for code, words in wrong.items()}, check, **more)
        return check
    return add


def all_exercises() -> dict:
    "Every exercise of the course, by key."
    import course_utils.exercises as home
    for folder in home.__path__:
        for name in sorted(os.listdir(folder)):
            if name.startswith('ex_') and name.endswith('.py'): importlib.import_module(f'course_utils.exercises.{name[:-3]}')
    return dict(sorted(EXERCISES.items()))


def find_exercise(key) -> Exercise:
    "The exercise of that key. Raises `CourseError` where there is none."
    every = all_exercises()
    if key in every: return every[key]
    near = [k for k in every if str(key)[:2] == k[:2]] or list(every)
    raise CourseError(f"There is no exercise '{key}': there are {', '.join(near)}.")


class Wrong(Exception): "What is wrong with an answer, in a sentence for the learner."


class TimeUp(BaseException): "A check took too long. No `Exception`, so that `except Exception` in an answer does not catch it."


def brief(o, most: int=70) -> str:
    "A value in few words."
    if isinstance(o, (list, tuple)) and len(o) <= 6 and all(isinstance(v, (Number, str)) for v in o):
        text = ', '.join(map(brief, o))
        text = f'[{text}]' if isinstance(o, list) else f'({text},)' if len(o) == 1 else f'({text})'
    elif isinstance(o, (bool, np.bool_)): text = str(bool(o))
    elif isinstance(o, (int, np.integer)): text = str(int(o))
    elif isinstance(o, (float, np.floating)): text = f'{o:.4g}'
    elif hasattr(o, 'shape') and hasattr(o, 'tolist'):
        if not len(o.shape): return brief(o.tolist())
        text = brief(o.tolist()) if len(o.shape) == 1 and o.shape[0] <= 6 else f'an array of shape {tuple(o.shape)}'
    elif isinstance(o, (list, tuple)): text = f'a {type(o).__name__} of {len(o)}'
    elif inspect.isfunction(o): text = f'the function {o.__name__}'
    else: text = f'a {type(o).__name__}' if type(o).__repr__ is object.__repr__ or hasattr(o, 'parameters') else repr(o)
    return text if len(text) <= most else text[:most - 1] + '…'


def same(a, b) -> bool:
    "Are these equal, down to every number? Kinds it does not know count as equal."
    if type(a) is not type(b): return False
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict): return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray): return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')
    if hasattr(a, 'equals'): return a.equals(b)
    if hasattr(a, 'detach'): return a.shape == b.shape and bool((a == b).all())
    return a == b if isinstance(a, (Number, str, bytes)) else True


class Asked:
    "A learner's function. Calling it gives what it gives, or raises `Wrong`."
    def __init__(self, function, changes=False): self.function, self.changes = function, changes
    def __call__(self, *args):
        call = f"{getattr(self.function, '__name__', 'your function')}({', '.join(map(brief, args))})"
        before = None if self.changes else copy.deepcopy(args)
        try: out = self.function(*args)
        except (TimeUp, KeyboardInterrupt): raise
        except BaseException as e: raise Wrong(f"{call} stops with {type(e).__name__}{f': {e}' if str(e) else ''}{_line(e, self.function)}") from None
        if not self.changes and not same(before, args): raise Wrong(f"{call} changes what it is given. Work on a copy, so that whoever called it still has theirs.")
        if out is None and not self.changes: raise Wrong(f"{call} gives None. What it has worked out must be returned.")
        return out


def _line(e, function):
    "Where in the learner's own code it happened."
    code = getattr(function, '__code__', None)
    at = [f for f in traceback.extract_tb(e.__traceback__) if code and f.filename == code.co_filename]
    return f', in the line `{at[-1].line}`.' if at and at[-1].line else '.'


def number(o, what: str='The answer') -> float:
    "A plain number, or `Wrong`."
    if hasattr(o, 'item') and getattr(o, 'shape', None) in ((), (1,)): o = o.item()
    if isinstance(o, bool) or not isinstance(o, (int, float)): raise Wrong(f'{what} is {brief(o)}, and should be one number.')
    return float(o)


def numbers(o, shape, what: str='The answer') -> np.ndarray:
    "An array of that shape, or `Wrong`."
    try: a = np.asarray(o.detach().cpu() if hasattr(o, 'detach') else [v.item() if hasattr(v, 'item') and not getattr(v, 'shape', None) else v for v in o] if isinstance(o, (list, tuple)) else o, float)
    except (TypeError, ValueError): raise Wrong(f'{what} is {brief(o)}, and should be numbers.') from None
    shape = shape if isinstance(shape, tuple) else (shape,)
    if a.shape != shape: raise Wrong(f"{what} has the shape {a.shape}, and should have {shape}.")
    return a


class time_limit:
    """Raises `TimeUp` inside after so many seconds, and again every tenth of a second, should the code inside catch it. A loop
    with `except:` around all it does catches it every time: so from the second time on it is raised once more, at the next line."""
    def __init__(self, seconds: float): self.seconds = seconds
    def __enter__(self):
        self.frame, self.rings, self.trace = sys._getframe(1), 0, sys.gettrace()
        self.on, self.timer = True, hasattr(signal, 'setitimer') and threading.current_thread() is threading.main_thread()
        if self.timer:
            self.old = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, .1)
        else:
            self.done, self.me = threading.Event(), ctypes.c_ulong(threading.get_ident())
            self.other = threading.Thread(target=self._watch, daemon=True)
            self.other.start()
    def _ring(self, _, frame):
        if not self.on: return
        self.rings += 1
        if self.rings > 1:
            sys.settrace(self._at_next_line)
            while frame and frame is not self.frame: frame.f_trace, frame = self._at_next_line, frame.f_back
        raise TimeUp
    def _at_next_line(self, frame, event, arg):
        if event == 'line' and self.on: raise TimeUp  # Python takes the trace away when it raises
        return self._at_next_line
    def _watch(self):
        wait = self.seconds
        while not self.done.wait(wait):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self.me, ctypes.py_object(TimeUp))
            wait = .1
    def _off(self):
        self.on = False
        if self.timer:
            if self.rings: sys.settrace(self.trace)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.old)
        else:
            self.done.set(); self.other.join()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self.me, None)  # what has not arrived yet never will
    def __exit__(self, *_):
        try: self._off()
        except TimeUp: self._off()  # it rang on the way out


class _Counter(io.TextIOBase):
    "Swallows what is printed, and counts it."
    n = 0
    def writable(self): return True
    def write(self, text): self.n += len(text); return len(text)


@contextlib.contextmanager
def as_it_was():
    "Leaves the generators of random numbers as they were."
    torch = sys.modules.get('torch')
    old = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    try: yield
    finally:
        random.setstate(old[0]); np.random.set_state(old[1])
        if torch: torch.set_rng_state(old[2])


@dataclass
class Verdict:
    "What a check says."
    key: str
    right: bool
    says: str
    note: str=''
    @property
    def head(self): return f"✓ {self.key}: right." if self.right else f"✗ {self.key}: not yet."
    def __repr__(self): return ' '.join(filter(None, [self.head, self.says, self.note]))
    def _repr_html_(self): return framed('#009E73' if self.right else '#D55E00', f'<b>{html.escape(self.head)}</b> {in_html(self.says)}' + (f'<br><small>{in_html(self.note)}</small>' if self.note else ''))


def judge(ex: Exercise, answer, rounds: int=3) -> Verdict:
    "Checks an answer. Never raises, and comes back within the exercise's time."
    if answer is None or answer is ...: return Verdict(ex.key, False, f'There is nothing in `{ex.answer}` yet.')
    if ex.function and not callable(answer): return Verdict(ex.key, False, f'`{ex.answer}` is {brief(answer)}, and should be a function: give its name alone, without brackets.')
    printed, why = _Counter(), None
    try:
        with as_it_was(), time_limit(ex.limit_s), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), np.errstate(all='ignore'):
            try:
                for _ in range(rounds):
                    if why := ex.check(Asked(answer, ex.changes) if ex.function else answer, np.random.default_rng()): break
            except Wrong as e: why = str(e)
    except TimeUp: why = f'It was stopped after {ex.limit_s:g} seconds. Is there a loop that never ends, or one that is far too long?'
    except KeyboardInterrupt: why = 'You stopped the check.'
    except Exception as e: why = f'{brief(answer)} is not of the kind that is asked for ({type(e).__name__}: {e}).'
    note = f'What it printed, {printed.n:,} characters, is left out here.' if printed.n else ''
    return Verdict(ex.key, not why, why or '', note)


def check(
    key: str,  # `03-1`
    answer,    # a value, or a function
):
    "Says whether an answer is right, or what is wrong with it, and keeps it. Raises `CourseError` for an exercise that is not there."
    ex = find_exercise(key)
    untouched = answer is None or ex.function and _source(answer) in ex.start  # running the cell as it came is no try
    verdict = Verdict(key, False, f'`{ex.answer}` is still as it came: write your answer into the cell.') if untouched else judge(ex, answer)
    try:
        with kept() as record:
            row = record['exercises'].setdefault(key, {})
            if not untouched:
                row['tries'] = row.get('tries', 0) + (not row.get('done'))
                row['answer'], row['at'] = _source(answer), time.strftime('%Y-%m-%d %H:%M:%S')
            if verdict.right and not row.get('done'): row['done'] = time.strftime('%Y-%m-%d %H:%M:%S')
            if not verdict.right: verdict.note = ' '.join(filter(None, [verdict.note, f"A hint: hint('{key}')"]))
            elif row.get('tries', 1) == 1: verdict.says = 'At the first try.'
    except CourseError as e: verdict.note = str(e)
    display(verdict)


def _source(answer) -> str:
    "A learner's answer as text: the code of a function, or the value."
    try: return inspect.getsource(answer).strip() if inspect.isfunction(answer) else repr(answer)[:2000]
    except (OSError, TypeError): return brief(answer)


def hint(key: str):
    "The next of three hints, each of which says more. The last one stays."
    ex = find_exercise(key)
    with kept() as record:
        row = record['exercises'].setdefault(key, {})
        row['hints'] = k = min(row.get('hints', 0) + 1, len(ex.hints))
    head = f'Hint {k} of {len(ex.hints)}.'
    after = f" If that does not help: solution('{key}')" if k == len(ex.hints) else ''
    display(Said(f'{head} {ex.hints[k - 1]}{after}', framed('#0072B2', f'<b>{head}</b> {in_html(ex.hints[k - 1])}{html.escape(after)}')))


def solution(key: str):
    "Code that passes. Not the only one."
    ex = find_exercise(key)
    with kept() as record: record['exercises'].setdefault(key, {}).setdefault('solution', time.strftime('%Y-%m-%d %H:%M:%S'))
    display(Said(ex.solution, framed('#0072B2', f'<b>One solution of {key}.</b><pre style="margin:.5em 0 0;white-space:pre-wrap"><code>{html.escape(ex.solution)}</code></pre>')))


def state_of(row: dict) -> tuple:  # a sign, and words
    "How far one exercise is."
    tries = f"{row.get('tries', 0)} {'try' if row.get('tries') == 1 else 'tries'}"
    if row.get('done'): return '✓', 'done after the solution' if row.get('solution', '9') <= row['done'] else f'done, {tries}'
    return ('…', f'not yet, {tries}') if row.get('tries') else ('○', 'open')


def progress():
    "A table of all exercises: done, tried or open."
    with kept(change=False) as record: rows = record['exercises']
    every = all_exercises()
    lessons = {}
    for key, ex in every.items(): lessons.setdefault(key[:2], []).append((ex, *state_of(rows.get(key, {}))))
    done = sum(sign == '✓' for those in lessons.values() for _, sign, _ in those)
    head = f'{done} of {len(every)} exercises done.'
    text = '\n'.join([head] + [f"Lesson {l}: " + '; '.join(f'{ex.key} {sign} {words}' for ex, sign, words in those) for l, those in lessons.items()])
    th, td = '<th scope="row" style="text-align:left;vertical-align:top">', '<td style="text-align:left;vertical-align:top">'
    cells = lambda those: ''.join(f'{td}<b>{sign}</b> {html.escape(ex.title)}<br><small>{ex.key}: {words}</small></td>' for ex, sign, words in those)
    bar = f'<progress max="{len(every)}" value="{done}" aria-label="{head}" style="width:100%;max-width:30em"></progress>'
    table = ''.join(f'<tr>{th}Lesson {l}</th>{cells(those)}</tr>' for l, those in lessons.items())
    display(Said(text, f'<div class="course-card">{bar}<table><caption style="text-align:left">{head}</caption><tbody>{table}</tbody></table></div>'))
