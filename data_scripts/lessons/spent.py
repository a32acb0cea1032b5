"""Where a lesson's seconds go: training, inference, the rest. Looked at from outside, so that lessons and modules carry nothing for it."""
import json, os, sys, threading, time
from pathlib import Path

from course_utils.config import write_whole

# fastai's own name of its loops; torch's, of a module that is called
TRAIN_LOOP = '_do_epoch_train'
INFERENCE = {'_do_epoch_validate', '_wrapped_call_impl'}


def is_backward(file: str, function: str) -> bool:
    "Does torch go backwards here?"
    return 'torch/autograd/' in file and function in ('backward', 'grad')


def part_of(frame) -> str:
    "What a thread that stands in `frame` is spending its time on: `train`, `valid` or `rest`."
    functions = set()
    while frame:
        code = frame.f_code
        file = code.co_filename.replace('\\', '/')
        if code.co_name == TRAIN_LOOP or is_backward(file, code.co_name): return 'train'
        functions.add(code.co_name)
        frame = frame.f_back
    return 'valid' if functions & INFERENCE else 'rest'


class Watch(threading.Thread):
    "Looks ten times a second at what the main thread is doing, and writes seconds by part to `path` every second."
    def __init__(self, path: Path, every_s: float = .1):
        super().__init__(daemon=True)
        self.path = path
        self.every_s = every_s
        self.seconds = dict(train=0., valid=0., rest=0.)
        self.over = threading.Event()
        self.watched = threading.main_thread().ident

    def run(self):
        last = written = time.monotonic()
        while not self.over.wait(self.every_s):
            now = time.monotonic()
            frame = sys._current_frames().get(self.watched)
            self.seconds[part_of(frame)] += now - last
            last = now
            if now - written < 1: continue
            write_whole(self.path, json.dumps(self.seconds))
            written = now


def watch():
    "Watches until the process ends, if COURSE_SPENT names a file."
    path = os.environ.get('COURSE_SPENT')
    if path: Watch(Path(path)).start()
