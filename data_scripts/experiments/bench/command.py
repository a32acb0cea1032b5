"""The course's code and its peers side by side, on this machine, in one run: `make bench`, or some rows of it, `make bench ONLY='tta imports'`.

A row holds the seconds of every way, measured in turn, and in each turn another way begins, so that a busy moment hits all of them, and the
ratios: how many times as long a peer takes, the median over the repetitions. Each row is written at once into results/bench.json."""
import argparse, os, time
from importlib.metadata import PackageNotFoundError, version

from course_utils.config import CourseError, cache_dir, profile, results_dir
from course_utils.report.results import read_results, write_results
from course_utils.training.learner import device_name, versions
from data_scripts.experiments.bench.accuracy import accuracy
from data_scripts.experiments.bench.features import features
from data_scripts.experiments.bench.install import install
from data_scripts.experiments.bench.fine_tuning import fine_tuning
from data_scripts.experiments.bench.loading import input_pipeline, throughput
from data_scripts.experiments.bench.techniques import grad_cam, lr_finder, tta_row
from data_scripts.experiments.engine import pick
from data_scripts.experiments.bench.waiting import first_cell, imports, lesson_seconds, sliders
from data_scripts.lessons.timetable import machine_facts

PEERS = ('torchvision', 'ttach', 'grad-cam', 'torchcam', 'torch-lr-finder', 'jupyterlab', 'ipywidgets', 'matplotlib')  # beside those of `versions`

ROWS = {  # in the order of the page
    'fine_tune_solar': lambda: fine_tuning('solar', 8, 800),
    'fine_tune_colour': lambda: fine_tuning(pick(smoke='solar', cpu='cats_dogs'), 2, 800),
    'features': features,
    'accuracy_solar': lambda: accuracy('solar', 1000),
    'accuracy_colour': lambda: accuracy(pick(smoke='solar', cpu='cats_dogs'), 1000),
    'input_pipeline': input_pipeline,
    'throughput': throughput,
    'lr_finder': lr_finder,
    'grad_cam': grad_cam,
    'tta': tta_row,
    'sliders': sliders,
    'imports': imports,
    'first_cell': first_cell,
    'install': install,
    'lessons': lesson_seconds,
}


def peer_versions() -> dict:
    "Those that are installed; the row that needs another says so."
    found = {}
    for name in PEERS:
        try: found[name] = version(name)
        except PackageNotFoundError: pass
    return found


def setting() -> dict:
    "Where and with what a row was measured."
    machine = machine_facts(profile().name)
    return dict(device=device_name(), processor=machine['device'], cores=machine['cores'], date=machine['date'],
                versions=versions() | peer_versions())


def row_line(name: str, row: dict) -> str:
    "A row in one line."
    def shown(value) -> str: return '—' if value is None else f'{value:.3g}'
    medians = [f"{way} {shown(value)} {row['unit']}" for way, value in row['median'].items()]
    ratios = [f'; {peer} takes {shown(value)}× as long' for peer, value in row['ratio'].items()]
    return f"{name}: {', '.join(medians)}{''.join(ratios)}."


def measure_row(name: str, path, begun: str):
    "Measures a row and writes it at once."
    start = time.perf_counter()
    row = ROWS[name]()
    table = read_results(path)
    seconds = time.perf_counter() - start
    table[name] = dict(row, **setting(), run=begun, took_s=round(seconds, 1))
    write_results(path, {key: table[key] for key in ROWS if key in table}, sort=False)
    print(row_line(name, row), flush=True)


def main(arguments=None):
    "Measures the rows that are named. Raises `CourseError` where one of them could not be measured."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('only', nargs='*', help=f"which of {', '.join(ROWS)}; by default all")
    names = parser.parse_args(arguments).only
    for name in names:
        if name not in ROWS: raise CourseError(f"There is no row '{name}': there are {', '.join(ROWS)}.")
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    profile_name = profile().name
    is_trial = profile_name == 'smoke' and not os.environ.get('COURSE_RESULTS')  # it measures nothing
    folder = cache_dir() if is_trial else results_dir()
    path = folder/('bench_gpu.json' if profile_name == 'gpu' else 'bench.json')
    begun = time.strftime('%Y-%m-%d %H:%M')
    start = time.perf_counter()
    missing = []
    for name in names or ROWS:
        try: measure_row(name, path, begun)
        except Exception as error:  # the other rows are not lost with it
            reason = error if isinstance(error, CourseError) else repr(error)
            print(f'{name}: not measured. {reason}', flush=True)
            missing.append(name)
    if missing:
        raise CourseError(f"Not complete: {', '.join(missing)} could not be measured. The other rows are kept in {os.path.relpath(path)}.")
    print(f'Measured in {(time.perf_counter() - start) / 60:.0f} minutes; kept in {os.path.relpath(path)}.')
