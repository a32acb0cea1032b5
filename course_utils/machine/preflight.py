"""How long will a lesson take on this machine? `preflight('04')` times it for some seconds and predicts.

Why three parts. A GPU trains fifty times as fast as a laptop and draws a figure no faster, so one ratio cannot do. Training
(forward, backward, optimiser, batches) and inference (forward only) stress memory differently, and their share differs most
between lessons: 06 looks, 05 trains. All else (reading pictures, drawing, starting a kernel) is Python on one core or two, and is
timed by reading and drawing. More parts could not be told apart in the second or three that a pre-flight may take."""
import io, time
from statistics import median

import numpy as np, torch
from fastai.callback.core import Callback, CancelFitException
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from course_utils.config import CourseError, profile
from course_utils.data.decode import decode
from course_utils.data.pictures import Pictures
from course_utils.data.sources import solar_cells
from course_utils.report.cards import Card
from course_utils.report.results import read_results
from course_utils.training.learner import make_learner
from course_utils.training.memory import left_usable
from course_utils.training.recipe import Recipe

TIMED_PARTS = ('train', 'valid', 'rest')
BATCH = 32  # pictures


def time_machine(
    name: str | None=None,       # a profile; None: the one in force
    seconds: float | None=None,  # how long to measure; None: 20, at smoke 1
) -> dict:  # `train_s`, `valid_s`, `rest_s`: seconds of a training step, of a validation step and of the rest; `what` was timed
    """Times two training batches and a validation step, again and again, and takes the fastest after a warm-up: the course's
    network and picture size, the solar cells."""
    pick = profile(name).pick
    if seconds is None: seconds = pick(smoke=1, cpu=20)
    arch = pick(smoke='resnet10t', cpu='tf_efficientnet_lite0')
    size = pick(smoke=32, cpu=64, gpu=128)
    pics = timed_pictures(size)
    learn = make_learner(pics, Recipe(arch, 1, bs=BATCH, workers=0), quiet=True)
    stopwatch = Stopwatch(list(pics.table.path[:BATCH]), size, seconds)
    with stopwatch.bar, left_usable(learn): learn.fit(10**6, 1e-4, cbs=stopwatch)
    # Other programs only ever add time, in spells of ten seconds and more: over five minutes of a busy machine
    # the fastest round of three seconds was up to 35 % from its mean, of twenty seconds 21 %, of thirty 9 %.
    fastest = {f'{part}_s': round(min(times[1:]), 5) for part, times in stopwatch.times.items()}
    return fastest | dict(what=f'{arch}, {size} px, batches of {BATCH}')


def timed_pictures(size: int) -> Pictures:
    "Two batches of solar cells to train on, two to validate on."
    table, classes = solar_cells()
    rows = np.linspace(0, len(table) - 1, 4 * BATCH).astype(int)
    table = table.iloc[rows].assign(split=['train', 'valid'] * 2 * BATCH).reset_index(drop=True)
    images, _, note = decode(list(table.path), size, quiet=True)
    return Pictures('solar', images, classes, table, note)


class Stopwatch(Callback):
    "Times each part in each round, and ends the training."
    order = 100  # after all others

    def __init__(self,
        paths: list,     # pictures that are read again in each round
        size: int,
        seconds: float,  # how long to measure
    ):
        self.paths, self.size, self.seconds = paths, size, seconds
        self.times = {part: [] for part in TIMED_PARTS}
        self.bar = tqdm(total=seconds, bar_format='{l_bar}{bar}', desc='Timing this machine', leave=False)
        self.begun = time.perf_counter()

    def now(self) -> float:
        if self.dls.device.type == 'cuda': torch.cuda.synchronize()  # a GPU works on while Python goes ahead
        return time.perf_counter()

    def before_train(self): self.start = self.now()

    def after_train(self):
        seconds = self.now() - self.start
        self.times['train'].append(seconds / 2)  # of one batch

    def before_validate(self): self.start = self.now()

    def after_validate(self):
        end = self.now()
        self.times['valid'].append(end - self.start)
        decode(self.paths, self.size, quiet=True)
        draw_curves()
        self.times['rest'].append(time.perf_counter() - end)
        self.end_round()

    def end_round(self):
        "Stops after two rounds, and when the seconds are over."
        done_s = time.perf_counter() - self.begun
        self.bar.update(min(done_s, self.seconds) - self.bar.n)
        if len(self.times['rest']) > 1 and done_s >= self.seconds: raise CancelFitException


