"""Ends code that takes too long, also a loop that catches whatever is raised in it."""
import ctypes, signal, sys, threading
from contextlib import AbstractContextManager

AGAIN_S = .1  # between one ring and the next


class TimeUp(BaseException): "A check took too long. No `Exception`, so that `except Exception` in an answer does not catch it."


def time_limit(
    seconds: float,
) -> AbstractContextManager:
    "Raises `TimeUp` inside after so many seconds, and again every tenth of a second, should the code inside catch it."
    is_main_thread = threading.current_thread() is threading.main_thread()
    has_timer = hasattr(signal, 'setitimer') and is_main_thread
    return _Alarm(seconds) if has_timer else _Watcher(seconds)


class _Limit:
    def __init__(self, seconds): self.seconds = seconds

    def __exit__(self, *_):
        try: self._stop()
        except TimeUp: self._stop()  # it rang on the way out


class _Alarm(_Limit):
    """By the system's timer, which only the main thread can set. A loop with `except:` around all it does catches every ring:
    so from the second one on it is raised once more at the next line, which then is the one below `except:`."""
    def __enter__(self):
        self.frame = sys._getframe(1)
        self.old_trace = sys.gettrace()
        self.rings = 0
        self.is_on = True
        self.old_handler = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN_S)

    def _ring(self, _, frame):
        if not self.is_on: return
        self.rings += 1
        if self.rings > 1: self._trace(frame)
        raise TimeUp

    def _trace(self, frame):
        "Watches the lines of all functions that run inside."
        sys.settrace(self._at_next_line)
        while frame and frame is not self.frame:
            frame.f_trace = self._at_next_line
            frame = frame.f_back

    def _at_next_line(self, frame, event, arg):
        if event == 'line' and self.is_on: raise TimeUp  # Python takes the trace away when it raises
        return self._at_next_line

    def _stop(self):
        self.is_on = False
        if self.rings: sys.settrace(self.old_trace)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.old_handler)


class _Watcher(_Limit):
    "By a second thread, where there is no timer."
    def __enter__(self):
        self.done = threading.Event()
        self.watched = ctypes.c_ulong(threading.get_ident())
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        wait_s = self.seconds
        while not self.done.wait(wait_s):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self.watched, ctypes.py_object(TimeUp))
            wait_s = AGAIN_S

    def _stop(self):
        self.done.set()
        self.thread.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self.watched, None)  # what has not arrived yet never will
