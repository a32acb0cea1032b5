"""What this machine's GPU makes of the course: speed, the top of the ladder, the four case studies and the memory they take, in one
table: `make gpu-report`.

Each part is written at once into results/gpu_report.json, with the device and the versions. Without a GPU nothing is measured and
nothing is written."""
import argparse, gc, os, shutil, threading, time
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path

import pandas as pd, torch
from torch.nn.functional import cross_entropy

from course_utils.config import CourseError, cache_dir, profile, results_dir, root
from course_utils.data.pictures import load_pictures
from course_utils.report.results import measured, read_results, result_row, write_results
from course_utils.techniques.augment import pipeline
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from data_scripts.experiments.bench.loading import throughput
from data_scripts.experiments.bench.timing import in_turn
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS
from data_scripts.lessons.run import LessonFailed, PicturesMissing, run_notebook

ROOT = root()
CASES = 'cats_dogs', 'dog_breeds', 'rock_paper_scissors', 'cifar100'
COLUMNS = ['what', 'setting', 'pictures/s', 'accuracy', 'seconds', 'memory, GB', 'note', 'device']


# ---- memory ----

def gpu_memory() -> float:
    "Gigabytes of the GPU that are in use now, by all programs."
    if not torch.cuda.is_available(): return 0.
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**30


class Peak:
    "The most gigabytes that were in use, above those in use before."
    def __init__(self):
        self.gigabytes_before = gpu_memory()
        self.gigabytes = 0.

    def look(self): self.gigabytes = max(self.gigabytes, gpu_memory() - self.gigabytes_before)

    @property
    def rounded(self) -> float: return round(self.gigabytes, 1)


@contextmanager
def watch_memory(every_s: float = .2):
    "Gives a `Peak`. Memory is looked at from outside, since a notebook trains in a process of its own."
    gc.collect()
    if torch.cuda.is_available(): torch.cuda.empty_cache()
    peak = Peak()
    done = threading.Event()

    def look():
        while not done.wait(every_s): peak.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try: yield peak
    finally:
        done.set()
        thread.join()


# ---- speed ----

PLAIN = dict(bf16=False, channels_last=False, compiled=False)
CHANGES = {  # each keeps what those above it set
    'float32': {},
    '+ bfloat16': dict(bf16=True),
    '+ channels last': dict(channels_last=True),
    '+ torch.compile': dict(compiled=True),
}


def stepper(
    model, x, y,            # a network, a ready batch of pictures and labels
    bf16: bool,             # the forward pass in bfloat16
    channels_last: bool,    # the memory layout of weights and pictures
    compiled: bool,
    backend='inductor',     # of torch.compile
):
    "A function that trains n steps and returns the seconds of a picture. It has a network of its own: its layout is part of the way."
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = deepcopy(model).to(memory_format=layout)
    x = x.contiguous(memory_format=layout)
    opt = torch.optim.AdamW(model.parameters(), 1e-4)
    if compiled: model = torch.compile(model, backend=backend)

    def train_steps(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16): loss = cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
        if x.device.type == 'cuda': torch.cuda.synchronize()
        return (time.perf_counter() - start) / n / len(y)

    return train_steps


def speed(
    arch: str,           # a timm name
    device=None,
    turns: int = 7,
    backend='inductor',  # of torch.compile
) -> list:               # rows of the table
    "Training steps on a ready batch, each way with what those above it set. cuDNN's float32 is torch's default, TF32 where the card has it."
    pick = profile().pick
    size = pick(smoke=32, cpu=96, gpu=224)
    bs = pick(smoke=4, cpu=32, gpu=64)
    n_steps = pick(smoke=1, cpu=4, gpu=20)
    recipe = Recipe(arch, 1, augment=pipeline(.33), bs=bs)
    learn = make_learner(load_pictures('solar', size=size, limit=300), recipe, device=device, quiet=True)
    learn.model.train()
    x, y = learn.dls.train.one_batch()
    ways, warm_s, peaks, failure = warm_up(learn.model, x, y, n_steps, backend)
    calls = {name: partial(train_steps, n_steps) for name, train_steps in ways.items()}
    seconds = pd.DataFrame(in_turn(calls, turns)).median()  # of a picture
    rows = []
    previous = None
    for name in ways:
        note = way_note(name, seconds, previous, warm_s)
        rows.append({'what': f'training, {arch}, {size} px, batches of {bs}', 'setting': name,
                     'pictures/s': round(1 / seconds[name], 1), 'memory, GB': peaks[name].rounded, 'note': note})
        previous = name
    if failure: rows[-1]['note'] += f'; {failure}'
    return rows


def warm_up(model, x, y, n_steps: int, backend) -> tuple:  # way → function, → seconds of its first steps, → `Peak`; why one fails, or ''
    "Makes every way and runs it once, which compiles, and finds the fastest convolutions."
    ways, seconds, peaks = {}, {}, {}
    failure = ''
    options = PLAIN
    for name, change in CHANGES.items():
        options = options | change
        with watch_memory(.02) as peaks[name]:
            train_steps = stepper(model, x, y, backend=backend, **options)
            start = time.perf_counter()
            try:
                train_steps(n_steps)
                ways[name] = train_steps
            except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
                failure = f'{name} does not run here: {str(error).splitlines()[0]}'
        seconds[name] = time.perf_counter() - start
    return ways, seconds, peaks, failure


