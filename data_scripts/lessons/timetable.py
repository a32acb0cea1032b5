"""How long lessons take: their budgets, the seconds kept in results/lessons.json, and what is predicted from them."""
import hashlib, json, os, platform, re, subprocess, sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat

from course_utils.config import write_whole
from course_utils.machine.preflight import TIMED_PARTS, is_timed
from course_utils.report.results import read_results, write_results
from data_scripts.lessons.notebooks import clean, is_case, is_lesson, nbs_folder, write_notebook

BUDGET_S = {'smoke': 60, 'cpu': 360}       # a lesson's seconds on two cores; at gpu the lesson's own card states them
CASE_BUDGET_S = {'smoke': 60, 'cpu': 600}  # a case study's


# ---- budgets ----

def budget_s(path: Path, profile: str) -> float | None:
    "Seconds that a notebook may take; None where it has no budget."
    budgets = CASE_BUDGET_S if is_case(path) else BUDGET_S
    return budgets.get(profile)


def over_budget(
    seconds: float,
    profile: str,
    budget: float | None = None,  # None: a lesson's
) -> str:
    "A sentence where the lesson took longer than its budget, else an empty string."
    budget = budget or BUDGET_S.get(profile)
    if not budget or seconds <= budget: return ''
    return f'{seconds:.0f} s is over the budget of {budget} s at profile {profile}'


# ---- this machine ----

def processor() -> str:
    "The processor's name."
    info = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.+)', info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def machine_facts(profile: str) -> dict:
    "What a reader needs to judge measured seconds."
    import torch
    on_gpu = profile == 'gpu' and torch.cuda.is_available()
    versions = {name: version(name) for name in ('torch', 'fastai', 'timm', 'albumentations')}
    return dict(
        device=torch.cuda.get_device_name() if on_gpu else processor(),
        cores=os.cpu_count(),
        torch_threads=torch.get_num_threads(),
        date=date.today().isoformat(),
        versions={'python': platform.python_version(), **versions},
    )


def time_in_process(profile: str) -> dict | None:
    "This machine's speed now, measured in a process of its own; None, and a line, where that fails."
    command = [sys.executable, '-m', 'course_utils', 'doctor', '--preflight', profile]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode == 0: return json.loads(process.stdout)
    lines = process.stderr.strip().splitlines()
    reason = lines[-1].removesuffix('.') if lines else 'no reason given'
    print(f'No pre-flight, so nothing is predicted ({reason}).', flush=True)


# ---- kept seconds ----

def timetable_path(path: Path) -> Path:
    "Where the seconds of a notebook are kept."
    return nbs_folder(path).parent/'results'/'lessons.json'


def kept_seconds(path: Path, profile: str) -> dict:
    "What results/lessons.json says of a lesson at a profile; nothing where it was not run."
    table = read_results(timetable_path(path))
    return table.get(path.stem, {}).get(profile, {})


def code_fingerprint(path: Path) -> str:
    "Of a notebook's code cells: where it is another, the seconds of the run before are those of another lesson."
    cells = nbformat.read(path, as_version=4).cells
    code = '\n'.join(cell.source for cell in cells if cell.cell_type == 'code')
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def seconds_by_part(
    seconds: float,  # of the whole run
    scratch: Path,   # where the watch in the kernel wrote
) -> dict | None:    # `train`, `valid`, `rest`; None where the run was over before a second had passed
    "Seconds of a run by what they went to. What the watch did not see, such as the kernel's start, is the rest."
    file = scratch/'spent.json'
    if not file.exists(): return None
    parts = json.loads(file.read_text())
    parts['rest'] = seconds - parts['train'] - parts['valid']
    return {part: round(parts[part], 1) for part in TIMED_PARTS}


def earlier_runs(
    kept: dict,      # what is kept of the last run, with its own `earlier`
    seconds: float,  # of the new run
    n: int = 4,
) -> list:           # of `spent` and `preflight`, the newest first
    """The runs before, for a prediction that no single busy moment decides. One that took 1.5 times as long or as short was
    another lesson."""
    timed = [run for run in (kept, *kept.get('earlier', ())) if is_timed(run)]
    ratios = [sum(run['spent'].values()) / seconds for run in timed]
    alike = [run for run, ratio in zip(timed, ratios) if 2 / 3 <= ratio <= 3 / 2]
    return [dict(spent=run['spent'], preflight=run['preflight']) for run in alike[:n]]


def save_run(
    path: Path,
    notebook: dict,                   # executed
    seconds: float,
    profile: str,
    scratch: Path,                    # of `run_notebook`
    preflight: dict | None = None,    # this machine's speed
    predicted_s: float | None = None,
):
    "Keeps a whole run: the outputs, the numbers the lesson measured, its seconds and what was predicted, and the machine's pre-flight."
    course = nbs_folder(path).parent
    write_notebook(clean(notebook, (scratch/'nbs', scratch, course)), path)
    if not is_lesson(path) and not is_case(path): return  # pages teach nothing that is timed
    copy_results(scratch/'results', course/'results')
    facts = machine_facts(profile)
    table = read_results(timetable_path(path))
    kept = table.setdefault(path.stem, {}).get(profile, {})
    same_device = kept.get('device') == facts['device']
    table[path.stem][profile] = dict(
        seconds=round(seconds, 1),
        predicted_s=predicted_s and round(predicted_s, 1),
        predicted_from=kept.get('device') if predicted_s else None,
        spent=seconds_by_part(seconds, scratch),
        preflight=preflight,
        code=code_fingerprint(path),
        earlier=earlier_runs(kept, seconds) if same_device else [],
        **facts,
    )
    write_results(timetable_path(path), table)


def copy_results(written: Path, results: Path):
    "Takes over the numbers that a run wrote, where they are new."
    for path in written.rglob('*'):
        if not path.is_file(): continue
        kept = results/path.relative_to(written)
        if kept.exists() and kept.read_bytes() == path.read_bytes(): continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, path.read_text())


# ---- predicted beside obtained ----

def comparison(
    rows: list,  # of (name, predicted seconds or None, seconds)
) -> list:       # lines
    "Predicted beside obtained, a line a lesson, and a last line on all of them."
    lines = [f"{'lesson':<24} {'predicted':>10} {'obtained':>10} {'off by':>8}"]
    errors = []
    for name, predicted_s, seconds in rows:
        guess = 'not known'
        error = ''
        if predicted_s is not None:
            errors.append(predicted_s / seconds - 1)
            guess = f'{predicted_s:.0f} s'
            error = f'{errors[-1]:+.0%}'
        lines.append(f"{name:<24} {guess:>10} {f'{seconds:.0f} s':>10} {error:>8}")
    if errors:
        sizes = list(map(abs, errors))
        close = sum(size <= .3 for size in sizes)
        lines.append(f'Predicted within 30 %: {close} of {len(errors)}; off by at most {max(sizes):.0%}.')
    return lines
