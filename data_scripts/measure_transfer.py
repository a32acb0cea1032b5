"""Measures over seeds what lessons 02 and 05 teach: `transfer` → results/transfer.json, `rates` → results/rates.json.
One training at a time; each finished one is written at once, so a kill loses at most one and a restart goes on."""
import argparse, json, os, sys, time
from dataclasses import dataclass
from pathlib import Path

# Started from anywhere, it must import the course's own modules.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from course_utils.config import CourseError, cache_dir, profile, results_dir

import numpy as np
from scipy.stats import t as student

from course_utils.data import load_pictures
from course_utils.groups import layer_decay_rates, per_stage, three_groups
from course_utils.models import create_model
from course_utils.train import describe, device_name, train, versions
from course_utils.transfer import FreezeBatchNorm, article_head, fastai_head

LITE, SMALL = 'tf_efficientnet_lite0', 'regnetx_002'
PEAK, SIZE = 2e-3, 64


@dataclass
class Arm:
    "One way to train. Epochs are of all training pictures: with a share of them, each is seen more often."
    settings: dict                                 # of `train`
    shares: tuple = (1.,)                          # of the training pictures


def transfer_arms() -> dict:
    "Equal wall time: the epochs are what one time allows on two cores, validation included. `seconds` says whether it came out equal."
    body, every = dict(arch=LITE, pretrained=True), (.05, .1, .25, .5, 1.)
    still = dict(body, epochs=0, freeze_epochs=12, lr_max=3e-3, cbs=[FreezeBatchNorm])
    return {
        'scratch, small network': Arm(dict(arch=SMALL, epochs=9, lr_max=3e-3), every),
        'scratch': Arm(dict(arch=LITE, epochs=4, lr_max=3e-3)),
        'frozen, then unfrozen': Arm(dict(body, epochs=3, freeze_epochs=3, lr_max=PEAK, cbs=[FreezeBatchNorm]), every),
        'frozen body': Arm(still),
        'frozen body, article head': Arm(dict(still, head=article_head)),
        'frozen body, fastai head': Arm(dict(still, head=fastai_head)),
        'frozen body, BatchNorm moves': Arm(dict(body, epochs=0, freeze_epochs=6, lr_max=3e-3)),
    }


def rates_arms() -> dict:
    "The same epochs for all: one rate for all layers, at three heights, against rates that differ."
    stages, base = len(per_stage(create_model(LITE, pretrained=False))), dict(arch=LITE, pretrained=True, epochs=4)
    return {
        **{f'one rate {lr:g}': Arm(dict(base, lr_max=lr)) for lr in (PEAK / 4, PEAK, PEAK * 2.5)},
        **{f'three groups, spread {s}': Arm(dict(base, lr_max=slice(PEAK / s, PEAK), splitter=three_groups)) for s in (10, 100)},
        'decay 0.7 over stages': Arm(dict(base, lr_max=layer_decay_rates(stages, PEAK, .7), splitter=per_stage)),
    }


# what is measured → the arms; which is compared with which: (arm, against)
TABLES = {
    'transfer': (transfer_arms, [('frozen, then unfrozen', 'scratch, small network'), ('frozen, then unfrozen', 'scratch'), ('frozen, then unfrozen', 'frozen body'),
                                 ('frozen body', 'scratch, small network'), ('frozen body, article head', 'frozen body'), ('frozen body, fastai head', 'frozen body'),
                                 ('frozen body, BatchNorm moves', 'frozen body')]),
    'rates': (rates_arms, [(arm, against) for against in (f'one rate {PEAK:g}', f'one rate {PEAK / 4:g}')
                           for arm in ('three groups, spread 10', 'three groups, spread 100', 'decay 0.7 over stages')]),
}


