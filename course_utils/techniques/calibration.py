"""Ask the network about several views of the same picture, and average its answers."""
import numpy as np, pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from course_utils.data.split import stratified_split


def nll(probs, targets) -> np.ndarray:  # `(N,)`
    "Negative log-likelihood of each picture: minus the log of the true class's probability."
    return -np.log(np.asarray(probs)[np.arange(len(targets)), targets].clip(1e-12))


def _binned(probs, targets, bins):
    probs = np.asarray(probs, float)
    sure = probs.max(1)
    return sure, probs.argmax(1) == targets, (np.ceil(sure * bins).astype(int) - 1).clip(0, bins - 1)


def reliability(probs, targets, bins: int=15) -> pd.DataFrame:  # a row for each bin that is not empty
    "Number of pictures, mean confidence and share that is right, for bins of confidence of equal width."
    sure, hit, place = _binned(probs, targets, bins)
    t = pd.DataFrame(dict(confidence=sure, accuracy=hit.astype(float), bin=place)).groupby('bin')
    return t.mean().assign(n=t.size(), low=lambda t: t.index / bins, high=lambda t: (t.index + 1) / bins)


def ece(probs, targets, bins: int=15) -> float:
    "Expected calibration error, 0…1: the mean over pictures of their bin's gap (Guo et al. 2017, arXiv 1706.04599)."
    sure, hit, place = _binned(probs, targets, bins)
    return float(np.abs(np.bincount(place, hit - sure, bins)).sum() / len(sure))


def ece_by_chance(probs, bins: int=15, n: int=200, seed: int=0) -> tuple[float, float]:  # the mean, and what 95 of 100 stay under
    "The ECE that a perfectly calibrated network with these confidences would show on so many pictures: it is never nought."
    rng, sure = np.random.default_rng(seed), np.asarray(probs, float).max(1)
    place = (np.ceil(sure * bins).astype(int) - 1).clip(0, bins - 1)
    drawn = [np.abs(np.bincount(place, (rng.random(len(sure)) < sure) - sure, bins)).sum() / len(sure) for _ in range(n)]
    return float(np.mean(drawn)), float(np.quantile(drawn, .95))


def brier(probs, targets) -> np.ndarray:  # `(N,)`, 0…2
    "Squared distance of each picture's probabilities from the truth, summed over classes (Brier 1950)."
    probs = np.asarray(probs, float)
    return ((probs - np.eye(probs.shape[1])[targets])**2).sum(1)


def scores(probs, targets, bins: int=15) -> dict:
    "Accuracy, mean confidence, NLL, Brier score and ECE, with the ECE that chance alone would give at most, 95 times in 100."
    probs = np.asarray(probs, float)
    return dict(accuracy=float((probs.argmax(1) == targets).mean()), confidence=float(probs.max(1).mean()), nll=float(nll(probs, targets).mean()),
                brier=float(brier(probs, targets).mean()), ece=ece(probs, targets, bins), ece_by_chance=ece_by_chance(probs, bins)[1])


def temperature(logits, targets) -> float:  # 0.05…20; above 1 where the network is too sure
    "The number that logits `(N, C)` are divided by for the lowest NLL (Guo et al. 2017, arXiv 1706.04599)."
    logits, rows = np.asarray(logits, float), np.arange(len(targets))
    loss = lambda log_t: -log_softmax(logits / np.exp(log_t), axis=1)[rows, targets].mean()
    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method='bounded').x))


def temper(logits, targets, seed: int=0) -> tuple[np.ndarray, tuple]:  # probabilities `(N, C)`; the two temperatures
    "Temperature scaling without looking: each half of the pictures is divided by the temperature of the other half."
    logits, half = np.asarray(logits, float), stratified_split(targets, .5, seed)
    out, ts = np.empty_like(logits), []
    for fit, use in ((half, ~half), (~half, half)):
        ts.append(temperature(logits[fit], targets[fit]))
        out[use] = softmax(logits[use] / ts[-1], axis=1)
    return out, tuple(ts)
