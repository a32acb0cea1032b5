"""The course's code and its peers side by side, on this machine, in one run: `make bench`, or some rows of it, `make bench ONLY='tta imports'`.

A row holds the seconds of every way, measured in turn, and in each turn another way begins, so that a busy moment hits all of them, and the
ratios: how many times as long a peer takes, the median over the repetitions. Each row is written at once into results/bench.json."""
import argparse, gc, itertools, json, math, os, subprocess, sys, tempfile, time
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from course_utils.config import root, CourseError, cache_dir, profile, results_dir, write_whole

import numpy as np, torch
from fastai.callback.core import Callback
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from course_utils.techniques.augment import pipeline, share_generator
from course_utils.data.pictures import load_pictures
from course_utils.techniques.gradcam import gradcam
from course_utils.techniques.lr_finder import lr_find, smooth
from course_utils.models import create_model, norm_of
from course_utils.training.learner import device_name, make_learner, versions
from course_utils.training.train import train
from course_utils.training.batchnorm import FreezeBatchNorm
from course_utils.techniques.tta import random_views, symmetric_views, tta
from data_scripts.lessons.run import run as L

ROOT = root()

LITE = 'tf_efficientnet_lite0'
PEERS = 'torchvision', 'ttach', 'grad-cam', 'torchcam', 'torch-lr-finder', 'jupyterlab', 'ipywidgets', 'matplotlib'  # beside those of `versions`


def pick(**choices): return profile().pick(**choices)

def times(n: int | None = None) -> int: return n or pick(smoke=2, cpu=7)

def in_turn(ways: dict, n: int, warm=True) -> dict:  # way → n seconds
    "Calls every way once to warm up, then all of them `n` times, one after the other; each turn begins with another. A way may return the seconds it wants counted."
    seconds, order = {name: [] for name in ways}, deque(ways.items())
    for k in tqdm(range(n + warm), disable=None, leave=False):
        order.rotate(-1)
        for name, call in order:
            gc.collect()  # what the way before left behind is not this one's to clear away
            start = time.perf_counter()
            own = call()
            took = own if isinstance(own, float) else time.perf_counter() - start
            if k >= warm: seconds[name].append(took)
    return seconds

def row(seconds: dict, what: str, unit='s', **more) -> dict:  # the first way is the course's
    "Medians, and how many times as much a peer takes: the median of the ratios in each turn, with the lowest and the highest."
    ours, *peers = seconds
    # a turn in which neither got there has no ratio
    ratios = {p: [b / a for a, b in zip(seconds[ours], seconds[p]) if not a == b == math.inf] or [math.inf] for p in peers}
    kept = lambda v: float(f'{v:.4g}') if math.isfinite(v) else None
    return dict(what=what, unit=unit, n=len(seconds[ours]), median={k: kept(median(v)) for k, v in seconds.items()},
                ratio={p: kept(median(r)) for p, r in ratios.items()}, range={p: [kept(min(r)), kept(max(r))] for p, r in ratios.items()}, **more)


# ---- a: wall time to the accuracy of fastai's plain recipe ----

class Clock(Callback):
    "Validation accuracies, with the seconds since it was made: all that a learner waits for counts."
    order = 95  # after whatever else looks at an epoch
    def __init__(self): self.start, self.seen = time.perf_counter(), []
    def see(self, accuracy): self.seen.append((time.perf_counter() - self.start, float(accuracy)))
    def until(self, target) -> float: return next((s for s, a in self.seen if a >= target), math.inf)
    def after_epoch(self): self.see(self.learn.history.rows[-1]['valid_accuracy'] if hasattr(self.learn, 'history') else self.learn.recorder.values[-1][-1])

def plain_fastai(pics, seed, epochs):
    "Chapter 1 of fastbook: files, resized one by one, `aug_transforms`, `vision_learner`, `fine_tune`."
    from fastai.vision.all import (CategoryBlock, ColReader, DataBlock, ImageBlock, IndexSplitter, Normalize, Resize, accuracy, aug_transforms, set_seed, vision_learner)
    clock = Clock()
    set_seed(seed)
    mean, std = norm_of(create_model(LITE, pretrained=False))
    block = DataBlock((ImageBlock, CategoryBlock), get_x=ColReader('path'), get_y=ColReader('label'), splitter=IndexSplitter(pics.valid), item_tfms=Resize(pics.size),
                      batch_tfms=[*aug_transforms(), Normalize.from_stats(mean, std, cuda=torch.cuda.is_available())])
    learn = vision_learner(block.dataloaders(pics.table, bs=64), LITE, pretrained=False, normalize=False, metrics=accuracy, cbs=clock)
    body = learn.model[0].model  # vision_learner would fetch the weights: they are here
    assert not body.load_state_dict(create_model(LITE).state_dict(), strict=False).missing_keys
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(epochs)
    return clock

