"""Measures what takes longer than a lesson, over seeds, into results/NAME.json: `python data_scripts/measure.py --only schedules`.

Every finished run is written at once and in one step, so a killed measurement goes on where it was. One run at a time: two slow each
other ten-fold. An experiment is a function that lists its runs (name → settings) and one that measures a run (settings → numbers, JSON)."""
import argparse, json, os, sys, time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from course_utils.config import CourseError, results_dir
from course_utils.data import load_pictures
from course_utils.report import losses, right
from course_utils.schedules import SGDR, Snapshots, Staircase, ensemble_of
from course_utils.train import device_name, fingerprint, train, versions


def per_picture(run, prefix='') -> dict:
    "For paired intervals: whether each held-out picture is named right, and its loss."
    return {f'{prefix}right': [int(v) for v in right(run)], f'{prefix}loss': [round(float(v), 3) for v in losses(run)]}


# ---- schedules: lesson 04 ----

SCHEDULES = {'constant': 'constant', 'step': Staircase(every=5), 'cosine': 'cosine', 'SGDR ×1': SGDR(first=5, mult=1), 'SGDR ×2': SGDR(first=1, mult=2), 'one-cycle': 'one_cycle'}

def schedule_runs(size=64, limit=None, arch='regnetx_002', epochs=15, seeds=5):
    return {f'{name} seed {s}': dict(schedule=name, seed=s, arch=arch, epochs=epochs, lr_max=3e-3, size=size, limit=limit) for s in range(seeds) for name in SCHEDULES}

def measure_schedule(schedule, size, limit, **settings):
    plan = SCHEDULES[schedule]
    run = train(load_pictures(size=size, limit=limit), schedule=plan, cbs=[Snapshots] if isinstance(plan, SGDR) else [], quiet=True, **settings)
    out = dict(accuracy=run.accuracy, valid_loss=run.valid_loss, seconds=run.seconds, valid_losses=run.history.valid_loss.round(4).tolist(), **per_picture(run))
    if len(at := run.arrays.get('snapshots_at', ())):
        out |= per_picture(replace(run, probs=ensemble_of(run)), 'ensemble_') | dict(snapshots_at=at.tolist())
    return out


EXPERIMENTS = {  # name → (its runs, what measures one)
    'schedules': (schedule_runs, measure_schedule),
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
