"""Every test runs without a network and with as many threads as there are cores for its process."""
import os, shutil, subprocess, sys, tempfile, threading, time
from pathlib import Path

import pytest
from tqdm import tqdm

OFFLINE = str(Path(__file__).parent/'offline')
# Kernels and other children inherit the guard by PYTHONPATH, this process by the import.
os.environ['PYTHONPATH'] = os.pathsep.join([OFFLINE, *filter(None, [os.environ.get('PYTHONPATH')])])
# Another sitecustomize may have been loaded at the start, so the name is free again only after this.
sys.path.insert(0, OFFLINE)
sys.modules.pop('sitecustomize', None)
import sitecustomize  # noqa: F401

os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ['npm_config_offline'] = 'true'  # npm is no Python: it would not meet the guard
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
os.environ.setdefault('GOMP_SPINCOUNT', '2000')  # as course_utils does, for tests that import torch before it
cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))  # that run beside each other
os.environ.setdefault('OMP_NUM_THREADS', str(max(1, min(cores, 8) // workers)))
# A learner's settings are not the tests'.
os.environ['COURSE_HOME'] = tempfile.mkdtemp(prefix='course-home-')  # nor are a learner's answers
for name in ('COURSE_PROFILE', 'COURSE_DATA', 'COURSE_RESULTS', 'COURSE_FRESH', 'COURSE_REFERENCE'): os.environ.pop(name, None)

# Its own lock is shared with forked children: one that is killed while it holds it would stop every bar of the tests for ever.
tqdm.set_lock(threading.RLock())


# What `make check` runs: no kernel, no browser, no training that takes longer than a second. Whoever adds a quick file adds it here.
QUICK_FILES = {
    'test_augment', 'test_cards', 'test_data', 'test_declared', 'test_explore', 'test_figures', 'test_glossary', 'test_house',
    'test_intervals', 'test_layouts', 'test_learn', 'test_report', 'test_rooms', 'test_style',
}


def pytest_collection_modifyitems(items):
    "Everything outside `QUICK_FILES` is slow."
    for item in items:
        if item.path.stem not in QUICK_FILES: item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter):
    "Those that were tried: what was skipped is not counted."
    ran = [r for part in ('passed', 'failed') for r in terminalreporter.stats.get(part, ()) if r.when == 'call']
    terminalreporter.write_line(f"Faults and bad inputs tried: {sum('fault' in r.keywords for r in ran)}")


@pytest.fixture(scope='session')
def docs(tmp_path_factory):
    "The site, built once, with the commands of `make site`, from the notebooks as they lie here; COURSE_SITE names one that is built already."
    if os.environ.get('COURSE_SITE'): return Path(os.environ['COURSE_SITE'])
    root = tmp_path_factory.mktemp('site')
    repo = Path(__file__).parent.parent
    hidden = shutil.ignore_patterns('__pycache__', '.*')
    for name in ('nbs', 'course_utils', 'data_scripts', 'findings'): shutil.copytree(repo/name, root/name, ignore=hidden)
    for name in ('_quarto.yml', 'settings.ini', 'pyproject.toml'): shutil.copy(repo/name, root)
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), os.environ['PYTHONPATH']]), COURSE_PROFILE='smoke')  # it fetches nothing
    start = time.monotonic()
    before = os.times()
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'site', '--engine', 'smalldocs'], cwd=root, env=env, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    after = os.times()
    print(f'\nsite: built in {time.monotonic() - start:.0f} s, {sum(after[2:4]) - sum(before[2:4]):.0f} s of a processor')
    return root/'_docs'
