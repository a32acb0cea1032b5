"""Measures what takes longer than a lesson, over seeds, into results/NAME.json: `python data_scripts/measure.py schedules`.

Every finished run is written at once and in one step, so a killed measurement goes on where it was. One run at a time: two slow each
other down. An experiment is a function that lists its runs (name → settings) and one that measures a run (settings → numbers, JSON).
On another data set (`--data`) or at another profile than `cpu` the file has their names, too: results/schedules_cats_dogs.json."""
import argparse, json, os, sys, time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from course_utils.techniques.augment import pipeline
from course_utils.config import root, CourseError, cache_dir, profile, results_dir, write_whole

import torch

from course_utils.data.pictures import load_pictures
from course_utils.techniques.layer_groups import layer_decay_rates, per_stage, three_groups
from course_utils.techniques.ladder import climb, climbed, rungs, turned
from course_utils.models import count, create_model
from course_utils.report.stats import losses, right
from course_utils.techniques.scaling import axes_of, macs
from course_utils.techniques.schedules import SGDR, Snapshots, Staircase, ensemble_of
from course_utils.training.run import Run
from course_utils.training.keep import describe, fingerprint
from course_utils.training.learner import device_name, versions
from course_utils.training.train import train
from course_utils.training.batchnorm import FreezeBatchNorm
from course_utils.techniques.transfer import article_head, fastai_head, fit_head, frozen_features, linear_head

ROOT = root()

LITE, SMALL = 'tf_efficientnet_lite0', 'regnetx_002'


def pick(**choices): return profile().pick(**choices)

def common() -> dict:
    "Where all experiments train: small pictures, all of them."
    return dict(size=pick(smoke=32, cpu=64, gpu=128), limit=pick(smoke=160, cpu=None))

def over_seeds(arms: dict, **settings) -> dict:  # name of a run → its settings
    "Seed after seed, so that a measurement stopped early leaves whole seeds."
    return {f'{arm}, seed {seed}': dict(common() | settings | own, arm=arm, seed=seed) for seed in range(pick(smoke=2, cpu=5)) for arm, own in arms.items()}

def per_picture(run, prefix='') -> dict:
    "For paired intervals: whether each held-out picture is named right (a digit each), and its loss."
    return {f'{prefix}right': ''.join(f'{v:.0f}' for v in right(run)), f'{prefix}loss': [round(float(v), 3) for v in losses(run)]}

def numbers(run) -> dict:
    "What is kept of a run."
    return dict(accuracy=run.accuracy, valid_loss=float(losses(run).mean()), seconds=round(run.seconds, 2), **per_picture(run))


# ---- transfer: lesson 02 ----

SHARES = (.05, .1, .25, .5, 1.)

def transfer_runs():
    """Scratch and transfer for about the same time: the epochs are what it allows on a processor, validation included, and `seconds`
    says whether it came out equal. Epochs are of all training pictures: with a share of them, each is seen more often."""
    few = lambda n: pick(smoke=1, cpu=n, gpu=5 * n)
    tuned = dict(arch=LITE, pretrained=True, cbs=[FreezeBatchNorm], freeze_epochs=few(2), epochs=few(2), lr_max=2e-3)
    each = lambda name, own: {f'{name}, {share:.0%}': dict(own, share=share) for share in pick(smoke=(.25, 1.), cpu=SHARES)}
    return over_seeds({
        **each('scratch, small network', dict(arch=SMALL, epochs=few(6), lr_max=3e-3)),
        **each('frozen, then unfrozen', tuned),
        **each('frozen body', dict(arch=LITE, head=linear_head)),
        'frozen body, article head, 100%': dict(arch=LITE, head=article_head, share=1.),
        'frozen body, fastai head, 100%': dict(arch=LITE, head=fastai_head, share=1.),
        'frozen body, BatchNorm still, 100%': dict(tuned, freeze_epochs=few(3), epochs=0, share=1.),
        'frozen body, BatchNorm moves, 100%': dict(tuned, cbs=[], freeze_epochs=few(3), epochs=0, share=1.),
        'scratch, 100%': dict(arch=LITE, epochs=few(3), lr_max=2e-3, share=1.),
    }, bs=32)

def measure_transfer(arm, share, size, limit, **settings):
    if arm.startswith('frozen body') and 'epochs' not in settings: return measure_head(share=share, size=size, limit=limit, **settings)
    pics = load_pictures(size=size, limit=limit)
    return numbers(train(pics.subset(round(share * len(pics.train))), repeats=round(1 / share), quiet=True, **settings))