def timm_style(pics, seed, epochs):
    "timm's own pieces, with the defaults of its training script where it has one: loader, augmentation, AdamW, cosine with a warm-up epoch."
    from timm.data import create_loader
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    clock = Clock()
    torch.manual_seed(seed)
    model = create_model(LITE, len(pics.classes))
    mean, std = norm_of(model)
    loader = lambda idx, **kw: create_loader(Files(pics, idx), (3, pics.size, pics.size), 64, use_prefetcher=False, num_workers=min(8 if torch.cuda.is_available() else 2, os.cpu_count()), mean=mean, std=std,
                                             device=next(model.parameters()).device, persistent_workers=False, **kw)
    model.to(default := torch.device('cuda' if torch.cuda.is_available() else 'cpu'))
    opt = create_optimizer_v2(model, 'adamw', lr=1e-3, weight_decay=.05)
    batches, valid = loader(pics.train, is_training=True), loader(pics.valid, crop_pct=1.)
    plan = CosineLRScheduler(opt, t_initial=epochs + 1, warmup_t=1, warmup_lr_init=1e-5, t_in_epochs=True)
    for epoch in range(epochs + 1):
        plan.step(epoch); model.train()
        for x, y in batches:
            cross_entropy(model(x.to(default)), y.to(default)).backward()
            opt.step(); opt.zero_grad()
        model.eval()
        with torch.inference_mode(): clock.see(np.mean([hit for x, y in valid for hit in (model(x.to(default)).argmax(1).cpu() == y).tolist()]))
    return clock

class Files(torch.utils.data.Dataset):
    "Pictures read from their files, one by one, as timm's and torchvision's own data sets do. `memory`: from the course's decoded array instead."
    def __init__(self, pics, idx, transform=None, memory=False): self.pics, self.idx, self.transform, self.memory = pics, idx, transform, memory
    def __len__(self): return len(self.idx)
    def __getitem__(self, i):
        from PIL import Image
        k = self.idx[i]
        im = Image.fromarray(self.pics.x[k]) if self.memory else Image.open(self.pics.table.path[k]).convert('RGB')
        return self.transform(im), int(self.pics.y[k])

def course(source, seed, epochs):
    "Lessons 00 to 05: pictures decoded once (and that time counts here), frozen BatchNorm, one-cycle twice."
    clock = Clock()
    train(load_pictures(**source, cache=False), LITE, epochs, 2e-3, freeze_epochs=1, pretrained=True, bs=32, seed=seed, cbs=[FreezeBatchNorm, clock], quiet=True)
    return clock

def accuracy(source, limit=None):
    "Three ways to fine-tune the same network on the same pictures with the same seeds, until each is as good as fastai's plain recipe is at its end."
    source = dict(source=source, size=pick(smoke=32, cpu=64, gpu=224), limit=pick(smoke=160, cpu=limit, gpu=None))
    try: pics = load_pictures(**source)
    except CourseError as e: raise CourseError(f'This row needs pictures that are not here. {e}') from None
    epochs, seconds, finals = pick(smoke=1, cpu=3, gpu=5), {}, {}
    for seed in range(pick(smoke=1, cpu=5)):
        ways = deque([('course', lambda: course(source, seed, epochs)), ('fastai fine_tune', lambda: plain_fastai(pics, seed, epochs)), ('timm loop', lambda: timm_style(pics, seed, epochs))])
        ways.rotate(-seed)
        clocks = {name: way() for name, way in ways}
        target = clocks['fastai fine_tune'].seen[-1][1]
        for name in ('course', 'fastai fine_tune', 'timm loop'):
            seconds.setdefault(name, []).append(clocks[name].until(target))
            finals.setdefault(name, []).append(round(clocks[name].seen[-1][1], 4))
    return row(seconds, f"{pics.name}: seconds to the accuracy that fastai's fine_tune({epochs}) ends with", final_accuracy=finals,
               reached={k: sum(map(math.isfinite, v)) for k, v in seconds.items()}, size=pics.size, pictures=len(pics.train), majority=round(pics.majority, 4))


# ---- b: the input pipeline ----

