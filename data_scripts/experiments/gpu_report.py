"""What this machine's GPU makes of the course: speed, the top of the ladder, the four case studies and the memory they take, in one table: `make gpu-report`.

Each part is written at once into results/gpu_report.json, with the device and the versions. Without a GPU nothing is measured and nothing is written."""
import gc, json, os, shutil, sys, threading, time
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

from course_utils.config import root, CourseError, cache_dir, profile, results_dir, write_whole

import pandas as pd, torch
from torch.nn.functional import cross_entropy

from course_utils.techniques.augment import pipeline
from course_utils.data.pictures import load_pictures
from course_utils.report.results import measured
from course_utils.training.learner import device_name, make_learner, versions
from data_scripts.experiments import bench
from data_scripts.lessons.run import run as lessons
from data_scripts.experiments import measure

ROOT = root()

CASES = 'cats_dogs', 'dog_breeds', 'rock_paper_scissors', 'cifar100'
COLUMNS = ['what', 'setting', 'pictures/s', 'accuracy', 'seconds', 'memory, GB', 'note', 'device']


def used() -> float:
    "Gigabytes of the GPU that are in use now, by all programs."
    free, total = torch.cuda.mem_get_info() if torch.cuda.is_available() else (0, 0)
    return (total - free) / 2**30

@contextmanager
def watched(every=.2):
    "A list that holds, at the end, how much more memory was in use than before: looked at from outside, since a notebook trains in a process of its own."
    gc.collect()
    if torch.cuda.is_available(): torch.cuda.empty_cache()
    before, peak, done = used(), [0.], threading.Event()
    def look():
        while not done.wait(every): peak[0] = max(peak[0], used() - before)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try: yield peak
    finally: done.set(); thread.join()


# ---- speed ----

WAYS = {  # each keeps what those above it set
    'float32': dict(bf16=False, channels_last=False, compiled=False), '+ bfloat16': dict(bf16=True),
    '+ channels last': dict(channels_last=True), '+ torch.compile': dict(compiled=True),
}

def stepper(model, x, y, bf16, channels_last, compiled, backend='inductor'):
    "A function that trains n steps on one ready batch and returns the seconds of a picture. It has a network of its own: its layout is part of the way."
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model, x = deepcopy(model).to(memory_format=layout), x.contiguous(memory_format=layout)
    opt = torch.optim.AdamW(model.parameters(), 1e-4)
    if compiled: model = torch.compile(model, backend=backend)
    def go(n):
        start = time.perf_counter()
        for _ in range(n):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16): loss = cross_entropy(model(x), y)
            loss.backward()
            opt.step(); opt.zero_grad()
        if x.device.type == 'cuda': torch.cuda.synchronize()
        return (time.perf_counter() - start) / n / len(y)
    return go

def speed(arch: str, device=None, turns=7, backend='inductor') -> list:  # rows of the table
    "Training steps on a ready batch, each way with what those above it set. cuDNN's float32 is torch's default, TF32 where the card has it."
    size, bs, steps = profile().pick(smoke=32, cpu=96, gpu=224), profile().pick(smoke=4, cpu=32, gpu=64), profile().pick(smoke=1, cpu=4, gpu=20)
    learn = make_learner(load_pictures('solar', size=size, limit=300), arch, tfm=pipeline(.33), bs=bs, device=device, quiet=True)
    learn.model.train()
    x, y = learn.dls.train.one_batch()
    how, go, warm, peak, failed = {}, {}, {}, {}, ''
    for name, change in WAYS.items():
        how |= change
        with watched(.02) as peak[name]:
            go[name], start = stepper(learn.model, x, y, backend=backend, **how), time.perf_counter()
            try: go[name](steps)  # compiles, and finds the fastest convolutions
            except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as e: failed = f'{name} does not run here: {str(e).splitlines()[0]}'; del go[name]
        warm[name] = time.perf_counter() - start
    seconds = bench.in_turn({name: (lambda f=f: f(steps)) for name, f in go.items()}, turns)
    r = bench.row(seconds, '')
    each, before = r['median'], None
    rows = []
    for name in go:
        note = '' if before is None else f'{each[before] / each[name]:.2f} times as fast as the line above'
        if name == '+ torch.compile': note += f"; {warm[name]:.0f} s to compile: {pays(warm[name], each[before], each[name])}"
        rows.append({'what': f'training, {arch}, {size} px, batches of {bs}', 'setting': name, 'pictures/s': round(1 / each[name], 1), 'memory, GB': round(peak[name][0], 1), 'note': note})
        before = name
    if failed: rows[-1]['note'] += f'; {failed}'
    return rows

