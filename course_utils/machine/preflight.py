"""Is this machine ready, and if not, what exactly puts it right? And how long will a lesson take here?"""
import time
from statistics import median

from course_utils.config import profile

# Why three parts. A GPU trains fifty times as fast as a laptop and draws a figure no faster, so one ratio cannot do. Training (forward, backward,
# optimiser, batches) and inference (forward only) stress memory differently, and their share differs most between lessons: 06 looks, 05 trains.
# All else (reading pictures, drawing, starting a kernel) is Python on one core or two, and is timed by reading and drawing. More parts could not
# be told apart in the second or three that a pre-flight may take.
PARTS = ('train', 'valid', 'rest')


def figures(
    name: str | None=None,  # a profile; None: the one in force
    seconds: float | None=None,  # how long to measure; None: 20, at smoke 1
) -> dict:  # seconds of a training step, of a validation step and of the rest; what was timed
    "Times two training batches and a validation step, again and again, and takes the fastest after a warm-up: the course's network and picture size, the solar cells."
    p = profile(name)
    if seconds is None: seconds = p.pick(smoke=1, cpu=20)
    import numpy as np, torch
    from fastai.callback.core import Callback, CancelFitException
    from tqdm import tqdm
    from course_utils.data import Pictures, decode, solar_cells
    from course_utils.train import left_usable, make_learner
    arch, size, bs = p.pick(smoke='resnet10t', cpu='tf_efficientnet_lite0'), p.pick(smoke=32, cpu=64, gpu=128), 32
    t, classes = solar_cells()
    t = t.iloc[np.linspace(0, len(t) - 1, 4 * bs).astype(int)].assign(split=['train', 'valid'] * 2 * bs).reset_index(drop=True)
    x, _, found = decode(list(t.path), size, quiet=True)
    times = {part: [] for part in PARTS}
    class Watch(Callback):
        order = 100  # after all others
        def now(self):
            if self.dls.device.type == 'cuda': torch.cuda.synchronize()  # a GPU works on while Python goes ahead
            return time.perf_counter()
        def before_train(self): self.start = self.now()
        def after_train(self): times['train'].append((self.now() - self.start) / 2)
        def before_validate(self): self.start = self.now()
        def after_validate(self):
            times['valid'].append((end := self.now()) - self.start)
            decode(list(t.path[:bs]), size, quiet=True); _draw()
            times['rest'].append(time.perf_counter() - end)
            bar.update(min(time.perf_counter() - begun, bar.total) - bar.n)
            if len(times['rest']) > 1 and time.perf_counter() - begun >= seconds: raise CancelFitException
    learn = make_learner(Pictures('solar', x, classes, t, found), arch, bs=bs, quiet=True, workers=0)
    begun = time.perf_counter()
    with tqdm(total=seconds, bar_format='{l_bar}{bar}', desc='Timing this machine', leave=False) as bar, left_usable(learn): learn.fit(10**6, 1e-4, cbs=Watch)
    # Other programs only ever add time, in spells of ten seconds and more: over five minutes of a busy machine
    # the fastest round of three seconds was up to 35 % from its mean, of twenty seconds 21 %, of thirty 9 %.
    return {f'{part}_s': round(min(s[1:]), 5) for part, s in times.items()} | dict(what=f'{arch}, {size} px, batches of {bs}')


def _draw():
    "A figure of curves, as lessons draw them."
    import io
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    fig = Figure(figsize=(6, 3), dpi=144, layout='constrained')
    FigureCanvasAgg(fig)
    for ax in fig.subplots(1, 2): ax.plot(range(12), range(12), 'o-', label='train'); ax.set(xlabel='epoch', ylabel='loss'); ax.legend()
    fig.savefig(io.BytesIO(), format='png')


def predicted(
    entry: dict,         # of results/lessons.json: `spent`, seconds on each part, and `preflight`, the figures of the machine that ran it; `earlier`, the same of runs before
    here: dict | None,   # `figures` of this machine, at the same profile
) -> dict | None:        # seconds on each part; None where it is not known
    "How long a lesson will take here: each part times this machine's figure over that machine's, the median over the runs."
    runs = [(r['spent'], r['preflight']) for r in (entry, *entry.get('earlier', ())) if r.get('spent') and r.get('preflight')]
    runs = [(spent, there) for spent, there in runs if here and there['what'] == here['what']]
    return {part: median(spent[part] / there[f'{part}_s'] for spent, there in runs) * here[f'{part}_s'] for part in PARTS} if runs else None


def in_minutes(parts: dict | None) -> str:
    "A prediction in words."
    if parts is None: return 'not known yet'
    train, valid, rest = (parts[part] / 60 for part in PARTS)
    return f'{train + valid + rest:.1f} minutes (training {train:.1f}, inference {valid:.1f}, the rest {rest:.1f})'


def preflight(
    lesson: str='',   # its number, `04`; empty: every lesson, at every profile whose seconds are kept
    measure=figures,  # profile → figures
):
    "Predicts minutes on this machine, at the profile in force first; it takes 20 s for each profile that lessons were measured at. Raises `CourseError` where there is no such lesson."
    from course_utils.config import CourseError
    from course_utils.report import Card, read_results
    entries = read_results('lessons')
    those = [l for l in entries if l.startswith(lesson)]
    if not those: raise CourseError(f"There is no measured lesson '{lesson}': there are {', '.join(entries) or 'none yet'}.")
    names = sorted(['cpu', 'gpu'], key=lambda name: name != profile().name)  # smoke is for tests: under a minute, and never kept
    known = {name: any(entries[l].get(name, {}).get('preflight') for l in those) for name in names}
    here = {name: measure(name) if known[name] else None for name in names}  # what nothing can be said about is not timed
    say = lambda l, name: f'profile {name}: {in_minutes(predicted(entries[l].get(name, {}), here[name]))}'
    return Card({l: '; '.join(say(l, name) for name in names) + '.' for l in those})
