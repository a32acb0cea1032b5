"""The input pipeline beside its peers, and whether the network waits for its pictures."""
import itertools, time

import albumentations as A
import numpy as np, torch
from fastai.vision.all import Datasets, IntToFloatTensor, ItemTransform, Normalize, PILImage, Resize, TfmdDL, ToTensor
from torch.nn.functional import cross_entropy

from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.techniques.augment import pipeline, share_generator
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.techniques.ladder import LITE
from data_scripts.experiments.bench.timing import bench_row, in_turn, n_turns
from data_scripts.experiments.engine import pick
from data_scripts.experiments.peers import Files

FLIP_P = .33   # of each operation
BS = 64   # pictures in a batch


def bench_operations() -> A.Compose:
    "Two flips, brightness and contrast by up to a fifth."
    flips = [A.HorizontalFlip(p=FLIP_P), A.VerticalFlip(p=FLIP_P)]
    return share_generator(A.Compose([*flips, A.RandomBrightnessContrast(p=FLIP_P)]))


class Augment(ItemTransform):
    "As the articles join albumentations to fastai."
    def __init__(self): self.tfm = bench_operations()

    def encodes(self, pair):
        image, label = pair
        return PILImage.create(self.tfm(image=np.array(image))['image']), label


def by_fastai(pics, mean, std, memory: bool):
    def read(k): return PILImage.create(pics.x[k] if memory else pics.table.path[k])
    def label(k): return int(pics.y[k])
    data = Datasets(list(pics.train), [[read], [label]])
    return TfmdDL(data, bs=BS, shuffle=True, num_workers=0,
                  after_item=[Augment(), Resize(pics.size), ToTensor()],
                  after_batch=[IntToFloatTensor(), Normalize.from_stats(mean, std, cuda=False)])


def by_torchvision(pics, mean, std, memory: bool):
    from torchvision.transforms import v2
    transform = v2.Compose([
        v2.Resize((pics.size, pics.size)),
        v2.RandomHorizontalFlip(FLIP_P),
        v2.RandomVerticalFlip(FLIP_P),
        v2.RandomApply([v2.ColorJitter(.2, .2)], FLIP_P),
        v2.ToImage(),
        v2.ToDtype(torch.float32, True),
        v2.Normalize(mean, std),
    ])
    return torch.utils.data.DataLoader(Files(pics, pics.train, transform, memory), BS, shuffle=True)


def by_timm(pics, mean, std, memory: bool):
    from timm.data import create_loader, create_transform
    files = Files(pics, pics.train, memory=memory)
    loader = create_loader(files, (3, pics.size, pics.size), BS, is_training=True, use_prefetcher=False, num_workers=0,
                           persistent_workers=False, device=torch.device('cpu'))
    files.transform = create_transform(
        pics.size, is_training=True, hflip=FLIP_P, vflip=FLIP_P, color_jitter=(.2, .2, 0.), color_jitter_prob=FLIP_P,
        scale=(1., 1.), ratio=(1., 1.), mean=mean, std=std)
    return loader


def seconds_per_thousand(loader) -> float:
    "Delivers an epoch."
    start = time.perf_counter()
    n = sum(len(x) for x, _ in loader)
    return (time.perf_counter() - start) / n * 1000


def input_pipeline() -> dict:
    """One epoch of batches, normalised and augmented (two flips, brightness and contrast by up to a fifth, p = 0.33 each), one process, nothing
    learnt. The same kinds of operations, not the same bits: each library has its own formula for contrast, and timm resizes as it crops."""
    pics = load_pictures('solar', size=pick(smoke=32, cpu=96, gpu=224), limit=pick(smoke=160, cpu=600))
    mean, std = norm_of(create_model(LITE, pretrained=False))
    loaders = {'course': pics.loaders(mean, std, bs=BS, tfm=bench_operations(), device='cpu').train}
    for name, make in {'fastai': by_fastai, 'torchvision v2': by_torchvision, 'timm': by_timm}.items():
        loaders[f'{name}, from files'] = make(pics, mean, std, memory=False)
        loaders[f'{name}, from memory'] = make(pics, mean, std, memory=True)
    ways = {name: lambda loader=loader: seconds_per_thousand(loader) for name, loader in loaders.items()}
    seconds = in_turn(ways, n_turns())
    return bench_row(seconds, 'input pipeline: seconds to deliver 1,000 augmented pictures', size=pics.size)


def train_steps(learn, opt, batches) -> float:  # seconds a picture
    "Full training steps on `batches`, in bfloat16 where `train` would use it."
    bf16 = hasattr(learn, 'mixed_precision')
    n = 0
    start = time.perf_counter()
    for x, y in batches:
        with torch.autocast(y.device.type, torch.bfloat16, enabled=bf16): loss = cross_entropy(learn.model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        n += len(y)
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return (time.perf_counter() - start) / n


def throughput(
    n: int | None = None,  # turns
    device=None,
) -> dict:
    "Training on real pictures, augmented at p = 0.33, against training on one batch that is there already."
    pics = load_pictures('solar', size=pick(smoke=96, cpu=96, gpu=224), limit=pick(smoke=600, cpu=600, gpu=None))
    learn = make_learner(pics, Recipe(LITE, 1, augment=pipeline(FLIP_P), bs=32), quiet=True, device=device)
    learn.model.to(memory_format=torch.channels_last).train()
    learn.create_opt()
    opt = learn.opt
    ready = learn.dls.train.one_batch()
    # beside a GPU a turn is a whole epoch: else its workers would read ahead while the other way is timed
    steps = pick(smoke=4, cpu=4, gpu=len(learn.dls.train))
    batches = itertools.chain.from_iterable(itertools.repeat(learn.dls.train))
    ways = {
        'real pictures': lambda: train_steps(learn, opt, itertools.islice(batches, steps)),
        'one ready batch': lambda: train_steps(learn, opt, itertools.repeat(ready, steps)),
    }
    seconds = in_turn(ways, n or n_turns(12))
    return bench_row(seconds, 'training: seconds a picture; the ratio is pictures/s with real pictures ÷ with a ready batch, 1 at best',
                     size=pics.size)
