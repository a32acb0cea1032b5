"""Runs lessons top to bottom in fresh kernels: `make lessons`. The tests use `run` and `clean` too."""
import argparse, asyncio, contextlib, copy, json, os, platform, re, shutil, signal, subprocess, sys, time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from course_utils.config import root, CourseError, cache_dir, data_dir, profile, write_whole
from course_utils.machine.preflight import in_minutes, predicted

ROOT = root()

BUDGET_S = {'smoke': 60, 'cpu': 360}  # a lesson's seconds on two cores; at gpu the lesson's own card states them
CASE_BUDGET_S = {'smoke': 60, 'cpu': 600}  # a case study's
WIDGET = 'application/vnd.jupyter.widget-view+json'
KERNEL = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}


def lessons(
    only: str = '',  # beginnings of names in nbs/, with commas between them: `00,03`, `index`, `cats_dogs` or `reference/data`; empty means every lesson, and no case
    folder: Path = ROOT,
) -> list[Path]:
    "The lessons' notebooks in order. Raises `CourseError` where a beginning fits none."
    nbs = folder/'nbs'
    name = lambda p: p.relative_to(nbs).with_suffix('').as_posix()
    every = sorted(nbs.glob('[0-9]*.ipynb'))
    wanted = [w.strip() for w in only.split(',') if w.strip()]
    all_of_it = every + sorted(nbs.glob('[a-z]*.ipynb')) + sorted(nbs.glob('*/[a-z0-9]*.ipynb'))
    fits = lambda p, w: name(p).startswith(w) or is_case(p) and p.stem.startswith(w)
    for w in wanted:
        if not any(fits(p, w) for p in all_of_it):
            raise CourseError(f"ONLY={w} fits no lesson; there are {', '.join(map(name, all_of_it)) or 'none yet'}.")
    return [p for p in all_of_it if any(fits(p, w) for w in wanted)] if wanted else every


def is_case(path): return path.parent.name == 'cases'


def home(path):
    "The folder `nbs` that a notebook lies in."
    return next(p for p in path.resolve().parents if p.name == 'nbs')


def clean(
    nb: dict,
    paths: tuple = (),  # folders of this machine that outputs may name; they become `.`
) -> dict:
    "A copy of `nb` with what a reader needs and nothing that differs from run to run or from machine to machine."
    nb = copy.deepcopy(nb)
    nb['metadata'] = copy.deepcopy(KERNEL)
    for cell in nb['cells']:
        cell['metadata'] = {}
        if cell['cell_type'] == 'code':
            cell['execution_count'] = None
            cell['outputs'] = [o for o in (_clean_output(o, paths) for o in cell['outputs']) if o]
    return nb


def _clean_output(o, paths):
    if o['output_type'] == 'stream':
        if o['name'] == 'stderr': return None
        o['text'] = _clean_text(o['text'], paths)
        return o if o['text'] else None
    if 'execution_count' in o: o['execution_count'] = None
    data = o.get('data')
    if data is None: return o
    was_widget = data.pop(WIDGET, None)
    o['metadata'] = {k: v for k, v in o['metadata'].items() if k in data}
    # What is left of a widget without a page of its own is a line like `VBox(children=…)`: of no use to a reader.
    if not data or (was_widget and set(data) == {'text/plain'}): return None
    for mime, v in data.items():
        if mime.startswith('text/') or mime == 'image/svg+xml': data[mime] = _clean_text(v, paths)
        elif isinstance(v, str): data[mime] = v.rstrip()
    return o


def _clean_text(text, paths):
    text = ''.join(text)
    for p in sorted(map(str, paths), key=len, reverse=True): text = text.replace(p, '.')
    return re.sub(r' at 0x[0-9a-fA-F]{6,}', '', text)


def write(
    nb: dict,
    path: Path,
):
    "Writes the notebook as nbdev does, in one step: a reader sees the old file or the new one, never half of it."
    nb = nbformat.from_dict(nb)
    write_whole(path, nbformat.writes(nb) + '\n')


class LessonFailed(CourseError):
    "A cell failed. The message names the lesson, the cell, its first lines and the error's last line."


class PicturesMissing(Exception):
    "A case study found that its data set has not been fetched. The message says how to fetch it."