@lru_cache(maxsize=1)
def features_once(arch, size, limit):
    pics = load_pictures(size=size, limit=limit)
    body, start = create_model(arch), time.perf_counter()
    if torch.cuda.is_available(): body.cuda()
    return pics, *(frozen_features(body, pics, idx) for idx in (pics.train, pics.valid)), time.perf_counter() - start

def measure_head(arch, head, share, size, limit, seed, bs):
    "The body's features are the same for every head, share and seed: `seconds` counts them in."
    pics, (x, y), (valid_x, valid_y), seconds = features_once(arch, size, limit)
    part = pics.subset(round(share * len(pics.train)), seed=0)
    keep = torch.tensor(part.table[part.table.split == 'train'].path.map({p: i for i, p in enumerate(pics.table.path[pics.train])}).to_numpy())
    start = time.perf_counter()
    torch.manual_seed(seed)
    model = fit_head(head(x.shape[1], len(pics.classes)), x[keep], y[keep], epochs=round(pick(smoke=3, cpu=20) / share), bs=bs, seed=seed)
    with torch.inference_mode(): probs = model(valid_x).softmax(1).numpy()
    return numbers(Run(None, probs, valid_y.numpy(), None, share * seconds + time.perf_counter() - start, model))


# ---- rates: lesson 05 ----

def rates_runs(peak=2e-3):
    "The same epochs for all: one rate for all layers, at three heights, against rates that differ."
    stages = len(per_stage(create_model(LITE, pretrained=False)))
    return over_seeds({
        **{f'one rate {lr:g}': dict(lr_max=lr) for lr in (peak / 4, peak, peak * 2.5)},
        **{f'three groups, spread {s}': dict(lr_max=slice(peak / s, peak), splitter=three_groups) for s in (10, 100)},
        'only the early group slower, spread 100': dict(lr_max=[peak / 100, peak, peak], splitter=three_groups),
        'decay 0.7 over stages': dict(lr_max=layer_decay_rates(stages, peak, .7), splitter=per_stage),
    }, arch=LITE, pretrained=True, epochs=pick(smoke=1, cpu=3, gpu=15), bs=32)

def measure_training(arm, size, limit, **settings):
    return numbers(train(load_pictures(size=size, limit=limit), quiet=True, **settings))


# ---- schedules: lesson 04 ----

SCHEDULES = {'constant': 'constant', 'step': Staircase(every=5), 'cosine': 'cosine', 'SGDR ×1': SGDR(first=5, mult=1), 'SGDR ×2': SGDR(first=1, mult=2), 'one-cycle': 'one_cycle'}

def schedules_runs():
    return over_seeds({name: {} for name in SCHEDULES}, arch=SMALL, epochs=pick(smoke=3, cpu=15), lr_max=3e-3)

def measure_schedule(arm, size, limit, **settings):
    plan = SCHEDULES[arm]
    run = train(load_pictures(size=size, limit=limit), schedule=plan, cbs=[Snapshots] if isinstance(plan, SGDR) else [], quiet=True, **settings)
    out = dict(numbers(run), valid_losses=run.history.valid_loss.round(4).tolist())
    if len(at := run.arrays.get('snapshots_at', ())):
        out |= per_picture(replace(run, probs=ensemble_of(run)), 'ensemble_') | dict(snapshots_at=at.tolist())
    return out


# ---- scaling: lesson 08 ----

TUNED = {  # name → settings beside those all share
    'Lite0, half as deep': dict(arch='shallow_efficientnet'), 'Lite0': dict(arch='tf_efficientnet_lite0'), 'Lite1': dict(arch='tf_efficientnet_lite1'),
    'Lite2': dict(arch='tf_efficientnet_lite2'), 'Lite0, larger pictures': dict(arch='tf_efficientnet_lite0'),
}

