"""Measures what takes longer than a lesson, over seeds, into results/NAME.json: `python data_scripts/measure.py --only schedules`.

Every finished run is written at once and in one step, so a killed measurement goes on where it was. One run at a time: two slow each
other ten-fold. An experiment is a function that lists its runs (name → settings) and one that measures a run (settings → numbers, JSON)."""
import argparse, json, os, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from course_utils.augment import pipeline
from course_utils.config import CourseError, results_dir
from course_utils.data import load_pictures
from course_utils.models import count
from course_utils.report import losses, right
from course_utils.scaling import axes_of, macs
from course_utils.schedules import SGDR, Snapshots, Staircase
from course_utils.train import Run, device_name, fingerprint, train, versions
from course_utils.transfer import FreezeBatchNorm


def per_picture(run, prefix='') -> dict:
    "For paired intervals: whether each held-out picture is named right, and its loss."
    return {f'{prefix}right': [int(v) for v in right(run)], f'{prefix}loss': [round(float(v), 3) for v in losses(run)]}


# ---- schedules: lesson 04 ----

SCHEDULES = {'constant': 'constant', 'step': Staircase(every=5), 'cosine': 'cosine', 'SGDR ×1': SGDR(first=5, mult=1), 'SGDR ×2': SGDR(first=1, mult=2), 'one-cycle': 'one_cycle'}

def schedule_runs(size=64, limit=None, arch='regnetx_002', epochs=15, seeds=5):
    return {f'{name} seed {s}': dict(schedule=name, seed=s, arch=arch, epochs=epochs, lr_max=3e-3, size=size, limit=limit) for s in range(seeds) for name in SCHEDULES}

def measure_schedule(schedule, size, limit, **settings):
    plan = SCHEDULES[schedule]
    snapshots = Snapshots(plan) if isinstance(plan, SGDR) else None
    run = train(load_pictures(size=size, limit=limit), schedule=plan, cbs=[snapshots] if snapshots else [], quiet=True, **settings)
    out = dict(accuracy=run.accuracy, valid_loss=run.valid_loss, seconds=run.seconds, valid_losses=run.history.valid_loss.round(4).tolist(), **per_picture(run))
    if snapshots and snapshots.probs:
        out |= per_picture(Run(run.history, snapshots.mean(), run.targets, None, 0, None), 'ensemble_') | dict(snapshots_at=snapshots.at)
    return out


# ---- scaling: lesson 08 ----

TUNED = {  # name → settings beside those all share
    'Lite0, half as deep': dict(arch='shallow_efficientnet'), 'Lite0': dict(arch='tf_efficientnet_lite0'), 'Lite1': dict(arch='tf_efficientnet_lite1'),
    'Lite2': dict(arch='tf_efficientnet_lite2'), 'Lite0, larger pictures': dict(arch='tf_efficientnet_lite0'),
}

def scaling_runs(size=64, limit=None, seeds=5, epochs=8):
    scratch = {name: dict(kind='from scratch', variant=name, size=v['size'], base_size=size, epochs=epochs) for name, v in axes_of(size).items()}
    tuned = {name: dict(kind='fine-tuned', variant=name, size=size * 3 // 2 if 'larger' in name else size, base_size=size, epochs=max(epochs // 4, 1)) for name in TUNED}
    return {f"{v['kind']}, {name}, seed {s}": dict(v, limit=limit, seed=s) for s in range(seeds) for name, v in (scratch | tuned).items()}

def measure_scaling(kind, variant, size, base_size, limit, epochs, seed):
    pics, share = load_pictures(size=size, limit=limit), 1.
    if kind == 'fine-tuned': settings = dict(TUNED[variant], pretrained=True, freeze_epochs=epochs, lr_max=2e-3, bs=32, cbs=[FreezeBatchNorm])
    else:
        settings = dict(axes_of(base_size)[variant], lr_max=3e-3, tfm=pipeline(.33))
        share = settings.pop('share'); settings.pop('size')
    run = train(pics.subset(round(share * len(pics.train))), epochs=epochs, repeats=round(1 / share), seed=seed, quiet=True, **settings)
    return dict(accuracy=run.accuracy, valid_loss=run.valid_loss, train_accuracy=float(run.history.train_accuracy.iloc[-1]), seconds=run.seconds,
                parameters=count(run.model)['parameters'], macs=macs(run.model, size), **per_picture(run))


EXPERIMENTS = {  # name → (its runs, what measures one)
    'schedules': (schedule_runs, measure_schedule),
    'scaling': (scaling_runs, measure_scaling),
}


# ---- the engine ----

def write(path: Path, kept: dict):
    "One line a run, in one step."
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.part')
    lines = ',\n'.join(f' {json.dumps(name, ensure_ascii=False)}: {json.dumps(run, sort_keys=True, ensure_ascii=False)}' for name, run in kept.items())
    part.write_text('{"runs": {\n' + lines + '\n}}\n')
    os.replace(part, path)


def measure(name: str, runs: dict, one, path: Path, say=print) -> int:  # how many were measured now
    "Measures the runs of an experiment that `path` does not hold yet with these settings, on these data, with these versions."
    kept = json.loads(path.read_text())['runs'] if path.exists() else {}
    kept = {k: r for k, r in kept.items() if k in runs}
    same, done = dict(data=None, versions=versions()), 0
    for k, settings in runs.items():
        same['data'] = data_key(settings)
        if k in kept and kept[k]['settings'] == settings and all(kept[k][f] == v for f, v in same.items()): continue
        start = time.perf_counter()
        result = one(**settings)
        kept[k] = dict(result, settings=settings, device=device_name(), date=time.strftime('%Y-%m-%d'), **same)
        done += 1
        write(path, {k: kept[k] for k in runs if k in kept})
        say(f"{name}: {k}, {time.perf_counter() - start:.0f} s, {sum(k in kept for k in runs)} of {len(runs)}", flush=True)
    return done


def data_key(settings):
    pics = load_pictures(size=settings['size'], limit=settings.get('limit'))
    return f'{pics.name} {fingerprint(pics)}'


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--only', default='', help=f"one of {', '.join(EXPERIMENTS)}; by default all, one after the other")
    a = p.parse_args(argv)
    if a.only and a.only not in EXPERIMENTS: raise CourseError(f"There is no experiment '{a.only}': there are {', '.join(EXPERIMENTS)}.")
    for name in [a.only] if a.only else EXPERIMENTS:
        runs, one = EXPERIMENTS[name]
        done = measure(name, runs(), one, results_dir()/f'{name}.json')
        print(f"{name}: {done} run{'s' * (done != 1)} measured, {len(runs()) - done} kept from before, in results/{name}.json.")


if __name__ == '__main__':
    try: main()
    except CourseError as e: sys.exit(str(e))
    except KeyboardInterrupt: sys.exit('Stopped: what was finished is kept, and the same command goes on from there.')
