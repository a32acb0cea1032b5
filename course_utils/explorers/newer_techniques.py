"""What lesson 13 shows of mixed pictures and of changes at random: sliders for the share and for the strength."""
import numpy as np, torch

from course_utils.data.pictures import Pictures
from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.newer_techniques import box, mix, paste
from course_utils.techniques.trivial_augment import OPERATIONS, operated


def contrasting_pair(pics: Pictures) -> tuple:  # of two places
    "A training picture of the first class and one of the last: those with the most contrast, where there is most to see."
    labels = pics.y[pics.train]
    chosen = []
    for label in (labels.min(), labels.max()):
        places = pics.train[labels == label][:200]
        contrast = np.asarray(pics.x[places]).std((1, 2, 3))
        chosen.append(places[contrast.argmax()])
    return tuple(chosen)


def mixed_pictures(
    first, second,  # `(H, W, 3)` uint8
    share: float,   # of the first, 0…1
) -> tuple:         # the two mixed by mixup and by CutMix, uint8; the share of the first that CutMix has left
    "One share, two ways to mix."
    size = first.shape[0]
    pair = to_batch(first), to_batch(second)
    pasted, left = paste(*pair, box(size, share, (size // 2, size // 2)))
    return to_image(mix(*pair, share)), to_image(pasted), left


def to_batch(image) -> torch.Tensor:  # `(1, 3, H, W)`
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()


def to_image(x: torch.Tensor) -> np.ndarray:  # `(H, W, 3)` uint8
    return x[0].permute(1, 2, 0).round().byte().numpy()


def mixing_explorer(
    pics: Pictures,
    cell: int = 150,  # side of a picture, in pixels
) -> Explorer:
    "A slider for the share of the first picture: what mixup and CutMix make of two, and the labels."
    places = contrasting_pair(pics)
    first, second = (np.asarray(pics.x[place]) for place in places)
    names = [pics.classes[pics.y[place]] for place in places]

    def label(share): return f'{names[0]} {share:.2f}, {names[1]} {1 - share:.2f}'

    def draw(share):
        mixed, pasted, left = mixed_pictures(first, second, share)
        titles = [names[0], names[1], f'mixup {share:.2f}', f'CutMix {left:.2f}']
        picture = grid([first, second, mixed, pasted], 4, titles, cell)
        return picture, f'Label by mixup: {label(share)}. Label by CutMix, from the pixels that are left: {label(left)}.'

    slider = Slider('share', 'share of the first picture', 0, 1, .05, .7)
    return Explorer(draw, [slider], title='Two pictures in one',
                    alt='Two pictures of two classes, then both mixed by mixup and by CutMix.')


def changes_explorer(
    x: np.ndarray,   # a picture `(H, W, 3)` uint8
    cell: int = 92,  # side of a picture, in pixels
) -> Explorer:
    "A slider for the strength: every operation of TrivialAugment on one picture."
    def draw(share):
        images = [operated(x, name, share) for name in OPERATIONS]
        picture = grid(images, 7, list(OPERATIONS), cell)
        return picture, f'At {share:.0%} of its range each. TrivialAugment draws one of the {len(images)} and its strength, for each picture anew.'

    slider = Slider('share', 'strength', 0, 1, .1, .5)
    return Explorer(draw, [slider], title='One change a picture',
                    alt=f"One picture after each of these changes: {', '.join(OPERATIONS)}.")
