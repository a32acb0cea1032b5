"""One training shared by several processes: torchrun --nproc-per-node 2 -m data_scripts.experiments.distributed --out curve.json

Without torchrun the same file trains in one process. fastai's `distrib_ctx` does the sharing, by way of accelerate."""
import argparse, itertools, json, os, time
from contextlib import nullcontext
from pathlib import Path

import torch
from fastai.callback.core import Callback
from fastai.distributed import DistributedDL, num_distrib, rank_distrib, teardown_distrib
from torch import nn

from course_utils.config import CourseError, write_whole
from course_utils.data.pictures import load_pictures
from course_utils.training.learner import device_name, make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import fit


class Share(DistributedDL):
    """This process's pictures of every batch: side by side, the processes see the batches that one alone would see. fastai's own
    cuts an epoch into one stretch a process, so its batches are others, and it sends the order by way of a GPU, so it needs one."""
    def __init__(self, dl, rank=None, world_size=None):
        super().__init__(dl, rank, world_size)
        # held-out pictures may not divide: then no process may have a batch more than another, which would wait for it for ever
        if not dl.drop_last: dl.bs = self.bs = self.equal_batches(dl.bs)

    def equal_batches(self, bs: int) -> int:
        "A batch size, `bs` or the next that leaves no process without a last batch."
        n = len(self.dl.dataset) // self.world_size
        return next(size for size in itertools.count(bs) if n % size)

    def __len__(self):
        n_full = len(self.dl.dataset) // (self.bs * self.world_size)
        return n_full + (not self.drop_last)

    def get_idxs(self):
        idxs = self.dl.get_idxs()  # the same in every process: all draw from one seed
        n = len(self) * self.bs * self.world_size
        return idxs[:n][self.rank::self.world_size]


def add(values: torch.Tensor) -> torch.Tensor:
    "The sum of a tensor over all processes."
    if torch.distributed.is_initialized(): torch.distributed.all_reduce(values)
    return values


class SharedHistory(Callback):
    "Adds up over the processes what `History` counts in each, and keeps the loss of every step."
    order = 54  # before History

    def before_fit(self): self.steps = []

    def after_batch(self):
        if self.training: self.steps.append(self.loss.detach() / max(num_distrib(), 1))

    def after_epoch(self):
        for part, sums in self.history.sums.items():
            counts = [torch.as_tensor(value, dtype=torch.float64, device=self.loss.device) for value in sums]
            self.history.sums[part] = add(torch.stack(counts)).tolist()

    def after_fit(self): self.steps = add(torch.stack(self.steps)).tolist()


class ImageNetBatchNorm(Callback):
    """BatchNorm stays as ImageNet left it. A recipe's `batchnorm='still'` comes too late: what learns is settled when the
    processes are joined."""
    order = 0  # before fastai's DistributedTrainer

    def before_fit(self):
        norms = [layer for layer in self.model.modules() if isinstance(layer, nn.BatchNorm2d)]
        self.norms = [layer.requires_grad_(False) for layer in norms]

    def before_train(self):
        for layer in self.norms: layer.eval()


def parse(arguments):
    "The command's options."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', help='a data set by name, or a folder of class folders')
    parser.add_argument('--arch', default='tf_efficientnet_lite0', help='a timm model')
    parser.add_argument('--epochs', type=int, default=2)
    parser.add_argument('--lr', type=float, default=3e-4, help='the highest rate; it is not scaled by the number of processes')
    parser.add_argument('--bs', type=int, default=64, help='pictures in a batch, of all processes together')
    parser.add_argument('--limit', type=int, help='at most about this many pictures')
    parser.add_argument('--train-batchnorm', action='store_true', help='BatchNorm learns, too: from all processes on GPUs, from each alone on CPUs')
    parser.add_argument('--out', type=Path, default=Path('curve.json'))
    return parser.parse_args(arguments)


def check_sharing(pics, bs: int, n: int):
    "Raises `CourseError` where there are too few pictures for this batch and this many processes."
    if bs <= len(pics.train) and n <= len(pics.valid): return
    raise CourseError(f'{len(pics.train)} pictures to train on and {len(pics.valid)} held out are too few for batches of {bs} and {n} processes.')


def main(arguments=None):
    "Trains, and writes every step's loss and every epoch's row."
    options = parse(arguments)
    n = max(num_distrib(), 1)
    gpu = torch.cuda.is_available()
    if options.bs % n: raise CourseError(f'A batch of {options.bs} cannot be shared evenly by {n} processes: give --bs a multiple of {n}.')
    if gpu: torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
    pics = load_pictures(options.data, limit=options.limit)
    check_sharing(pics, options.bs, n)
    recipe = Recipe(options.arch, options.epochs, pretrained=True, lr_max=options.lr, bs=options.bs // n)
    learn = make_learner(pics, recipe, quiet=rank_distrib() > 0)
    if n > 1: learn.dls.loaders = [Share(dl) for dl in learn.dls]
    history = SharedHistory()
    callbacks = [history] if options.train_batchnorm else [history, ImageNetBatchNorm()]
    start = time.perf_counter()
    with learn.distrib_ctx(sync_bn=gpu and options.train_batchnorm, cpu=not gpu) if n > 1 else nullcontext():
        fit(learn, recipe.epochs, recipe.lr_max, callbacks=callbacks)
    seconds = time.perf_counter() - start
    if rank_distrib() == 0: write_curve(options, n, seconds, history.steps, learn.history.rows)
    teardown_distrib()


def write_curve(options, n: int, seconds: float, steps: list, rows: list):
    "Writes the curve, and says how it ended."
    curve = dict(processes=n, bs=options.bs, device=device_name(), seconds=seconds, steps=steps, epochs=rows)
    write_whole(options.out, json.dumps(curve))
    processes = '1 process' if n == 1 else f'{n} processes'
    print(f"{processes}, {device_name()} each: valid loss {rows[-1]['valid_loss']:.4f} after {options.epochs} epochs in {seconds:.1f} s; "
          f'written to {options.out}.')


if __name__ == '__main__': main()  # for torchrun, which starts a module in every process