def input_pipeline():
    """One epoch of batches, normalised and augmented (two flips, brightness and contrast by up to a fifth, p = 0.33 each), one process, nothing
    learnt. The same kinds of operations, not the same bits: each library has its own formula for contrast, and timm resizes as it crops."""
    import albumentations as A
    from fastai.vision.all import (DataLoaders, Datasets, IntToFloatTensor, ItemTransform, Normalize, PILImage, Resize, TfmdDL, ToTensor)
    from timm.data import create_loader, create_transform
    from torchvision.transforms import v2
    pics, p, bs = load_pictures('solar', size=pick(smoke=32, cpu=96, gpu=224), limit=pick(smoke=160, cpu=600)), .33, 64
    mean, std = norm_of(create_model(LITE, pretrained=False))
    def operations(): return share_generator(A.Compose([A.HorizontalFlip(p=p), A.VerticalFlip(p=p), A.RandomBrightnessContrast(p=p)]))
    class Augment(ItemTransform):
        "As the articles join albumentations to fastai."
        def __init__(self): self.tfm = operations()
        def encodes(self, xy): return PILImage.create(self.tfm(image=np.array(xy[0]))['image']), xy[1]
    def by_fastai(memory):
        read = (lambda k: PILImage.create(pics.x[k])) if memory else (lambda k: PILImage.create(pics.table.path[k]))
        return TfmdDL(Datasets(list(pics.train), [[read], [lambda k: int(pics.y[k])]]), bs=bs, shuffle=True, num_workers=0, after_item=[Augment(), Resize(pics.size), ToTensor()],
                      after_batch=[IntToFloatTensor(), Normalize.from_stats(mean, std, cuda=False)])
    def by_torchvision(memory):
        jitter = v2.RandomApply([v2.ColorJitter(.2, .2)], p)
        tfm = v2.Compose([v2.Resize((pics.size, pics.size)), v2.RandomHorizontalFlip(p), v2.RandomVerticalFlip(p), jitter, v2.ToImage(), v2.ToDtype(torch.float32, True), v2.Normalize(mean, std)])
        return torch.utils.data.DataLoader(Files(pics, pics.train, tfm, memory), bs, shuffle=True)
    def by_timm(memory):
        files = Files(pics, pics.train, memory=memory)
        loader = create_loader(files, (3, pics.size, pics.size), bs, is_training=True, use_prefetcher=False, num_workers=0, persistent_workers=False, device=torch.device('cpu'))
        files.transform = create_transform(pics.size, is_training=True, hflip=p, vflip=p, color_jitter=(.2, .2, 0.), color_jitter_prob=p, scale=(1., 1.), ratio=(1., 1.), mean=mean, std=std)
        return loader
    loaders = {'course': pics.loaders(mean, std, bs=bs, tfm=operations(), device='cpu').train}
    for name, make in {'fastai': by_fastai, 'torchvision v2': by_torchvision, 'timm': by_timm}.items(): loaders |= {f'{name}, from files': make(False), f'{name}, from memory': make(True)}
    def pull(loader):
        def call():
            start, n = time.perf_counter(), 0
            for x, _ in loader: n += len(x)
            return (time.perf_counter() - start) / n * 1000  # seconds for a thousand pictures
        return call
    return row(in_turn({k: pull(v) for k, v in loaders.items()}, times()), 'input pipeline: seconds to deliver 1,000 augmented pictures', size=pics.size)


# ---- c: does the network wait for its pictures? ----

def step(learn, opt, batches) -> float:  # seconds a picture
    "Full training steps on `batches`, in bfloat16 where `train` would use it."
    n, start, half = 0, time.perf_counter(), hasattr(learn, 'mixed_precision')
    for x, y in batches:
        with torch.autocast(y.device.type, torch.bfloat16, enabled=half): loss = cross_entropy(learn.model(x), y)
        loss.backward()
        opt.step(); opt.zero_grad()
        n += len(y)
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return (time.perf_counter() - start) / n

