"""Deep features of all solar cells, with larger pictures and more views: what each buys, and what it costs."""
import time

import numpy as np

from course_utils.data.pictures import Pictures, load_pictures
from course_utils.models import create_model
from course_utils.show.words import plural
from course_utils.techniques.deep_features import deep_features, fit_linear_head
from data_scripts.experiments.bench.timing import bench_row
from data_scripts.experiments.engine import N_FOLDS, pick


def held_out_hits(
    features: np.ndarray,  # `(N, F)`, of all pictures
    pics: Pictures,        # one fold of them held out
) -> np.ndarray:           # bool, of those that are held out
    "Does a linear head, fitted on the other folds, name them right?"
    head = fit_linear_head(features[pics.train], pics.y[pics.train], len(pics.classes))
    return head.logits(features[pics.valid]).argmax(1) == pics.y[pics.valid]


def features() -> dict:
    """One pass over all cells and four heads, so that each cell is held out once. Cells are drawn at random, as the papers draw
    them; which fold a cell falls into moves the accuracy by half a point, so the folds are drawn three times."""
    limit = pick(smoke=160, cpu=None)
    seconds, accuracy = {}, {}
    for size in pick(smoke=(32, 64), cpu=(128, 224)):
        for views in pick(smoke=(1, 8), cpu=(1, 2, 4, 8)):
            def fold(k: int, draw: int) -> Pictures:
                return load_pictures('solar', size=size, limit=limit, fold=k, folds=N_FOLDS, seed=draw, split='random')
            name = f"{size} px, {plural(views, 'view')}"
            start = time.perf_counter()
            seen = deep_features(create_model('tf_efficientnet_lite0'), fold(0, draw=0), views, cache=False)
            pass_seconds = time.perf_counter() - start
            for draw in range(pick(smoke=1, cpu=3)):
                start = time.perf_counter()
                hits = [held_out_hits(seen, fold(k, draw)) for k in range(N_FOLDS)]
                seconds.setdefault(name, []).append(pass_seconds + time.perf_counter() - start)
                accuracy.setdefault(name, []).append(round(float(np.concatenate(hits).mean()), 4))
    return bench_row(seconds, 'solar: seconds of a pass and four heads', accuracy=accuracy)
