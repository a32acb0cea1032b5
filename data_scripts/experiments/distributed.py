"""One training shared by several processes: torchrun --nproc-per-node 2 -m data_scripts.experiments.distributed --out curve.json

Without torchrun the same file trains in one process. fastai's `distrib_ctx` does the sharing, by way of accelerate."""
import argparse, itertools, json, os, sys, time
from contextlib import nullcontext
from pathlib import Path

from course_utils.config import CourseError, write_whole
from course_utils.data.pictures import load_pictures
from course_utils.training.train import fit
from course_utils.training.learner import device_name, make_learner
import torch
from fastai.callback.core import Callback
from fastai.distributed import DistributedDL, num_distrib, rank_distrib, teardown_distrib
from torch import nn


class Share(DistributedDL):
    """This process's pictures of every batch: side by side, the processes see the batches that one alone would see. fastai's own
    cuts an epoch into one stretch a process, so its batches are others, and it sends the order by way of a GPU, so it needs one."""
    def __init__(self, dl, rank=None, world_size=None):
        super().__init__(dl, rank, world_size)
        # held-out pictures may not divide: then no process may have a batch more than another, which would wait for it for ever
        if not dl.drop_last: dl.bs = self.bs = next(b for b in itertools.count(dl.bs) if len(dl.dataset) // self.world_size % b)
    def __len__(self): return len(self.dl.dataset) // (self.bs * self.world_size) + (not self.drop_last)
    def get_idxs(self):
        idxs = self.dl.get_idxs()  # the same in every process: all draw from one seed
        return idxs[:len(self) * self.bs * self.world_size][self.rank::self.world_size]


def add(t):
    "The sum of a tensor over all processes."
    if torch.distributed.is_initialized(): torch.distributed.all_reduce(t)
    return t

class Together(Callback):
    "Adds up over the processes what `History` counts in each, and keeps the loss of every step."
    order = 54  # before History
    def before_fit(self): self.steps = []
    def after_batch(self):
        if self.training: self.steps.append(self.loss.detach() / max(num_distrib(), 1))
    def after_epoch(self):
        for part, sums in self.history.sums.items():
            self.history.sums[part] = add(torch.stack([torch.as_tensor(s, dtype=torch.float64, device=self.loss.device) for s in sums])).tolist()
    def after_fit(self): self.steps = add(torch.stack(self.steps)).tolist()

class StillBatchNorm(Callback):
    "BatchNorm stays as ImageNet left it. Lesson 02's `FreezeBatchNorm` comes too late: what learns is settled when the processes are joined."
    order = 0  # before fastai's DistributedTrainer
    def before_fit(self): self.norms = [m.requires_grad_(False) for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]
    def before_train(self):
        for m in self.norms: m.eval()


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', help='a data set by name, or a folder of class folders')
    p.add_argument('--arch', default='tf_efficientnet_lite0', help='a timm model')
    p.add_argument('--epochs', type=int, default=2)
    p.add_argument('--lr', type=float, default=3e-4, help='the highest rate; it is not scaled by the number of processes')
    p.add_argument('--bs', type=int, default=64, help='pictures in a batch, of all processes together')
    p.add_argument('--limit', type=int, help='at most about this many pictures')
    p.add_argument('--train-batchnorm', action='store_true', help='BatchNorm learns, too: from all processes on GPUs, from each alone on CPUs')
    p.add_argument('--out', type=Path, default=Path('curve.json'))
    a = p.parse_args(argv)
    n, gpu = max(num_distrib(), 1), torch.cuda.is_available()
    if a.bs % n: raise CourseError(f'A batch of {a.bs} cannot be shared evenly by {n} processes: give --bs a multiple of {n}.')
    if gpu: torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
    pics = load_pictures(a.data, limit=a.limit)
    if a.bs > len(pics.train) or n > len(pics.valid):
        raise CourseError(f'{len(pics.train)} pictures to train on and {len(pics.valid)} held out are too few for batches of {a.bs} and {n} processes.')
    learn = make_learner(pics, a.arch, pretrained=True, bs=a.bs // n, quiet=rank_distrib() > 0)
    learn.dls.loaders = [Share(dl) for dl in learn.dls] if n > 1 else learn.dls.loaders
    together, start = Together(), time.perf_counter()
    with learn.distrib_ctx(sync_bn=gpu and a.train_batchnorm, cpu=not gpu) if n > 1 else nullcontext():
        fit(learn, a.epochs, a.lr, cbs=[together] if a.train_batchnorm else [together, StillBatchNorm()])
    seconds = time.perf_counter() - start
    if rank_distrib() == 0:
        write_whole(a.out, json.dumps(dict(processes=n, bs=a.bs, device=device_name(), seconds=seconds, steps=together.steps, epochs=learn.history.rows)))
        print(f'{n} process{"es" * (n > 1)}, {device_name()} each: valid loss {learn.history.rows[-1]["valid_loss"]:.4f} after {a.epochs} epochs in {seconds:.1f} s; written to {a.out}.')
    teardown_distrib()


if __name__ == '__main__': main()  # for torchrun, which starts a module in every process