class _Client(NotebookClient):
    "Shows where the run is, and remembers the cell for the message if it fails."
    bar, at, stopped = None, (0, None), False

    def __init__(self, nb, **kw):
        super().__init__(nb, on_notebook_start=self._watch, **kw)

    async def _watch(self, notebook):
        # nbclient takes any cancelled run for a dead kernel, so remember that it was Ctrl-C.
        run = asyncio.current_task()
        def stop():
            self.stopped = True
            run.cancel()
        with contextlib.suppress(RuntimeError, NotImplementedError): # not in the main thread, or no signals here
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)

    async def async_execute_cell(self, cell, cell_index, **kw):
        if cell.cell_type == 'code':
            self.at = cell_index, cell
            self.bar.set_description(f'{self.bar.lesson}, cell {cell_index + 1}', refresh=True)
        try: return await super().async_execute_cell(cell, cell_index, **kw)
        finally:
            if cell.cell_type == 'code': self.bar.update()


def run(
    path: Path,  # a lesson's notebook, in a folder `nbs`
    profile: str = 'smoke',
    data: str = '',  # `COURSE_DATA`; empty leaves what is set
    fresh: bool = False,  # train again even where a kept training would do
    scratch: Path | None = None,  # where the copies go; `.cache/lessons/PROFILE` by default
    watched: bool = False,  # write down what the seconds go to, for `spent`
) -> tuple[dict, float]:  # the executed notebook, and the seconds it took
    "Runs a copy of the lesson in a fresh kernel. Raises `LessonFailed`, or `PicturesMissing` for a case study without its data set."
    nbs = home(path)
    here = path.resolve().relative_to(nbs)
    # Inside the course's folder, so that a kernel which looks upwards for settings.ini finds it.
    scratch = scratch or cache_dir()/'lessons'/profile
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(nbs, scratch/'nbs', ignore=shutil.ignore_patterns('.*'))
    # Lessons read each other's numbers, so the copy starts from the kept ones.
    (nbs.parent/'results').mkdir(exist_ok=True)
    shutil.copytree(nbs.parent/'results', scratch/'results')
    env = dict(os.environ, COURSE_PROFILE=profile, COURSE_RESULTS=str(scratch/'results'), COURSE_HOME=str(scratch/'home'), COURSE_CACHE=str(cache_dir()),
               COURSE_DATA_DIR=str(data_dir()), PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]))
    if data: env['COURSE_DATA'] = data
    if fresh: env['COURSE_FRESH'] = '1'
    # Watched only where the seconds are kept: a thread beside those of a lesson is not for every run. It leaves no name behind.
    if watched: env['COURSE_SPENT'] = str(scratch/'spent.json')
    watch = ["--IPKernelApp.exec_lines=__import__('data_scripts.lessons.spent').lessons.spent.watch()"] if 'COURSE_SPENT' in env else []

    nb = nbformat.read(path, as_version=4)
    n_code = sum(c.cell_type == 'code' for c in nb.cells)
    budget = budget_s(path, profile)
    client = _Client(nb, kernel_name='python3', timeout=budget and 10*budget, coalesce_streams=True,
                     extra_arguments=['--IPKernelApp.log_level=50', *watch],
                     resources={'metadata': {'path': str((scratch/'nbs'/here).parent)}})
    start = time.monotonic()
    # disable=None: no bar where nobody looks, as in CI's log.
    with tqdm(total=n_code, unit='cell', disable=None, file=sys.stderr, leave=False,
              bar_format='{desc} {bar} {n_fmt}/{total_fmt} [{elapsed}]') as bar:
        bar.lesson = path.stem
        client.bar = bar
        try: client.execute(env=env)
        except CellExecutionError as e:
            if e.ename == 'NotFetched': raise PicturesMissing(e.evalue) from None
            why = _last_line(e)
        except CellTimeoutError: why = f'it ran longer than {10*budget} s and was stopped'
        except (DeadKernelError, asyncio.CancelledError):
            if client.stopped: raise KeyboardInterrupt from None
            why = 'the kernel died, most often for want of memory'
        else: why = None
    seconds = time.monotonic() - start
    write(nb, scratch/'nbs'/here)
    if why: raise LessonFailed(f'{path.stem} failed in cell {client.at[0] + 1}, which begins\n{_first_lines(client.at[1])}\nwith {why}')
    return nb, seconds