def draw_curves():
    "A figure of curves, as lessons draw them."
    figure = Figure(figsize=(6, 3), dpi=144, layout='constrained')
    FigureCanvasAgg(figure)
    for ax in figure.subplots(1, 2):
        ax.plot(range(12), range(12), 'o-', label='train')
        ax.set(xlabel='epoch', ylabel='loss')
        ax.legend()
    figure.savefig(io.BytesIO(), format='png')


def is_timed(run: dict) -> bool:
    "Are both there: what the run's seconds went to, and how fast its machine was?"
    return bool(run.get('spent') and run.get('preflight'))


def predicted(
    entry: dict,              # of results/lessons.json: `spent`, seconds on each part, and `preflight`, what `time_machine` said
                              # of the machine that ran it; `earlier`, the same of runs before
    this_machine: dict | None,  # of `time_machine`, at the same profile
) -> dict | None:             # seconds on each part; None where it is not known
    """How long a lesson will take here: each part times this machine's figure over that machine's, the median over the runs.

    Of 70 lessons run again on a processor of one name 65 took within 30 % of it; of two that had run on another, one (+14 and
    +56 %, 1 December 2026): in the other the timed step took 2.4 times as long as there, the whole lesson 1.4 times."""
    if not this_machine: return None
    runs = [run for run in (entry, *entry.get('earlier', ())) if is_timed(run)]
    runs = [run for run in runs if run['preflight']['what'] == this_machine['what']]
    if not runs: return None
    seconds = {}
    for part in TIMED_PARTS:
        steps = [run['spent'][part] / run['preflight'][f'{part}_s'] for run in runs]
        seconds[part] = median(steps) * this_machine[f'{part}_s']
    return seconds


def in_minutes(seconds: dict | None) -> str:
    "A prediction in words."
    if seconds is None: return 'not known yet'
    train, valid, rest = [seconds[part] / 60 for part in TIMED_PARTS]
    return f'{train + valid + rest:.1f} minutes (training {train:.1f}, inference {valid:.1f}, the rest {rest:.1f})'


def preflight(
    lesson: str='',        # its number, `04`; empty: every lesson, at every profile whose seconds are kept
    measure=time_machine,  # profile → figures
) -> Card:
    """Predicts minutes on this machine, at the profile in force first; it takes 20 s for each profile that lessons were
    measured at. Raises `CourseError` where there is no such lesson."""
    entries = read_results('lessons')
    lessons = [name for name in entries if name.startswith(lesson)]
    if not lessons:
        raise CourseError(f"There is no measured lesson '{lesson}': there are {', '.join(entries) or 'none yet'}.")
    # smoke is for tests: under a minute, and never kept
    profiles = sorted(['cpu', 'gpu'], key=lambda name: name != profile().name)
    machine = {}
    for name in profiles:  # what nothing can be said about is not timed
        is_known = any(entries[title].get(name, {}).get('preflight') for title in lessons)
        machine[name] = measure(name) if is_known else None

    def prediction(title: str, name: str) -> str:
        entry = entries[title].get(name, {})
        seconds = predicted(entry, machine[name])
        source = f", from a run on {entry['device']}" if seconds and 'device' in entry else ''
        return f'profile {name}: {in_minutes(seconds)}{source}'

    return Card({title: '; '.join(prediction(title, name) for name in profiles) + '.' for title in lessons})
