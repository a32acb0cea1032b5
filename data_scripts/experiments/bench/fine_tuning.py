"""Fine-tuning on a processor: today's frozen stages, and deep features, beside the plain recipe of an earlier build.

Each training runs in a process of its own, so that its memory at the highest is its own. The earlier build is checked out beside."""
import json, os, subprocess, sys, tempfile
from contextlib import contextmanager
from pathlib import Path

from course_utils.config import CourseError, data_dir, root
from data_scripts.experiments.bench.install import EARLIER
from data_scripts.experiments.bench.timing import bench_row
from data_scripts.experiments.engine import pick

ALL_LAYERS = '''
import json, resource
from course_utils.data import load_pictures
from course_utils.train import train
pics = load_pictures({source!r}, size={size}, seed={seed}, limit={limit})
run = train(pics, 'tf_efficientnet_lite0', {epochs}, pretrained=True, lr_max=1e-3, bs=32, seed={seed}, quiet=True)
'''
FROZEN_STAGES = '''
import json, resource
from course_utils.data.pictures import load_pictures
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
pics = load_pictures({source!r}, size={size}, seed={seed}, limit={limit}, split={split!r})
recipe = Recipe('tf_efficientnet_lite0', {few_epochs}, pretrained=True, lr_max=1e-3, bs=32, seed={seed}, freeze_stages=5, kept_views={views})
run = train(pics, recipe, quiet=True)
'''
DEEP_FEATURES = '''
import json, resource, time
from types import SimpleNamespace
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.techniques.deep_features import deep_features, fit_linear_head
pics = load_pictures({source!r}, size={size}, seed={seed}, limit={limit}, split={split!r})
start = time.perf_counter()
features = deep_features(create_model('tf_efficientnet_lite0'), pics, min({views}, 4))
head = fit_linear_head(features[pics.train], pics.y[pics.train], len(pics.classes))
named = head.probs(features[pics.valid]).argmax(1)
accuracy = (named == pics.y[pics.valid]).mean()
run = SimpleNamespace(seconds=time.perf_counter() - start, accuracy=accuracy)
'''
REPORT = '''
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(seconds=run.seconds, accuracy=float(run.accuracy), peak_mib=peak)))
'''


@contextmanager
def earlier_build():
    "The earlier build in a folder of its own, for as long as it is needed. Raises `CourseError` where this clone does not hold it."
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)/'earlier'
        added = subprocess.run(['git', 'worktree', 'add', '--quiet', '--detach', str(place), EARLIER], cwd=root(), capture_output=True, text=True)
        if added.returncode:
            raise CourseError(f'The earlier build {EARLIER} is not in this clone: git fetch --unshallow brings it.')
        try: yield place
        finally: subprocess.run(['git', 'worktree', 'remove', '--force', str(place)], cwd=root(), check=True)


def measured_training(script: str, place: Path, **settings) -> dict:  # seconds, accuracy, peak_mib
    "Runs a script with the course that lies in a folder. Nothing is found in a cache but the decoded pictures."
    with tempfile.TemporaryDirectory() as cache:
        environment = dict(os.environ, PYTHONPATH=str(place), COURSE_CACHE=cache, COURSE_HOME=cache, COURSE_DATA_DIR=str(data_dir()))
        command = [sys.executable, '-c', script.format(**settings) + REPORT]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode: raise CourseError(f'A training of this row failed: {done.stderr.strip().splitlines()[-1]}')
    return json.loads(done.stdout.strip().splitlines()[-1])


def fine_tuning(
    source: str,  # a data set by name
    views: int,   # symmetric views that keep the label
    limit: int | None = None,  # at most about this many pictures
) -> dict:
    """All layers for twelve epochs as the earlier build does it; frozen stages with kept views for ten, because they get further in an
    epoch: after twelve they were 1.4 and 1.7 points ahead of it; and deep features, the mean of up to four views. Five splits drawn
    at random."""
    settings = dict(source=source, size=pick(smoke=32, cpu=128, gpu=224), epochs=pick(smoke=1, cpu=12), few_epochs=pick(smoke=1, cpu=10),
                    limit=pick(smoke=160, cpu=limit, gpu=None), views=views, split='random' if source == 'solar' else 'own')
    seconds, accuracy, peak = {}, {}, {}
    with earlier_build() as earlier:
        ways = {
            'frozen stages, ten epochs': lambda seed: measured_training(FROZEN_STAGES, root(), seed=seed, **settings),
            'all layers, twelve epochs, the build before': lambda seed: measured_training(ALL_LAYERS, earlier, seed=seed, **settings),
            'deep features': lambda seed: measured_training(DEEP_FEATURES, root(), seed=seed, **settings),
        }
        for seed in range(pick(smoke=1, cpu=5)):
            for name, measure in ways.items():
                numbers = measure(seed)
                seconds.setdefault(name, []).append(numbers['seconds'])
                accuracy.setdefault(name, []).append(round(numbers['accuracy'], 4))
                peak.setdefault(name, []).append(round(numbers['peak_mib']))
    return bench_row(seconds, f'{source}: seconds of a fine-tuning', accuracy=accuracy, peak_mib=peak, size=settings['size'], limit=settings['limit'])
