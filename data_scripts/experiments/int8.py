"""What 16 and 8 bits cost a network, by folds: size, seconds and accuracy of the same network in several formats.

`python -m data_scripts.experiments.int8` writes results/int8.json, or, on a processor whose sums of bytes may overflow,
results/int8_without_vnni.json. A default of the quantizer is a row, too: it is a trap."""
import argparse, tempfile, time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np, onnxruntime, torch
from onnxruntime.quantization import quantize_dynamic
from torch import nn

from course_utils.config import profile
from course_utils.data.pictures import Pictures
from course_utils.machine.hardware import processor_has_vnni
from course_utils.models import create_model
from course_utils.publish.small import half_weights, quantized, without_noted_shapes
from course_utils.report.deployment import FORMAT_RESULTS
from course_utils.report.intervals import differences_interval
from course_utils.report.results import result_row, write_results
from course_utils.techniques.answer import network_input
from course_utils.techniques.export import export, quiet
from course_utils.techniques.ladder import LITE
from course_utils.techniques.transfer import fit_head, frozen_features, linear_head
from course_utils.training.run import groups_in
from data_scripts.experiments.engine import cells_and_folds

CALIBRATION = 128  # training pictures that the quantizer sees


@dataclass(frozen=True)
class Format:
    "How a file is made smaller, and how it is run."
    write: Callable         # (file, target, training pictures, facts) → writes target
    optimise: bool = True   # ONNX Runtime's own rewriting of the graph


def copied(file, target, images, facts): Path(target).write_bytes(Path(file).read_bytes())


def halved(file, target, images, facts): half_weights(file, target)


def static(**options):
    "Static quantization with these options."
    def write(file, target, images, facts): quantized(file, target, images, facts, **options)
    return write


def dynamic(file, target, images, facts):
    "Weights beforehand, the numbers in between picture by picture: the quantizer's simplest call."
    plain = Path(target).with_suffix('.plain')
    without_noted_shapes(file, plain)
    with quiet(): quantize_dynamic(plain, target)


per_channel = dict(per_channel=True, reduce_range=False, kinds=None)
NETWORK_FORMATS = {
    'float32': Format(copied),
    'weights of 16 bits': Format(halved),
    '8 bits, dynamic, defaults': Format(dynamic),
    '8 bits, static, defaults': Format(static(per_channel=False, reduce_range=False, kinds=None)),
    '8 bits, per channel': Format(static(**per_channel)),
    '8 bits, per channel, graph not optimised': Format(static(**per_channel), optimise=False),
    '8 bits, per channel, reduce_range': Format(static(kinds=None)),
    '8 bits, per channel, reduce_range, convolutions alone': Format(static()),
}


# ---- one fold ----

class Joined(nn.Module):
    "A body that is not trained, and a head that was."
    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body, self.head = body, head
        self.pretrained_cfg = body.pretrained_cfg

    def forward(self, x): return self.head(self.body.forward_head(self.body.forward_features(x), pre_logits=True))


def fold_network(body: nn.Module, features, labels, n_classes: int, seed: int) -> nn.Module:
    "The body with a linear head for the features `(N, n)` of a fold's training pictures."
    torch.manual_seed(seed)
    head = fit_head(linear_head(features.shape[1], n_classes), features, labels, epochs=20, seed=seed)
    return Joined(body, head)


def run_file(
    file,
    images,            # `(N, size, size, 3)` uint8
    facts: dict,
    optimise: bool,
) -> tuple[np.ndarray, float]:  # the class named for each, `(N,)`; seconds a picture, one at a time, one thread: the median
    "What a file says of the pictures."
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise: options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    named, seconds = [], []
    for image in images:
        x = network_input(image[None], facts)
        start = time.perf_counter()
        named.append(int(session.run(['logits'], {'pictures': x})[0].argmax()))
        seconds.append(time.perf_counter() - start)
    return np.array(named), float(np.median(seconds))


def measure_fold(network: nn.Module, pics: Pictures, train, held_out, work: Path) -> dict:  # format → numbers
    "The same network in every format, on the fold's held-out pictures."
    exported = export(network, pics, work)
    facts = dict(mean=network.pretrained_cfg['mean'], std=network.pretrained_cfg['std'])
    shown = np.asarray(pics.x[train[::-(-len(train) // CALIBRATION)]])
    images, labels = np.asarray(pics.x[held_out]), pics.y[held_out]
    numbers = {}
    for name, form in NETWORK_FORMATS.items():
        target = work/f'{len(numbers)}.onnx'
        form.write(exported['onnx'], target, shown, facts)
        named, seconds = run_file(target, images, facts, form.optimise)
        numbers[name] = dict(right=(named == labels).astype(int), seconds=seconds, bytes=target.stat().st_size)
    return numbers


# ---- all of them ----

def summarised(
    measured: list,     # for each fold what `measure_fold` gives
    folds: np.ndarray,  # `(N,)` the fold that holds each cell out
    groups,             # `(N,)` the modules, or None
) -> dict:              # format → a row of results
    "Accuracy, the difference from float32 with its interval over cells, modules and folds, size and seconds."
    def right_with(name):
        right = np.zeros(len(folds))
        for k, numbers in enumerate(measured): right[folds == k] = numbers[name]['right']
        return right

    plain = right_with('float32')
    rows = {}
    for name in NETWORK_FORMATS:
        right = right_with(name)
        low, high = differences_interval(right - plain, groups=groups, folds=folds)
        rows[name] = result_row(
            accuracy=float(right.mean()), by_fold=[float(numbers[name]['right'].mean()) for numbers in measured],
            loses=[float((right - plain).mean()), float(low), float(high)], pictures=len(right), folds=len(measured),
            bytes=int(np.mean([numbers[name]['bytes'] for numbers in measured])),
            milliseconds=round(1000 * float(np.median([numbers[name]['seconds'] for numbers in measured])), 2))
    return rows


def measure_formats(size: int, limit: int | None) -> dict:  # format → a row of results
    "Trains a head for each fold of whole modules, and tries every format on it."
    pics, folds = cells_and_folds(size, limit)
    body = create_model(LITE).eval()
    features, labels = frozen_features(body, pics, np.arange(len(pics)))
    body = body.to(memory_format=torch.contiguous_format)
    measured = []
    for k in np.unique(folds):
        train, held_out = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
        network = fold_network(body, features[train], labels[train], len(pics.classes), int(k))
        with tempfile.TemporaryDirectory() as work: measured.append(measure_fold(network, pics, train, held_out, Path(work)))
        words = ', '.join(f"{name} {numbers['right'].mean():.1%}" for name, numbers in measured[-1].items())
        print(f'Fold {k}: {words}.', flush=True)
    return summarised(measured, folds, groups_in(pics, np.arange(len(pics))))


def main(arguments: list | None=None):
    "Measures and writes the results of this kind of processor; at profile smoke nothing is written."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, help='side of the pictures, in pixels')
    options = parser.parse_args(arguments)
    settings = profile()
    size = options.size or settings.pick(smoke=32, cpu=96, gpu=224)
    rows = measure_formats(size, settings.pick(smoke=80, cpu=None))
    for row in rows.values(): row |= dict(size=size, split='module', library=f'ONNX Runtime {onnxruntime.__version__}')
    if settings.name == 'smoke': return rows
    results = FORMAT_RESULTS['with VNNI' if processor_has_vnni() else 'without VNNI']
    write_results(results, dict(runs=rows), sort=False)
    print(f'{len(rows)} formats measured, in results/{results}.json.')


if __name__ == '__main__': main()
