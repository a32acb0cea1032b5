"""Can probabilities be believed? Reliability, ECE, Brier score and temperature scaling, for lesson 06.

`probs` is `(N, C)` and `targets` the labels `(N,)` throughout. The negative log-likelihood is `training.run.cross_entropy`."""
import numpy as np, pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from course_utils.data.split import stratified_split
from course_utils.training.run import cross_entropy


def bin_of(
    confidence,  # `(N,)`
    bins: int,
) -> np.ndarray:  # `(N,)`, 0 … bins − 1
    "Where each picture belongs. Bins are open on the left and closed on the right."
    number = np.ceil(confidence * bins).astype(int) - 1
    return number.clip(0, bins - 1)


def reliability(probs, targets, bins: int=15) -> pd.DataFrame:  # a row for each bin that is not empty
    "Number of pictures, mean confidence and share that is right, for bins of confidence of equal width."
    probs = np.asarray(probs, float)
    confidence = probs.max(1)
    right = (probs.argmax(1) == targets).astype(float)
    pictures = pd.DataFrame(dict(confidence=confidence, accuracy=right, bin=bin_of(confidence, bins)))
    groups = pictures.groupby('bin')
    table = groups.mean().assign(n=groups.size())
    return table.assign(low=table.index / bins, high=(table.index + 1) / bins)


def mean_gap(
    right,       # `(N,)`: is the picture named right?
    confidence,  # `(N,)`
    bins: int,
) -> float:
    "The mean over pictures of their bin's gap between confidence and share that is right."
    gaps = np.bincount(bin_of(confidence, bins), right - confidence, bins)
    return np.abs(gaps).sum() / len(confidence)


def ece(probs, targets, bins: int=15) -> float:
    "Expected calibration error, 0…1: the mean over pictures of their bin's gap (Guo et al. 2017, arXiv 1706.04599)."
    probs = np.asarray(probs, float)
    return float(mean_gap(probs.argmax(1) == targets, probs.max(1), bins))


def ece_by_chance(
    probs,
    bins: int=15,
    n: int=200,  # draws
    seed: int=0,
) -> tuple[float, float]:  # the mean, and what 95 of 100 stay under
    """The ECE that a perfectly calibrated network with these confidences would show on so many pictures: it is never
    zero."""
    rng = np.random.default_rng(seed)
    confidence = np.asarray(probs, float).max(1)
    gaps = []
    for _ in range(n):
        right = rng.random(len(confidence)) < confidence
        gaps.append(mean_gap(right, confidence, bins))
    return float(np.mean(gaps)), float(np.quantile(gaps, .95))


def brier(probs, targets) -> np.ndarray:  # `(N,)`, 0…2
    """Squared distance of each picture's probabilities from the truth, summed over classes (Brier 1950). The mean is
    scikit-learn's `brier_score_loss`, which has no number for each picture."""
    probs = np.asarray(probs, float)
    truth = np.eye(probs.shape[1])[targets]
    return ((probs - truth)**2).sum(1)


def scores(probs, targets, bins: int=15) -> dict:
    """Accuracy, mean confidence, NLL, Brier score and ECE, with the ECE that chance alone would give at most, 95 times in
    100."""
    probs = np.asarray(probs, float)
    return dict(
        accuracy=float((probs.argmax(1) == targets).mean()),
        confidence=float(probs.max(1).mean()),
        nll=float(cross_entropy(probs, targets).mean()),
        brier=float(brier(probs, targets).mean()),
        ece=ece(probs, targets, bins),
        ece_by_chance=ece_by_chance(probs, bins)[1],
    )


def temperature(logits, targets) -> float:  # 0.05…20; above 1 where the network is too sure
    "The number that logits `(N, C)` are divided by for the lowest NLL (Guo et al. 2017, arXiv 1706.04599)."
    logits = np.asarray(logits, float)
    rows = np.arange(len(targets))

    def loss(log_t):
        log_p = log_softmax(logits / np.exp(log_t), axis=1)
        return -log_p[rows, targets].mean()

    limits = (-np.log(20), np.log(20))
    lowest = minimize_scalar(loss, bounds=limits, method='bounded').x
    return float(np.exp(lowest))


def temper(
    logits,   # `(N, C)`
    targets,
    seed: int=0,
) -> tuple[np.ndarray, tuple]:  # probabilities `(N, C)`; the two temperatures
    "Temperature scaling without looking: each half of the pictures is divided by the temperature of the other half."
    logits = np.asarray(logits, float)
    half = stratified_split(targets, .5, seed)
    first = temperature(logits[half], targets[half])
    second = temperature(logits[~half], targets[~half])
    probs = np.empty_like(logits)
    probs[~half] = softmax(logits[~half] / first, axis=1)
    probs[half] = softmax(logits[half] / second, axis=1)
    return probs, (first, second)
