"""Runs lessons top to bottom in fresh kernels: `make lessons`."""
import argparse, os
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.config import CourseError, cache_dir, profile
from course_utils.machine.preflight import in_minutes, predicted
from data_scripts.lessons.measured import READING_CELLS, show_measured
from data_scripts.lessons.notebooks import clean_all, is_lesson, list_notebooks
from data_scripts.lessons.run import PicturesMissing, run_notebook
from data_scripts.lessons.timetable import (
    BUDGET_S, budget_s, code_fingerprint, comparison, kept_seconds, over_budget, save_run, time_in_process)


@dataclass
class Session:
    "One call of `make lessons`: how notebooks are run, and what became of them."
    profile: str
    data: str      # `COURSE_DATA`; empty: the lessons' own
    save: bool     # write outputs and results back
    scratch: Path  # copies, a folder a notebook
    total_s: float = 0.
    timed: list = field(default_factory=list)    # (name, predicted seconds or None, seconds)
    late: list = field(default_factory=list)     # names of those over their budget
    missing: list = field(default_factory=list)  # sentences: how to fetch the pictures of a case study

    def is_timed(self, path: Path) -> bool:
        "What was kept is about the lessons' own pictures."
        return is_lesson(path) and not self.data

    def run(self, path: Path):
        "Predicts, runs, compares, and saves where that was asked for."
        name = path.stem
        preflight, prediction = self.predict(path)
        predicted_s = sum(prediction.values()) if prediction else None
        if self.is_timed(path): print(f'{name}, predicted: {in_minutes(prediction)}.', flush=True)
        try:
            notebook, seconds = run_notebook(path, self.profile, self.data, fresh=self.save,
                                             scratch=self.scratch/name, watched=self.save)
        except PicturesMissing as error:
            self.missing.append(str(error))
            print(f'{name} was not run. {error}', flush=True)
            return
        self.total_s += seconds
        if self.is_timed(path): self.timed.append((name, predicted_s, seconds))
        self.report_seconds(path, seconds)
        if self.save: save_run(path, notebook, seconds, self.profile, self.scratch/name, preflight, predicted_s)

    def predict(self, path: Path) -> tuple:  # (this machine's speed, predicted seconds by part), each None where not known
        "Times the machine where a prediction can be made or is wanted for later."
        if not self.is_timed(path): return None, None
        kept = kept_seconds(path, self.profile)
        preflight = time_in_process(self.profile) if self.save or kept.get('preflight') else None
        is_same_lesson = kept.get('code') == code_fingerprint(path)
        return preflight, predicted(kept, preflight) if is_same_lesson else None

    def report_seconds(self, path: Path, seconds: float):
        "A line: how long it took, and whether that is too long."
        late = over_budget(seconds, self.profile, budget_s(path, self.profile))
        if late: self.late.append(path.stem)
        print(f'{path.stem}: {seconds:.0f} s' + (f'; {late}.' if late else ''), flush=True)

    def print_summary(self, n_notebooks: int):
        "What is said at the end. Raises `CourseError` where nothing was run, or a lesson at smoke was over its budget."
        if len(self.missing) == n_notebooks: raise CourseError(f'Nothing was run. {self.missing[0]}')
        if self.timed: print('\n'.join(comparison(self.timed)))
        is_predicted = any(predicted_s for _, predicted_s, _ in self.timed)
        if is_predicted and not self.save:
            print('Predicted is a first run: trainings that were kept before are found again, which is quicker (COURSE_FRESH=1 trains anew).')
        if self.save: write_readme()
        if self.late and self.profile == 'smoke':
            raise CourseError(f"Over the budget of {BUDGET_S['smoke']} s at profile smoke: {', '.join(self.late)}.")
        kept = 'outputs and results written back' if self.save else f'copies in {os.path.relpath(self.scratch)}'
        n = n_notebooks - len(self.missing)
        line = f"Ran {n} lesson{'s' * (n > 1)} at profile {self.profile} in {self.total_s:.0f} s; {kept}."
        if self.missing: line += f' {len(self.missing)} without pictures were not run.'
        print(line)


def write_readme():
    "The README's tables show what was just saved."
    from data_scripts.site.readme import update
    update()


def show_all_measured(only: str, profile_name: str):
    "The lessons of these names that read measurements, or all that do, show what results/ holds."
    if profile_name == 'smoke': raise CourseError('MEASURED=1 writes what learners will read, so it needs PROFILE=cpu or PROFILE=gpu.')
    paths = list_notebooks(only or ','.join(READING_CELLS))
    changed = [path.stem for path in paths if show_measured(path, profile_name, cache_dir()/'lessons'/'measured'/path.stem)]
    print(f"Shown anew: {', '.join(changed) or 'nothing, all was up to date'}.")
    write_readme()


def check_save(profile_name: str, data: str):
    "Raises `CourseError` where what would be kept is not what learners should read."
    if profile_name == 'smoke': raise CourseError('SAVE=1 keeps what learners will read, so it needs PROFILE=cpu or PROFILE=gpu.')
    if data: raise CourseError("SAVE=1 keeps what learners will read, so it needs the lessons' own data: leave DATA out.")


def whole_name(data: str) -> str:
    "A folder or a table is named from where the learner stands, but the kernel starts elsewhere. The name of a data set stays as it is."
    folder = Path(data).expanduser()
    return str(folder.resolve()) if data and folder.exists() else data


def main(arguments=None):
    "Runs the lessons that the options name."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', default='', help='beginnings of names: 03, or 00,03')
    parser.add_argument('--profile', default='', help='smoke, cpu or gpu; by default gpu where there is one, else cpu')
    parser.add_argument('--data', default='', help='a data set by name, or a folder of class folders')
    parser.add_argument('--save', action='store_true', help='write outputs and results back')
    parser.add_argument('--measured', action='store_true', help='train nothing; show what was measured since, in the lessons that read it')
    parser.add_argument('--tidy', action='store_true', help='run nothing; clean every notebook as it lies')
    options = parser.parse_args(arguments)
    if options.tidy:
        print(f'Cleaned {clean_all()} notebooks.')
        return
    name = profile(options.profile or None).name
    if options.measured:
        show_all_measured(options.only, name)
        return
    if options.save: check_save(name, options.data)
    notebooks = list_notebooks(options.only)
    if not notebooks: raise CourseError('There are no lessons in nbs/ yet.')
    session = Session(name, whole_name(options.data), options.save, cache_dir()/'lessons'/name)
    for path in notebooks: session.run(path)
    session.print_summary(len(notebooks))
