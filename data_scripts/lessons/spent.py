"""Where a lesson's seconds go: training, inference, the rest. Looked at from outside, so that lessons and modules carry nothing for it."""
import json, os, sys, threading, time
from pathlib import Path

from course_utils.config import write_whole


def part(frame) -> str:
    "What a thread that stands in `frame` is spending its time on: `train`, `valid` or `rest`."
    names = set()
    while frame:
        code = frame.f_code
        file = code.co_filename.replace('\\', '/')
        if code.co_name == '_do_epoch_train' or 'torch/autograd/' in file and code.co_name in ('backward', 'grad'): return 'train'
        names.add(code.co_name)
        frame = frame.f_back
    return 'valid' if names & {'_do_epoch_validate', '_wrapped_call_impl'} else 'rest'  # the second: a torch module is called


class Watch(threading.Thread):
    "Looks ten times a second at what the main thread is doing, and writes seconds by part to `path` every second."
    def __init__(self, path, every_s=.1):
        super().__init__(daemon=True)
        self.path, self.every_s, self.seconds, self.over = path, every_s, dict(train=0., valid=0., rest=0.), threading.Event()
        self.main = threading.main_thread().ident

    def run(self):
        last = written = time.monotonic()
        while not self.over.wait(self.every_s):
            now = time.monotonic()
            self.seconds[part(sys._current_frames().get(self.main))] += now - last
            last = now
            if now - written >= 1: write_whole(self.path, json.dumps(self.seconds)); written = now


def watch():
    "Watches until the process ends, if COURSE_SPENT names a file."
    if path := os.environ.get('COURSE_SPENT'): Watch(Path(path)).start()