def way_note(name: str, seconds, previous: str | None, warm_s: dict) -> str:
    "A way beside the one above it; compiling also by what it gives back."
    if previous is None: return ''
    note = f'{seconds[previous] / seconds[name]:.2f} times as fast as the line above'
    if name != '+ torch.compile': return note
    return f'{note}; {warm_s[name]:.0f} s to compile: {payback(warm_s[name], seconds[previous], seconds[name])}'


def payback(
    compile_s: float,   # spent on compiling
    plain_s: float,     # of a picture, not compiled
    compiled_s: float,  # of a picture
) -> str:
    "After how many pictures the seconds spent on compiling have come back."
    if compiled_s >= plain_s: return 'it does not pay'
    return f'it pays after {compile_s / (plain_s - compiled_s):,.0f} pictures'


def real_pictures(device=None) -> list:  # rows of the table
    "Pictures from the loader against a batch that is there."
    with watch_memory() as peak: row = throughput(device=device)
    per_second = 1 / row['median']['real pictures']
    return [{'what': f"training, real pictures, {row['size']} px", 'setting': "the course's loader, whole epochs",
             'pictures/s': round(per_second, 1), 'memory, GB': peak.rounded,
             'note': f"{row['ratio']['one ready batch']:.2f} of what a ready batch gives"}]


# ---- the ladder's top, and the case studies ----

def top() -> list:  # rows of the table
    "The top of the ladder, over folds; goes on where it was."
    experiment = EXPERIMENTS['top']
    path = results_dir()/('top_gpu.json' if profile().name == 'gpu' else 'top.json')
    with watch_memory() as peak: n_new = measure('top', experiment.trials(), experiment.measure, path)
    rows = []
    for arm, seeds in measured(path.stem).items():
        mean, low, high = seeds.accuracy
        row = {'what': 'top of the ladder', 'setting': arm, 'accuracy': round(mean, 4), 'seconds': round(seeds.seconds, 1)}
        if n_new: row['memory, GB'] = peak.rounded
        row['note'] = f'{low:.1%} to {high:.1%}, {seeds.n_trainings} folds'
        rows.append(row)
    return rows


def case(name: str) -> list:  # rows of the table
    "A case study, run as a notebook. Raises `PicturesMissing` where its pictures have not been fetched."
    profile_name = profile().name
    path = ROOT/'nbs'/'cases'/f'{name}.ipynb'
    scratch = cache_dir()/'lessons'/'gpu_report'/name
    with watch_memory() as peak: _, seconds = run_notebook(path, profile_name, fresh=True, scratch=scratch)
    results = scratch/'results'/f'case_{name}.json'
    if profile_name == 'gpu': shutil.copy(results, results_dir())
    rows = []
    for setting, row in read_results(results)['runs'][profile_name]['table'].items():
        note = (f"{row['what']}; {row['low']:.1%} to {row['high']:.1%}, {row['seeds']} seeds; "
                f'the whole notebook took {seconds:.0f} s')
        rows.append({'what': f'case study {name}', 'setting': setting, 'accuracy': round(row['accuracy'], 4),
                     'seconds': round(row['minutes'] * 60, 1), 'memory, GB': peak.rounded, 'note': note})
    return rows


REPORT_PARTS = {
    'speed Lite0': lambda: speed('tf_efficientnet_lite0'),
    'speed Lite2': lambda: speed('tf_efficientnet_lite2'),
    'real pictures': real_pictures,
    'top': top,
    **{f'case {name}': partial(case, name) for name in CASES},
}


# ---- the command ----

def report_table(parts: dict) -> pd.DataFrame:
    "All rows, the empty cells empty."
    rows = [dict(row, device=part['device']) for part in parts.values() for row in part['rows']]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def measure_all(
    parts: dict,  # name → a function that gives rows of the table
    path: Path,
) -> dict:        # name → its rows, on what they were measured
    "Measures part after part and writes each at once. A part that fails says why, and the others go on."
    kept = read_results(path)
    for name, part in parts.items():
        try: rows = part()
        except (CourseError, LessonFailed, PicturesMissing, RuntimeError) as error:
            print(f'{name}: not measured. {error}', flush=True)
            continue
        kept[name] = result_row(rows=rows)
        write_results(path, {key: kept[key] for key in parts if key in kept}, sort=False)
    return kept


def main(arguments=None):
    "Measures all parts, and prints the table."
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(arguments)
    if not torch.cuda.is_available():
        print('There is no GPU that torch can use here, so nothing was measured and nothing was written: make doctor says what is missing.')
        return
    path = results_dir()/'gpu_report.json'
    kept = measure_all(REPORT_PARTS, path)
    if not kept: raise CourseError('Nothing could be measured: the lines above say why.')
    print(report_table(kept).fillna('').to_string(index=False))
    print(f'Kept in {os.path.relpath(path)}.')