def pays(compile_s: float, without_s: float, with_s: float) -> str:
    "After how many pictures the seconds spent on compiling have come back. `without_s`, `with_s`: seconds of a picture."
    return f'it pays after {compile_s / (without_s - with_s):,.0f} pictures' if with_s < without_s else 'it does not pay'

def real(device=None) -> list:
    "Pictures from the loader against a batch that is there."
    with watched() as peak: r = bench.throughput(device=device)
    return [{'what': f"training, real pictures, {r['size']} px", 'setting': 'the course\'s loader, whole epochs', 'pictures/s': round(1 / r['median']['real pictures'], 1), 'memory, GB': round(peak[0], 1),
             'note': f"{r['ratio']['one ready batch']:.2f} of what a ready batch gives"}]


# ---- the ladder's top, and the case studies ----

def top() -> list:
    "The recipe of the ladder with larger pictures and more epochs, over seeds; goes on where it was."
    runs, one = measure.EXPERIMENTS['top']
    path = results_dir()/('top' + '_gpu' * (profile().name == 'gpu') + '.json')
    with watched() as peak: now = measure.measure('top', runs(), one, path)
    rows = []
    for arm, s in measured(path.stem).items():
        mean, low, high = s.accuracy
        rows.append({'what': 'top of the ladder', 'setting': arm, 'accuracy': round(mean, 4), 'seconds': round(s.seconds, 1), **({'memory, GB': round(peak[0], 1)} if now else {}), 'note': f'{low:.1%} to {high:.1%}, {len(s.right)} seeds'})
    return rows

def case(name: str) -> list:
    "A case study, run as a notebook. Raises `PicturesMissing` where its pictures have not been fetched."
    path, scratch = ROOT/'nbs'/'cases'/f'{name}.ipynb', cache_dir()/'lessons'/'gpu_report'/name
    with watched() as peak: _, seconds = lessons.run(path, profile().name, fresh=True, scratch=scratch)
    kept = json.loads((scratch/'results'/f'case_{name}.json').read_text())['runs'][profile().name]
    if profile().name == 'gpu': shutil.copy(scratch/'results'/f'case_{name}.json', results_dir())
    return [{'what': f'case study {name}', 'setting': who, 'accuracy': round(r['accuracy'], 4), 'seconds': round(r['minutes'] * 60, 1), 'memory, GB': round(peak[0], 1),
             'note': f"{r['what']}; {r['low']:.1%} to {r['high']:.1%}, {r['seeds']} seeds; the whole notebook took {seconds:.0f} s"} for who, r in kept['table'].items()]


PARTS = {'speed Lite0': lambda: speed('tf_efficientnet_lite0'), 'speed Lite2': lambda: speed('tf_efficientnet_lite2'), 'real pictures': real, 'top': top,
         **{f'case {name}': lambda name=name: case(name) for name in CASES}}

def table(parts: dict) -> pd.DataFrame:
    "All rows, the empty cells empty."
    return pd.DataFrame([dict(r, device=p['device']) for p in parts.values() for r in p['rows']]).reindex(columns=COLUMNS)

def measure_all(parts: dict, path: Path) -> dict:
    "Measures part after part and writes each at once. A part that fails says why, and the others go on."
    kept = json.loads(path.read_text()) if path.exists() else {}
    for name, one in parts.items():
        try: rows = one()
        except (CourseError, lessons.LessonFailed, lessons.PicturesMissing, RuntimeError) as e:
            print(f'{name}: not measured. {e}', flush=True)
            continue
        kept[name] = dict(rows=rows, device=device_name(), versions=versions(), date=time.strftime('%Y-%m-%d'))
        write_whole(path, json.dumps({k: kept[k] for k in parts if k in kept}, indent=1, ensure_ascii=False) + '\n')
    return kept

def main(argv=None):
    if not torch.cuda.is_available(): print('There is no GPU that torch can use here, so nothing was measured and nothing was written: make doctor says what is missing.'); return
    path = results_dir()/'gpu_report.json'
    kept = measure_all(PARTS, path)
    if not kept: raise CourseError('Nothing could be measured: the lines above say why.')
    print('\n' + table(kept).fillna('').to_string(index=False) + f'\nKept in {os.path.relpath(path)}.')