def paired(a, b, level=.95) -> tuple:  # mean difference, its lower and upper end
    "Mean of a − b over pairs, with Student's interval. Needs at least two pairs."
    d = np.asarray(a, float) - np.asarray(b, float)
    half = student.ppf((1 + level) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** .5
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def compare(runs: dict, pairs: list) -> list:
    "A row for each data set, share and pair of arms that have at least two seeds in common."
    rows, by = [], {}
    for r in runs.values(): by.setdefault((r['data'], r['share'], r['arm']), {})[r['seed']] = r
    for data, share in sorted({k[:2] for k in by}):
        for arm, against in pairs:
            a, b = by.get((data, share, arm), {}), by.get((data, share, against), {})
            seeds = sorted(a.keys() & b.keys())
            if len(seeds) < 2: continue
            of = lambda rs, what: [rs[s][what] for s in seeds]
            difference, low, high = paired(of(a, 'accuracy'), of(b, 'accuracy'))
            loss, loss_low, loss_high = paired(of(a, 'valid_loss'), of(b, 'valid_loss'))
            rows.append(dict(data=data, share=share, arm=arm, against=against, seeds=len(seeds), accuracy=float(np.mean(of(a, 'accuracy'))),
                             difference=difference, low=low, high=high, loss_difference=loss, loss_low=loss_low, loss_high=loss_high,
                             seconds=float(np.mean(of(a, 'seconds'))), against_seconds=float(np.mean(of(b, 'seconds')))))
    return rows


def read(path): return json.loads(path.read_text()) if path.exists() else dict(runs={}, summary=[])


def keep(path, key, row, pairs):
    "Adds one finished run in one step: a reader sees the old file or the new one."
    kept = read(path)
    same = lambda r: all(r[k] == row[k] for k in ('data', 'arm', 'share'))
    # what was measured by another recipe under the same name is no pair for this
    kept['runs'] = {k: r for k, r in kept['runs'].items() if not same(r) or r['config'] == row['config']} | {key: row}
    kept['summary'] = compare(kept['runs'], pairs)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_suffix('.work')
    work.write_text(json.dumps(kept, indent=1, sort_keys=True) + '\n')
    os.replace(work, path)


def smaller(settings):
    "The same arm at profile smoke."
    return dict(settings, epochs=min(settings['epochs'], 1), **({'freeze_epochs': 1} if settings.get('freeze_epochs') else {}))


def measure(what, source=None, name=None, seeds=5, path=None, trained=train) -> int:  # how many were trained
    "Goes through seeds, then arms and shares, so that a run stopped early leaves whole seeds."
    arms, pairs = TABLES[what]
    smoke = profile().name == 'smoke'
    path = path or (cache_dir() if smoke and not os.environ.get('COURSE_RESULTS') else results_dir())/f'{what}.json'
    plan = [(seed, label, arm, share) for seed in range(seeds) for label, arm in arms().items() for share in arm.shares if not smoke or share in (.25, 1.)]
    done = start = 0
    for k, (seed, label, arm, share) in enumerate(plan):
        # another split with every seed: the interval is then over splits, too
        pics = load_pictures(source, size=32 if smoke else SIZE, limit=160 if smoke else None, seed=seed)
        data = name or pics.name
        settings = smaller(arm.settings) if smoke else arm.settings
        if share < 1: settings = dict(settings, repeats=round(1 / share))
        config = describe(dict(settings, size=pics.size, bs=32))
        key = f'{data}, {label}, {share:g}, seed {seed}'
        old = read(path)['runs'].get(key)
        if old and old['config'] == config: continue
        start = start or time.time()
        run = trained(pics.subset(round(share * len(pics.train))), seed=seed, bs=32, quiet=True, **settings)
        keep(path, key, dict(data=data, arm=label, share=share, seed=seed, config=config, accuracy=run.accuracy, valid_loss=run.valid_loss,
                             train_accuracy=float(run.history.train_accuracy.iloc[-1]), seconds=round(run.seconds, 2), majority=pics.majority,
                             device=device_name(), versions=versions(), date=time.strftime('%Y-%m-%d')), pairs)
        done += 1
        left = sum(1 for _ in plan[k + 1:]) * (time.time() - start) / done
        print(f'{key}: {run.accuracy:.1%} in {run.seconds:.0f} s; at most {left / 60:.0f} minutes left.', flush=True)
    print(f"Measured {done} trainings, {len(plan) - done} were there; {len([r for r in read(path)['summary'] if r['data'] == data])} comparisons of {data} in {os.path.relpath(path)}.")
    return done


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('what', choices=TABLES)
    p.add_argument('--data', help='a data set by name, or a folder of class folders; by default COURSE_DATA, else solar')
    p.add_argument('--name', help="the data set's name in the results")
    p.add_argument('--seeds', type=int, default=5)
    a = p.parse_args(argv)
    if a.seeds < 2: raise CourseError(f'There are {a.seeds} seeds, but an interval needs at least 2.')
    measure(a.what, a.data, a.name, a.seeds)


if __name__ == '__main__':
    try: main()
    except CourseError as e: sys.exit(str(e))
    except KeyboardInterrupt: sys.exit('Stopped: what was finished is kept, and the same command goes on from there.')
