"""The learning rate finder, Grad-CAM and TTA beside their peers: the same results, and the seconds they take."""
import tempfile, time
from pathlib import Path

import cv2, numpy as np, torch
from torch import nn

from course_utils.data.loader import to_input
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.techniques.augment import pipeline
from course_utils.techniques.gradcam import gradcam
from course_utils.techniques.lr_finder import lr_find, smooth
from course_utils.techniques.tta import random_views, symmetric_views, tta
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.techniques.ladder import LITE
from data_scripts.experiments.bench.timing import bench_row, differences, in_turn, n_turns
from data_scripts.experiments.engine import pick
from data_scripts.experiments.peers import fastai_tta


# ---- the learning rate finder ----

START, END = 1e-6, .1  # rates; at the last one nothing diverges yet: the same work for all


def fresh_learner(pics):
    "A Learner that nothing has trained, with the optimiser made, so that no clock counts it."
    learn = make_learner(pics, Recipe('regnetx_002', 1, bs=32), quiet=True, device='cpu')
    learn.path = Path(tempfile.gettempdir())  # fastai's finder writes the weights to disk
    learn.create_opt()
    return learn


def sweep_by_course(pics, n: int) -> tuple:  # seconds, smoothed losses
    learn = fresh_learner(pics)
    start = time.perf_counter()
    losses = smooth(lr_find(learn, START, END, n).raw)
    return time.perf_counter() - start, losses


def sweep_by_fastai(pics, n: int) -> tuple:  # seconds, smoothed losses
    learn = fresh_learner(pics)
    start = time.perf_counter()
    with learn.no_bar(): learn.lr_find(START, END, n, show_plot=False, suggest_funcs=None)
    return time.perf_counter() - start, torch.stack(learn.recorder.losses).numpy()


def sweep_by_torch_lr_finder(pics, n: int) -> tuple:  # seconds, smoothed losses
    from torch_lr_finder import LRFinder, TrainDataLoaderIter
    learn = fresh_learner(pics)
    learn.model.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(learn.model.parameters(), lr=START, weight_decay=.01, fused=True)  # as the Learner's

    class Batches(TrainDataLoaderIter):
        def __init__(self): self.batches = iter(batch for _ in range(n) for batch in learn.dls.train)
        def __next__(self): return next(self.batches)

    start = time.perf_counter()
    finder = LRFinder(learn.model, opt, nn.CrossEntropyLoss(), device='cpu')  # it copies the weights now, as the others do inside
    last = START * (END / START) ** ((n - 1) / n)
    finder.range_test(Batches(), end_lr=last, num_iter=n, smooth_f=0, diverge_th=1e9)
    finder.reset()  # as the course's and fastai's: the weights as they were
    return time.perf_counter() - start, smooth(finder.history['loss'])


def lr_finder() -> dict:
    "A sweep of as many steps over the same batches. The largest difference is that of the smoothed losses where both have them."
    n = pick(smoke=20, cpu=60)
    pics = load_pictures('solar', size=pick(smoke=32, cpu=64), limit=300)
    sweeps = {'course': sweep_by_course, 'fastai': sweep_by_fastai, 'torch-lr-finder': sweep_by_torch_lr_finder}
    losses = dict.fromkeys(sweeps)

    def way(name: str):
        def call() -> float:
            seconds, losses[name] = sweeps[name](pics, n)
            return seconds
        return call

    # the same arithmetic: many turns tell noise from cost
    seconds = in_turn({name: way(name) for name in sweeps}, pick(smoke=2, cpu=25))
    return bench_row(seconds, f'learning rate finder, {n} steps: seconds', difference=differences(losses))


# ---- Grad-CAM ----

def unit(a: np.ndarray) -> np.ndarray:
    "From 0 to 1, as pytorch-grad-cam scales."
    a = a - a.min()
    return a / (1e-7 + a.max())


def enlarged(maps, size: int) -> np.ndarray:  # `(N, size, size)` in [0, 1]
    "Maps as large as the pictures, as pytorch-grad-cam gives them."
    return np.stack([unit(cv2.resize(unit(m), (size, size))) for m in maps])


def grad_cam() -> dict:
    """Maps of the last layer, for the same class, scaled from 0 to 1 as large as the pictures, as pytorch-grad-cam gives them.
    The difference to torch-cam is that of its small maps."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import GradCAM as TorchCam
    torch.manual_seed(0)
    model = create_model(LITE, 2).eval()
    layer = 'bn2'
    size = pick(smoke=64, cpu=128)
    x = torch.randn(pick(smoke=8, cpu=32), 3, size, size)
    library = GradCAM(model=model, target_layers=[model.bn2])
    targets = [ClassifierOutputTarget(1)] * len(x)
    maps = dict.fromkeys(['course', 'pytorch-grad-cam', 'torch-cam'])

    def by_course(): maps['course'] = enlarged(gradcam(model, x, 1, layer), size)
    def by_pytorch_grad_cam(): maps['pytorch-grad-cam'] = library(input_tensor=x, targets=targets)
    def by_torch_cam():
        with TorchCam(model, target_layer=layer) as cam:
            logits = model(x)
            small = cam([1] * len(x), logits)[0].numpy()
            maps['torch-cam'] = enlarged(small, size)

    with library:
        ways = {'course': by_course, 'pytorch-grad-cam': by_pytorch_grad_cam, 'torch-cam': by_torch_cam}
        seconds = in_turn(ways, n_turns())
    return bench_row(seconds, f'Grad-CAM of {len(x)} pictures: seconds', difference=differences(maps))


# ---- TTA ----

def tta_row() -> dict:
    """ttach turns ready tensors eight ways; fastai draws one plain view and four random ones, here the course's own draws. Each
    is compared with the course on the same views."""
    import ttach
    pics = load_pictures('solar', size=pick(smoke=32, cpu=64), limit=pick(smoke=160, cpu=1000))
    model = create_model(LITE, 2).eval()
    mean, std = norm_of(model)
    turned = symmetric_views()
    drawn = random_views(pipeline(.33))
    wrapper = ttach.ClassificationTTAWrapper(nn.Sequential(model, nn.Softmax(1)), ttach.aliases.d4_transform())
    probs = {}

    def by_course(): probs['course'], _ = tta(model, pics, turned)
    def by_ttach():
        x = to_input(pics.x[pics.valid], mean, std, 'cpu')
        with torch.inference_mode(): batches = [wrapper(batch) for batch in x.split(128)]
        probs['ttach'] = torch.cat(batches).numpy()
    def by_course_drawn(): probs['course, drawn'], _ = tta(model, pics, drawn)
    def by_fastai():
        averaged = fastai_tta(model, pics, pics.valid, drawn[1:], beta=1 / len(drawn))
        probs['fastai'] = averaged.numpy()

    ways = {'course': by_course, 'ttach': by_ttach, 'course, drawn': by_course_drawn, 'fastai': by_fastai}
    seconds = in_turn(ways, n_turns())

    def pair(course: str, peer: str) -> dict:
        times = {course: seconds[course], peer: seconds[peer]}
        return bench_row(times, '', difference=differences({course: probs[course], peer: probs[peer]}))

    with_ttach = pair('course', 'ttach')
    with_fastai = pair('course, drawn', 'fastai')
    pairs = {key: with_ttach[key] | with_fastai[key] for key in ('ratio', 'range', 'difference')}
    return bench_row(seconds, 'TTA of the validation pictures, eight turned views (ttach) or five drawn ones (fastai): seconds') | pairs