def _last_line(e):
    text = re.sub(r'\x1b\[[0-9;]*m', '', f'{e.ename}: {e.evalue}').strip()
    return text.splitlines()[0] if e.ename != 'CourseError' else text


def _first_lines(cell, n=3):
    lines = [l for l in cell.source.splitlines() if l.strip()]
    return '\n'.join('    ' + l for l in lines[:n] + (['…'] if len(lines) > n else []))


def budget_s(path, profile): return (CASE_BUDGET_S if is_case(path) else BUDGET_S).get(profile)


def over_budget(seconds, profile, budget=None):
    "A sentence where the lesson took longer than its budget (None: a lesson's), else an empty string."
    budget = budget or BUDGET_S.get(profile)
    return f'{seconds:.0f} s is over the budget of {budget} s at profile {profile}' if budget and seconds > budget else ''


def machine(profile):
    "What a reader needs to judge measured seconds."
    import torch
    if profile == 'gpu' and torch.cuda.is_available(): device = torch.cuda.get_device_name()
    else:
        info = Path('/proc/cpuinfo')
        names = re.findall(r'model name\s*: (.+)', info.read_text()) if info.exists() else []
        device = names[0] if names else platform.processor() or platform.machine()
    return dict(device=device, cores=os.cpu_count(), torch_threads=torch.get_num_threads(), date=date.today().isoformat(),
                versions={'python': platform.python_version(), **{p: version(p) for p in ('torch', 'fastai', 'timm', 'albumentations')}})


def preflight(profile):
    "This machine's speed now, measured in a process of its own; None, and a line, where that fails."
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'doctor', '--preflight', profile], capture_output=True, text=True)
    if r.returncode == 0: return json.loads(r.stdout)
    print(f"No pre-flight, so nothing is predicted ({(r.stderr.strip().splitlines() or ['no reason given'])[-1]}).", flush=True)


def timetable(path):
    "Where the lessons' seconds are kept, and what is kept there."
    file = home(path).parent/'results'/'lessons.json'
    return file, json.loads(file.read_text()) if file.exists() else {}


def kept(path, profile):
    "What results/lessons.json says of a lesson at a profile; nothing where it was not run."
    return timetable(path)[1].get(path.stem, {}).get(profile, {})


def spent(seconds, scratch):
    "Seconds of a run by what they went to. What the watch in the kernel did not see, such as the kernel's start, is the rest."
    f = scratch/'spent.json'
    if not f.exists(): return None  # over before a second had passed
    d = json.loads(f.read_text())
    return dict(train=round(d['train'], 1), valid=round(d['valid'], 1), rest=round(seconds - d['train'] - d['valid'], 1))


def report(rows) -> list:
    "Predicted beside obtained, a line a lesson. `rows`: (name, predicted seconds or None, seconds)."
    out = [f"{'lesson':<24} {'predicted':>10} {'obtained':>10} {'off by':>8}"]
    for name, p, s in rows: out.append(f"{name:<24} {'not known' if p is None else f'{p:.0f} s':>10} {f'{s:.0f} s':>10} {'' if p is None else f'{p / s - 1:+.0%}':>8}")
    if known := [p / s - 1 for _, p, s in rows if p is not None]:
        out.append(f"Predicted within 30 %: {sum(abs(o) <= .3 for o in known)} of {len(known)}; off by at most {max(map(abs, known)):.0%}.")
    return out


def earlier(old, seconds, n=4):
    "The runs before, the newest first, for a prediction that no single busy moment decides. One that took 1.5 times as long or as short was another lesson."
    those = [{k: r[k] for k in ('spent', 'preflight')} for r in (old, *old.get('earlier', ())) if r.get('spent') and r.get('preflight')]
    return [r for r in those if 2 / 3 <= sum(r['spent'].values()) / seconds <= 3 / 2][:n]