def throughput(n: int | None = None, device=None):
    "Training on real pictures, augmented at p = 0.33, against training on one batch that is there already."
    pics = load_pictures('solar', size=pick(smoke=96, cpu=96, gpu=224), limit=pick(smoke=600, cpu=600, gpu=None))
    learn = make_learner(pics, LITE, tfm=pipeline(.33), bs=32, quiet=True, device=device)
    learn.model.to(memory_format=torch.channels_last).train()
    learn.create_opt()
    opt, ready, each = learn.opt, learn.dls.train.one_batch(), pick(smoke=4, cpu=4, gpu=len(learn.dls.train))
    # beside a GPU a turn is a whole epoch: else its workers would read ahead while the other way is timed
    batches = itertools.chain.from_iterable(itertools.repeat(learn.dls.train))
    seconds = in_turn({'real pictures': lambda: step(learn, opt, itertools.islice(batches, each)), 'one ready batch': lambda: step(learn, opt, itertools.repeat(ready, each))}, n or times(12))
    return row(seconds, 'training: seconds a picture; the ratio is pictures/s with real pictures ÷ with a ready batch, 1 at best', size=pics.size)


# ---- d: the techniques ----

def lr_finder():
    "A sweep of as many steps over the same batches. The largest difference is that of the smoothed losses where both have them."
    from torch_lr_finder import LRFinder, TrainDataLoaderIter
    n, end = pick(smoke=20, cpu=60), .1  # a rate at which nothing diverges: the same work for all
    pics = load_pictures('solar', size=pick(smoke=32, cpu=64), limit=300)
    def fresh():
        learn = make_learner(pics, 'regnetx_002', bs=32, quiet=True, device='cpu')
        learn.path = Path(tempfile.gettempdir())  # fastai's finder writes the weights to disk
        learn.create_opt()  # torch-lr-finder wants one that is made, so no clock counts it
        return learn
    last = {}
    def ours():
        learn = fresh(); start = time.perf_counter()
        last['course'] = smooth(lr_find(learn, 1e-6, end, n).raw)
        return time.perf_counter() - start
    def fastais():
        learn = fresh(); start = time.perf_counter()
        with learn.no_bar(): learn.lr_find(1e-6, end, n, show_plot=False, suggest_funcs=None)
        took = time.perf_counter() - start
        last['fastai'] = torch.stack(learn.recorder.losses).numpy()
        return took
    def torchs():
        learn = fresh()
        learn.model.to(memory_format=torch.channels_last)
        opt = torch.optim.AdamW(learn.model.parameters(), lr=1e-6, weight_decay=.01, fused=True)  # as the Learner's
        class Batches(TrainDataLoaderIter):
            def __init__(self): self._it = iter(b for _ in range(n) for b in learn.dls.train)
            def __next__(self): return next(self._it)
        start = time.perf_counter()
        finder = LRFinder(learn.model, opt, nn.CrossEntropyLoss(), device='cpu')  # here it copies the weights, as the others do inside
        finder.range_test(Batches(), end_lr=1e-6 * (end / 1e-6) ** ((n - 1) / n), num_iter=n, smooth_f=0, diverge_th=1e9)
        finder.reset()  # as ours and fastai's: the weights as they were
        took = time.perf_counter() - start
        last['torch-lr-finder'] = smooth(finder.history['loss'])
        return took
    seconds = in_turn({'course': ours, 'fastai': fastais, 'torch-lr-finder': torchs}, pick(smoke=2, cpu=25))  # the same arithmetic: many turns tell noise from cost
    return row(seconds, f'learning rate finder, {n} steps: seconds', difference=differences(last))

def differences(last: dict) -> dict:
    "The largest difference between the course's result and each peer's."
    ours = np.asarray(last.pop('course'))
    def largest(theirs): k = min(len(ours), len(theirs)); return float(np.abs(ours[:k] - np.asarray(theirs)[:k]).max())
    return {name: largest(theirs) for name, theirs in last.items()}

def grad_cam():
    "Maps of the last layer, for the same class, scaled from 0 to 1 as large as the pictures, as pytorch-grad-cam gives them. The difference to torch-cam is that of its small maps."
    import cv2
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import GradCAM as TorchCam
    torch.manual_seed(0)
    model, layer, side = create_model(LITE, 2).eval(), 'bn2', pick(smoke=64, cpu=128)
    x, last = torch.randn(pick(smoke=8, cpu=32), 3, side, side), {}
    unit = lambda m: (m - m.min()) / (1e-7 + (m - m.min()).max())
    def ours(): last['course'] = np.stack([unit(cv2.resize(unit(m), (side, side))) for m in gradcam(model, x, 1, layer)])
    library, targets = GradCAM(model=model, target_layers=[model.bn2]), [ClassifierOutputTarget(1)] * len(x)
    def pytorchs(): last['pytorch-grad-cam'] = library(input_tensor=x, targets=targets)
    def torchcams():
        with TorchCam(model, target_layer=layer) as cam:
            maps = cam([1] * len(x), model(x))[0].numpy()
            last['torch-cam'] = np.stack([unit(cv2.resize(unit(m), (side, side))) for m in maps])
    with library: seconds = in_turn({'course': ours, 'pytorch-grad-cam': pytorchs, 'torch-cam': torchcams}, times())
    return row(seconds, f'Grad-CAM of {len(x)} pictures: seconds', difference=differences(last))

