"""What an exercise is, and how it is found. The exercises themselves stand in `course_utils/exercises/ex_NN.py`, one module a lesson."""
import importlib, inspect, linecache, os, re, textwrap
from collections.abc import Callable
from dataclasses import dataclass

from course_utils.config import CourseError


@dataclass
class Exercise:
    "One exercise."
    key: str         # `03-1`: lesson and number
    title: str
    task: str        # Markdown
    start: str       # the code that the learner finds; it runs, and does not pass
    answer: str      # the expression that is checked
    hints: tuple     # three, each says more than the one before
    solution: str    # code that passes
    wrong: dict      # code that does not pass → words of the sentence it is answered with
    check: Callable  # (answer, generator) → a sentence, or None where it is right
    changes: bool=False  # may the learner's function change what it is given?
    limit_s: float=6.    # a check that takes longer is stopped
    setup: str=''        # code that stands in for the lesson's own variables, in tests

    @property
    def function(self) -> bool:
        "Is a function asked for?"
        return f'def {self.answer}(' in self.start

EXERCISES = {}  # key → `Exercise`, filled by the modules in `course_utils.exercises`


def exercise(
    key: str,    # `03-1`
    title: str,
) -> Callable:
    """Makes an `Exercise` of a class, which is only a place to write in:

    - its docstring is the task. Lines are joined to one; an empty line is a line break, two are a paragraph;
    - `answer` and `hints`, and where they are not the usual ones `changes` and `limit_s`, are as in `Exercise`;
    - of `start`, `solution`, `setup` and the functions marked by `wrong` the **text** counts, as it stands
      below their `def`: it is code of a notebook's cell, which knows the lesson's names, and nobody calls it;
    - `check(answer, rng)` is called."""
    def add(place: type) -> type:
        optional = {name: vars(place)[name] for name in ('changes', 'limit_s') if name in vars(place)}
        if hasattr(place, 'setup'): optional['setup'] = code_below(place.setup)
        mistakes = [f for f in vars(place).values() if hasattr(f, 'answered_with')]
        EXERCISES[key] = Exercise(
            key, title,
            task=task_text(place.__doc__),
            start=code_below(place.start),
            answer=place.answer,
            hints=place.hints,
            solution=code_below(place.solution),
            wrong={code_below(f): f.answered_with for f in mistakes},
            check=place.check,
            **optional)
        return place
    return add


def wrong(
    words: str,  # of the sentence it is answered with
) -> Callable:
    "Marks a function whose body is a wrong answer that the check must know."
    def mark(function):
        function.answered_with = words
        return function
    return mark


def task_text(docstring: str) -> str:
    "Lines joined to one; of every run of line breaks one is taken away."
    def joined(breaks): return breaks[0][1:] or ' '
    return re.sub(r'\n+', joined, inspect.cleandoc(docstring))


def code_below(function: Callable) -> str:
    "The text below a function's `def`, with its comments, not indented."
    code = function.__code__
    following = linecache.getlines(code.co_filename)[code.co_firstlineno - 1:]
    lines = inspect.getblock(following)
    head = next(k for k, line in enumerate(lines) if line.lstrip().startswith('def '))
    return textwrap.dedent(''.join(lines[head + 1:])).strip()


def all_exercises() -> dict:  # key → `Exercise`
    "Every exercise of the course, in order."
    import course_utils.exercises as home
    for folder in home.__path__:
        modules = [name.removesuffix('.py') for name in os.listdir(folder) if re.fullmatch(r'ex_.*\.py', name)]
        for module in sorted(modules): importlib.import_module(f'course_utils.exercises.{module}')
    return dict(sorted(EXERCISES.items()))


def exercises_of(lesson: str) -> list:  # of `Exercise`
    "The exercises of a lesson, `03`, in order."
    return [ex for key, ex in all_exercises().items() if key.startswith(f'{lesson}-')]


def find_exercise(key: str) -> Exercise:
    "The exercise of that key. Raises `CourseError` where there is none."
    exercises = all_exercises()
    if key in exercises: return exercises[key]
    neighbours = [k for k in exercises if k[:2] == str(key)[:2]] or list(exercises)
    raise CourseError(f"There is no exercise '{key}': there are {', '.join(neighbours)}.")