def save(path, nb, seconds, profile, scratch, here=None, predicted_s=None):
    "Keeps a whole run: the outputs, the numbers the lesson measured, its seconds and what was predicted, and the machine's pre-flight."
    top = home(path).parent
    write(clean(nb, (scratch/'nbs', scratch, top)), path)
    if not (path.parent == top/'nbs' and path.stem[0].isdigit() or is_case(path)): return  # pages and the reference teach nothing that is timed
    results = top/'results'
    for f in (scratch/'results').rglob('*'):
        old = results/f.relative_to(scratch/'results')
        if f.is_file() and not (old.exists() and old.read_bytes() == f.read_bytes()):
            old.parent.mkdir(parents=True, exist_ok=True)
            write_whole(old, f.read_text())
    (file, d), m = timetable(path), machine(profile)
    old = d.setdefault(path.stem, {}).get(profile, {})
    d[path.stem][profile] = dict(seconds=round(seconds, 1), predicted_s=predicted_s and round(predicted_s, 1), spent=spent(seconds, scratch), preflight=here, **m,
                                 earlier=earlier(old, seconds) if old.get('device') == m['device'] else [])
    write_whole(file, json.dumps(d, indent=1, sort_keys=True) + '\n')


def tidy(folder=ROOT):
    "Cleans every notebook as it lies, without running it. Returns how many were not clean."
    n = 0
    for path in sorted((folder/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in path.parts: continue
        nb = nbformat.read(path, as_version=4)
        tidied = clean(nb, (path.parent, folder))
        if tidied != nb: write(tidied, path); n += 1
    return n


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--only', default='', help='beginnings of names: 03, or 00,03')
    p.add_argument('--profile', default='', help='smoke, cpu or gpu; by default gpu where there is one, else cpu')
    p.add_argument('--data', default='', help='a data set by name, or a folder of class folders')
    p.add_argument('--save', action='store_true', help='write outputs and results back')
    p.add_argument('--tidy', action='store_true', help='run nothing; clean every notebook as it lies')
    a = p.parse_args(argv)
    if a.tidy: print(f'Cleaned {tidy()} notebooks.'); return
    name = profile(a.profile or None).name
    if a.save and name == 'smoke': raise CourseError('SAVE=1 keeps what learners will read, so it needs PROFILE=cpu or PROFILE=gpu.')
    if a.save and a.data: raise CourseError("SAVE=1 keeps what learners will read, so it needs the lessons' own data: leave DATA out.")
    # A folder is named from where the learner stands, but the kernel starts elsewhere.
    folder = Path(a.data).expanduser()
    data = str(folder.resolve()) if a.data and folder.is_dir() else a.data
    wanted, scratch, late, missing, total, rows = lessons(a.only), cache_dir()/'lessons'/name, [], [], 0., []
    if not wanted: raise CourseError('There are no lessons in nbs/ yet.')
    for path in wanted:
        # What was kept is about the lessons' own pictures, and of training everything anew.
        timed = path.parent == home(path) and path.stem[0].isdigit() and not data
        before = kept(path, name)
        here = preflight(name) if timed and (a.save or before.get('preflight')) else None
        parts = predicted(before, here)
        if timed: print(f'{path.stem}, predicted: {in_minutes(parts)}.', flush=True)
        try: nb, seconds = run(path, name, data, fresh=a.save, scratch=scratch/path.stem, watched=a.save)
        except PicturesMissing as e:
            missing.append(str(e))
            print(f'{path.stem} was not run. {e}', flush=True)
            continue
        total += seconds
        if timed: rows.append((path.stem, sum(parts.values()) if parts else None, seconds))
        over = over_budget(seconds, name, budget_s(path, name))
        if over: late.append(path.stem)
        print(f'{path.stem}: {seconds:.0f} s' + (f'; {over}.' if over else ''), flush=True)
        if a.save: save(path, nb, seconds, name, scratch/path.stem, here, sum(parts.values()) if parts else None)
    if len(missing) == len(wanted): raise CourseError(f"Nothing was run. {missing[0]}")
    if rows: print('\n'.join(report(rows)))
    if not a.save and any(p for _, p, _ in rows): print('Predicted is a first run: trainings that were kept before are found again, which is quicker (COURSE_FRESH=1 trains anew).')
    if a.save:
        from data_scripts.site.readme import update
        update()
    if late and name == 'smoke': raise CourseError(f"Over the budget of {BUDGET_S['smoke']} s at profile smoke: {', '.join(late)}.")
    where = 'outputs and results written back' if a.save else f"copies in {os.path.relpath(scratch)}"
    n = len(wanted) - len(missing)
    print(f"Ran {n} lesson{'s' * (n > 1)} at profile {name} in {total:.0f} s; {where}." + f' {len(missing)} without pictures were not run.' * bool(missing))