def tta_row():
    "ttach turns ready tensors eight ways; fastai draws one plain view and four random ones, here the course's own draws. Each is compared with the course on the same views."
    import ttach
    from tests.test_tta import by_fastai  # proven equal there
    pics = load_pictures('solar', size=pick(smoke=32, cpu=64), limit=pick(smoke=160, cpu=1000))
    model, tfm = create_model(LITE, 2).eval(), pipeline(.33)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    turned, drawn = symmetric_views(), random_views(tfm)
    wrapper = ttach.ClassificationTTAWrapper(nn.Sequential(model, nn.Softmax(1)), ttach.aliases.d4_transform())
    last = {}
    def by_ttach():
        x = (torch.tensor(pics.x[pics.valid]).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.inference_mode(): last['ttach'] = torch.cat([wrapper(b) for b in x.split(128)]).numpy()
    def ours(): last['course'] = tta(model, pics, turned)[0]
    def ours_drawn(): last['course, drawn'] = tta(model, pics, drawn)[0]
    def fastais(): last['fastai'] = by_fastai(model, pics, pics.valid, drawn[1:], beta=1 / len(drawn)).numpy()
    seconds = in_turn({'course': ours, 'ttach': by_ttach, 'course, drawn': ours_drawn, 'fastai': fastais}, times())
    one, two = (row({'course': seconds[a], b: seconds[b]}, '', difference=differences({'course': last[a], b: last[b]})) for a, b in (('course', 'ttach'), ('course, drawn', 'fastai')))
    both = {k: one[k] | two[k] for k in ('ratio', 'range', 'difference')}
    return row(seconds, 'TTA of the validation pictures, eight turned views (ttach) or five drawn ones (fastai): seconds') | both


# ---- e: sliders, in a real browser ----

def sliders():
    "From a slider to its picture: in JupyterLab in turn with `interact` and matplotlib, 30 steps a turn, and on the site. The browser tests measure it, and here judge nothing."
    with tempfile.TemporaryDirectory() as at:
        env = dict(os.environ, COURSE_RECORD=at, COURSE_REQUIRE_BROWSER='1')
        r = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-s', 'tests/browser', '-k', 'test_speed or test_drag_to_paint'], cwd=ROOT, env=env, capture_output=True, text=True)
        if r.returncode: raise CourseError(f'The sliders could not be measured: {r.stdout.strip().splitlines()[-1]}.')
        live, site = (json.loads((Path(at)/f'{name}.json').read_text()) for name in ('explorer_speed', 'drag_to_paint'))
    kept = row({'course, live': live['explorer-live'], 'interact and matplotlib': live['usual']}, 'slider to picture: milliseconds', 'ms')
    slowest = max(site.values(), key=median)  # of the pages that were tried
    kept['median']['course, on the site'] = round(median(slowest), 1)
    return kept | dict(site_ratio=round(kept['median']['interact and matplotlib'] / median(slowest), 2))


# ---- f: the wait before the first thing happens ----

IMPORTS = {'course': 'import course_utils.techniques.augment, course_utils.training.train, course_utils.report.stats', 'fastai': 'from fastai.vision.all import *'}

def child(code, **env) -> list:
    "What the code prints, as numbers, in a process of its own."
    r = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    return [float(v) for v in r.stdout.split()]

def imports():
    """In a new process each: seconds to import, and the most memory that took. The course: what a lesson's first cell imports, which loads nearly
    all of `course_utils`; timm comes when the first network is made."""
    code = ("import re, time\nstart = time.perf_counter()\n{}\nprint(time.perf_counter() - start, "  # ru_maxrss would be the parent's
            "int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024)")
    memory = {name: [] for name in IMPORTS}
    def one(name):
        def call():
            seconds, mb = child(code.format(IMPORTS[name]))
            memory[name].append(mb)
            return seconds
        return call
    seconds = in_turn({name: one(name) for name in IMPORTS}, times())
    return row(seconds, 'import: seconds', memory_mb={k: round(median(v)) for k, v in memory.items()}, memory_ratio=round(median(memory['fastai']) / median(memory['course']), 3))

def first_cell():
    "From the start of the server, with the options of `make lab`, to the end of lesson 00's first cell: a kernel starts and runs it. Without a browser."
    from tests.browser.lab import Lab
    import nbformat
    from jupyter_client import KernelManager
    first = next(c.source for c in nbformat.read(ROOT/'nbs'/'00_overfitting.ipynb', 4).cells if c.cell_type == 'code')
    def call():
        with tempfile.TemporaryDirectory() as at:
            start = time.perf_counter()
            with Lab(Path(at)/'home'):
                server = time.perf_counter() - start
                manager = KernelManager(kernel_name='python3'); manager.start_kernel(cwd=str(ROOT), stderr=subprocess.DEVNULL)  # it warns about TCP
                client = manager.client(); client.start_channels(); client.wait_for_ready(60)
                if client.execute_interactive(first, timeout=120, output_hook=lambda _: None)['content']['status'] != 'ok': raise CourseError("The first cell of lesson 00 failed.")
                took = time.perf_counter() - start
                client.stop_channels(); manager.shutdown_kernel(now=True)
        servers.append(server)
        return took
    servers = []
    seconds = in_turn({'course': call}, pick(smoke=1, cpu=5))
    return row(seconds, 'make lab to the end of the first cell: seconds', server_s=round(median(servers), 2))

def lessons():
    "What the committed runs at profile cpu took: nothing is run for this row."
    kept = json.loads((ROOT/'results'/'lessons.json').read_text())
    seconds = {name: e['cpu']['seconds'] for name, e in sorted(kept.items()) if 'cpu' in e and name[0].isdigit()}
    return dict(what='lessons at profile cpu: seconds', unit='s', n=1, median=seconds, ratio={}, range={}, total_minutes=round(sum(seconds.values()) / 60, 1))


ROWS = {'accuracy_solar': lambda: accuracy('solar', 1500), 'accuracy_colour': lambda: accuracy(pick(smoke='solar', cpu='cats_dogs'), 800), 'input_pipeline': input_pipeline, 'throughput': throughput,
        'lr_finder': lr_finder, 'grad_cam': grad_cam, 'tta': tta_row, 'sliders': sliders, 'imports': imports, 'first_cell': first_cell, 'lessons': lessons}

def setting() -> dict:
    "Where and with what a row was measured."
    def peer(name):
        try: return {name: version(name)}
        except PackageNotFoundError: return {}  # the row that needs it says so
    m = L.machine(profile().name)
    return dict(device=device_name(), processor=m['device'], cores=m['cores'], date=m['date'], versions=versions() | {k: v for name in PEERS for k, v in peer(name).items()})

def said(name, r) -> str:
    "A row in one line."
    shown = lambda v: '—' if v is None else f'{v:.3g}'
    line = f"{name}: " + ', '.join(f"{k} {shown(v)} {r['unit']}" for k, v in r['median'].items())
    return line + ''.join(f"; {p} takes {shown(v)}× as long" for p, v in r['ratio'].items()) + '.'

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('only', nargs='*', help=f"which of {', '.join(ROWS)}; by default all")
    a = p.parse_args(argv)
    for name in a.only:
        if name not in ROWS: raise CourseError(f"There is no row '{name}': there are {', '.join(ROWS)}.")
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    at = profile().name
    folder = cache_dir() if at == 'smoke' and not os.environ.get('COURSE_RESULTS') else results_dir()  # a trial run measures nothing
    path = folder/('bench' + '_gpu' * (at == 'gpu') + '.json')
    begun, start, missing = time.strftime('%Y-%m-%d %H:%M'), time.perf_counter(), []
    for name in a.only or ROWS:
        row_start = time.perf_counter()
        try: r = ROWS[name]()
        except Exception as e:  # the other rows are not lost with it
            print(f"{name}: not measured. {e if isinstance(e, CourseError) else repr(e)}", flush=True)
            missing.append(name)
            continue
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[name] = dict(r, **setting(), run=begun, took_s=round(time.perf_counter() - row_start, 1))
        write_whole(path, json.dumps({k: kept[k] for k in ROWS if k in kept}, indent=1, ensure_ascii=False) + '\n')
        print(said(name, r), flush=True)
    if missing: raise CourseError(f"Not complete: {', '.join(missing)} could not be measured. The other rows are kept in {os.path.relpath(path)}.")
    print(f'Measured in {(time.perf_counter() - start) / 60:.0f} minutes; kept in {os.path.relpath(path)}.')

