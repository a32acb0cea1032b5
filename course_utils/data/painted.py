"""Where in the picture does the evidence lie? A map, a number for how right the map is, and a shortcut that accuracy hides."""
import cv2, numpy as np, pandas as pd

from course_utils.data.pictures import Pictures


def two_classes(pics: Pictures) -> Pictures:
    "Only the two classes with most training pictures."
    two = np.sort(np.argsort(-np.bincount(pics.y[pics.train], minlength=len(pics.classes)), kind='stable')[:2])
    part = pics.take(np.flatnonzero(np.isin(pics.y, two)))
    return Pictures(pics.name, part.x, [pics.classes[k] for k in two], part.table.assign(label=np.searchsorted(two, part.y)), pics.found)


def mark_mask(size: int) -> np.ndarray:  # bool `(size, size)`
    "Where `planted` puts its mark: a square in the lower right corner, an eighth of the side."
    out, k = np.zeros((size, size), bool), size // 8
    out[-k - 1:-1, -k - 1:-1] = True
    return out


def planted(
    pics: Pictures,
    where,  # bool `(N,)`: which pictures get the mark
) -> Pictures:
    "A copy with a light mark, framed dark, in the corner of some pictures."
    x, mask = np.array(pics.x), mark_mask(pics.size)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    x[np.asarray(where)[:, None, None] & mask] = 20
    x[np.asarray(where)[:, None, None] & inner] = 235
    return Pictures(f'{pics.name} with a mark', x, pics.classes, pics.table, pics.found)


def paint_crack(
    x,    # a picture `(size, size, 3)` uint8
    rng,  # numpy's generator
) -> tuple[np.ndarray, np.ndarray]:  # the picture with a crack; bool `(size, size)`: where it was painted
    "Paints a thin dark line that wanders and may fork, at a random place."
    size, fine = x.shape[0], 4
    line = np.zeros((size * fine, size * fine), np.uint8)
    def walk(at, angle, steps):
        points = [at]
        for _ in range(steps):
            angle += rng.normal(0, .45)
            points.append(points[-1] + size * fine * .05 * np.array([np.cos(angle), np.sin(angle)]))
        cv2.polylines(line, [np.round(points).astype(np.int32)[:, None]], False, 255, max(1, round(fine * size / 64 * rng.uniform(.4, .9))), cv2.LINE_AA)
        return points, angle
    points, angle = walk(rng.uniform(.2, .8, 2) * size * fine, rng.uniform(0, 2 * np.pi), int(rng.integers(6, 12)))
    if rng.random() < .5: walk(points[len(points) // 2], angle + rng.choice([-1, 1]) * rng.uniform(.5, 1.2), int(rng.integers(3, 6)))
    ink = cv2.resize(line, (size, size), interpolation=cv2.INTER_AREA) / 255
    return (x * (1 - rng.uniform(.4, .8) * ink[..., None])).astype(np.uint8), ink > .1


def crack_task(
    pics: Pictures,
    of: int=0,     # the class whose pictures are painted on
    seed: int=0,
) -> tuple[Pictures, np.ndarray]:  # classes 'clean' and 'cracked'; bool `(N, size, size)`: where the crack is, and as far around it as a sixteenth of the side
    "Every picture of one class twice, as it is and with a painted crack. Both stay on their side of the split."
    rng, idx = np.random.default_rng(seed), np.flatnonzero(pics.y == of)
    painted, masks = zip(*(paint_crack(pics.x[i], rng) for i in idx))
    r = max(pics.size // 16, 1)
    near = [cv2.dilate(m.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))).astype(bool) for m in masks]
    t = pd.concat([pics.table.iloc[idx]] * 2, ignore_index=True)
    t['label'] = np.repeat([0, 1], len(idx))
    t['stratum'] = t.label.astype(str)
    return Pictures(f'{pics.name} with painted cracks', np.concatenate([pics.x[idx], painted]), ['clean', 'cracked'], t, pics.found), np.concatenate([np.zeros_like(near), near])
