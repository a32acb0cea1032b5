"""Pictures whose evidence is known, because it was painted: cracks at random places, and a mark that gives the class away.

What a network looks at can be checked against them: lesson 07."""
import cv2, numpy as np, pandas as pd

from course_utils.data.pictures import Pictures

DARK, LIGHT = 20, 235  # of the mark


def two_classes(pics: Pictures) -> Pictures:
    "Only the two classes with most training pictures."
    counts = np.bincount(pics.y[pics.train], minlength=len(pics.classes))
    labels = np.sort(np.argsort(-counts, kind='stable')[:2])
    part = pics.take(np.flatnonzero(np.isin(pics.y, labels)))
    table = part.table.assign(label=np.searchsorted(labels, part.y))
    classes = [pics.classes[label] for label in labels]
    return Pictures(pics.name, part.x, classes, table, pics.found, pics.notes)


# ---- a mark in the corner ----

def mark_mask(size: int) -> np.ndarray:  # bool `(size, size)`
    "Where `planted` puts its mark: a square in the lower right corner, an eighth of the side."
    mask = np.zeros((size, size), bool)
    side = size // 8
    mask[-side - 1:-1, -side - 1:-1] = True
    return mask


def planted(
    pics: Pictures,
    marked,  # bool `(N,)`: which pictures get the mark
) -> Pictures:
    "A copy with a light mark, framed dark, in the corner of some pictures."
    x = np.array(pics.x)
    mask = mark_mask(pics.size)
    neighbours = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), neighbours).astype(bool)
    marked = np.asarray(marked)[:, None, None]
    x[marked & mask] = DARK
    x[marked & inner] = LIGHT
    return Pictures(f'{pics.name} with a mark', x, pics.classes, pics.table, pics.found, pics.notes)


# ---- cracks ----

FINE = 4  # a crack is drawn at so many times the picture's size, and then scaled down


def draw_walk(
    canvas: np.ndarray,  # `(side, side)` uint8, drawn on in white
    start: np.ndarray,   # a point, x and y
    angle: float,
    n_steps: int,
    rng,                 # numpy's generator
) -> tuple[list, float]:  # the points of the line; the angle at its end
    "Draws a line whose direction wanders at every step."
    side = canvas.shape[0]
    points = [start]
    for _ in range(n_steps):
        angle += rng.normal(0, .45)
        direction = np.array([np.cos(angle), np.sin(angle)])
        points.append(points[-1] + side * .05 * direction)
    corners = np.round(points).astype(np.int32)[:, None]
    thickness = max(1, round(side / 64 * rng.uniform(.4, .9)))
    cv2.polylines(canvas, [corners], False, 255, thickness, cv2.LINE_AA)
    return points, angle


def paint_crack(
    x,    # a picture `(size, size, 3)` uint8
    rng,  # numpy's generator
) -> tuple[np.ndarray, np.ndarray]:  # the picture with a crack; bool `(size, size)`: where it was painted
    "Paints a thin dark line that wanders and may fork, at a random place."
    size = x.shape[0]
    side = size * FINE
    canvas = np.zeros((side, side), np.uint8)
    start = rng.uniform(.2, .8, 2) * size * FINE
    angle = rng.uniform(0, 2 * np.pi)
    n_steps = int(rng.integers(6, 12))
    points, angle = draw_walk(canvas, start, angle, n_steps, rng)
    if rng.random() < .5:
        fork = points[len(points) // 2]
        turn = rng.choice([-1, 1]) * rng.uniform(.5, 1.2)
        draw_walk(canvas, fork, angle + turn, int(rng.integers(3, 6)), rng)
    ink = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) / 255
    darkness = rng.uniform(.4, .8)
    darkened = x * (1 - darkness * ink[..., None])
    return darkened.astype(np.uint8), ink > .1


def grown(
    mask: np.ndarray,  # bool `(size, size)`
    radius: int,       # pixels
) -> np.ndarray:
    "A mask and all that lies within a radius of it."
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def crack_task(
    pics: Pictures,
    label: int = 0,  # the class whose pictures are painted on
    seed: int = 0,
) -> tuple[Pictures, np.ndarray]:  # classes 'clean' and 'cracked'; bool `(N, size, size)`: where the crack is, and as far around it as a sixteenth of the side
    "Every picture of one class twice, as it is and with a painted crack. Both stay on their side of the split."
    rng = np.random.default_rng(seed)
    idx = np.flatnonzero(pics.y == label)
    painted, cracks = zip(*(paint_crack(pics.x[i], rng) for i in idx))
    radius = max(pics.size // 16, 1)
    masks = [grown(crack, radius) for crack in cracks]
    rows = pics.table.iloc[idx]
    table = pd.concat([rows, rows], ignore_index=True)
    table['label'] = np.repeat([0, 1], len(idx))
    table['stratum'] = table.label.astype(str)
    x = np.concatenate([pics.x[idx], painted])
    task = Pictures(f'{pics.name} with painted cracks', x, ['clean', 'cracked'], table, pics.found, pics.notes)
    return task, np.concatenate([np.zeros_like(masks), masks])


# ---- a question that a turn answers otherwise ----

def sideways(pics: Pictures, seed: int = 0) -> Pictures:
    "The same pictures with another question: half of them, drawn at random, are turned by a quarter, and the label says which."
    labels = np.random.default_rng(seed).permutation(len(pics)) % 2
    classes = ['upright', 'sideways']
    images = np.array(pics.x)
    images[labels == 1] = np.rot90(images[labels == 1], axes=(1, 2))
    table = pics.table.assign(label=labels, stratum=[classes[label] for label in labels])
    return Pictures(f'{pics.name}, turned', images, classes, table, pics.found, pics.notes)