def scaling_runs():
    size, epochs = pick(smoke=32, cpu=64, gpu=128), pick(smoke=1, cpu=8, gpu=30)
    scratch = {f'from scratch, {name}': dict(kind='from scratch', variant=name, size=v['size'], epochs=epochs) for name, v in axes_of(size).items()}
    tuned = {f'fine-tuned, {name}': dict(kind='fine-tuned', variant=name, size=size * 3 // 2 if 'larger' in name else size, epochs=max(epochs // 4, 1)) for name in TUNED}
    return over_seeds(scratch | tuned, base_size=size)

def measure_scaling(arm, kind, variant, size, base_size, limit, epochs, seed):
    pics, share = load_pictures(size=size, limit=limit), 1.
    if kind == 'fine-tuned': settings = dict(TUNED[variant], pretrained=True, freeze_epochs=epochs, lr_max=2e-3, bs=32, cbs=[FreezeBatchNorm])
    else:
        settings = dict(axes_of(base_size)[variant], lr_max=3e-3, tfm=pipeline(.33))
        share = settings.pop('share'); settings.pop('size')
    run = train(pics.subset(round(share * len(pics.train))), epochs=epochs, repeats=round(1 / share), seed=seed, quiet=True, **settings)
    return dict(numbers(run), train_accuracy=float(run.history.train_accuracy.iloc[-1]), parameters=count(run.model)['parameters'], macs=macs(run.model, size))


# ---- the ladder: lesson 09 ----

def ladder_runs(): return over_seeds({name: climbed(name) for name in rungs()} | turned())

def measure_rung(arm, limit, **settings):
    seed = settings.pop('seed')
    run = climb(settings, seed, limit)
    return dict(numbers(run), **run.config)

def top_runs():
    "The top of the ladder with larger pictures and more epochs: under 45 minutes a training on two cores."
    recipe = climbed('+ TTA', dict(size=pick(smoke=32, cpu=192, gpu=300), epochs=pick(smoke=1, cpu=11, gpu=30)))
    names = [(LITE, 'Lite0')] if profile().name != 'gpu' else [(LITE, 'Lite0'), ('tf_efficientnet_lite2', 'Lite2')]
    return over_seeds({f'{name}, {recipe["size"]} px': dict(recipe, arch=arch) for arch, name in names})


EXPERIMENTS = {  # name → (its runs, what measures one)
    'transfer': (transfer_runs, measure_transfer),
    'rates': (rates_runs, measure_training),
    'schedules': (schedules_runs, measure_schedule),
    'ladder': (ladder_runs, measure_rung),
    'top': (top_runs, measure_rung),
    'scaling': (scaling_runs, measure_scaling),
}


# ---- the engine ----

def write(path: Path, kept: dict):
    "One line a run, in one step."
    lines = ',\n'.join(f' {json.dumps(name, ensure_ascii=False)}: {json.dumps(run, sort_keys=True, ensure_ascii=False)}' for name, run in kept.items())
    write_whole(path, '{"runs": {\n' + lines + '\n}}\n')


def measure(name: str, runs: dict, one, path: Path, say=print) -> int:  # how many were measured now
    "Measures the runs of an experiment that `path` does not hold yet with these settings, on these data, with these versions."
    kept = json.loads(path.read_text())['runs'] if path.exists() else {}
    same = dict(data=data_key(next(iter(runs.values()))), versions=versions())
    if torch.cuda.is_available(): same['device'] = device_name()  # seconds of two GPUs do not belong into one table
    there = lambda k: k in kept and kept[k]['settings'] == describe(runs[k]) and all(kept[k][f] == v for f, v in same.items())
    kept = {k: kept[k] for k in runs if there(k)}
    todo, start = [k for k in runs if k not in kept], time.perf_counter()
    for done, k in enumerate(todo):
        result = one(**runs[k])
        kept[k] = dict(result, settings=describe(runs[k]), **({} if 'device' in same else dict(device=device_name())), date=time.strftime('%Y-%m-%d'), **same)
        write(path, {k: kept[k] for k in runs if k in kept})
        spent = time.perf_counter() - start
        say(f"{name}: {k}, {len(kept)} of {len(runs)}, {spent / 60:.1f} minutes so far, about {spent / (done + 1) * (len(todo) - done - 1) / 60:.0f} left", flush=True)
    return len(todo)


def data_key(settings):
    "The data's name and a digest of every picture, label and place in the split."
    pics = load_pictures(size=settings['size'], limit=settings['limit'])
    return f'{pics.name} {fingerprint(pics)}'


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('only', nargs='*', help=f"which of {', '.join(EXPERIMENTS)}; by default all, one after the other")
    p.add_argument('--data', help='a data set by name, or a folder of class folders; by default COURSE_DATA, else solar')
    a = p.parse_args(argv)
    for name in a.only:
        if name not in EXPERIMENTS: raise CourseError(f"There is no experiment '{name}': there are {', '.join(EXPERIMENTS)}.")
    if a.data: os.environ['COURSE_DATA'] = a.data
    data, at = load_pictures(size=32).name, profile().name
    folder = cache_dir() if at == 'smoke' and not os.environ.get('COURSE_RESULTS') else results_dir()  # a trial run measures nothing
    for name in a.only or EXPERIMENTS:
        runs, one = EXPERIMENTS[name]
        runs, path = runs(), folder/('_'.join([name] + [data] * (data != 'solar') + [at] * (at == 'gpu')) + '.json')
        done = measure(name, runs, one, path)
        print(f"{name}: {done} run{'s' * (done != 1)} measured, {len(runs) - done} kept from before, in {os.path.relpath(path)}.")

