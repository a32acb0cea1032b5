"""Imports once what a lesson's first cell loads, so that Python keeps it compiled: `python -m course_utils.machine.warm`.

uv compiles nothing by itself. To compile every file takes 35 s of a processor, and a sixth of the files is loaded at all. So this
runs beside JupyterLab while the learner looks at the course home, at low priority; the rest is compiled when something imports it."""
import importlib, os
from contextlib import suppress

FIRST_IMPORTS = (
    'course_utils.explorers.augment', 'course_utils.training.train', 'course_utils.report.stats', 'course_utils.report.cards',
    'course_utils.techniques.ladder', 'course_utils.classroom.checker', 'ipykernel.kernelapp', 'timm', 'ipywidgets',
    'matplotlib.pyplot', 'matplotlib_inline.backend_inline',
)


def import_all(names):
    "What cannot be imported is left for the one who needs it to say so."
    for name in names:
        with suppress(Exception): importlib.import_module(name)


def give_way():
    "Others come first: JupyterLab is starting. Windows has no such call."
    if hasattr(os, 'nice'): os.nice(10)


if __name__ == '__main__':
    give_way()
    import_all(FIRST_IMPORTS)
