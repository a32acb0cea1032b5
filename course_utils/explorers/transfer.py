"""Start from a network that has seen a million other pictures: keep its body, give it a new head, then let all of it learn."""
import cv2

from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.transfer import map_sizes, map_words


def map_explorer(
    arch: str,
    x,           # a picture `(H, W, 3)` uint8
    sizes=(32, 320, 32),  # smallest, largest, step
    start: int=64, cell: int=128,
) -> Explorer:
    "An explorer of the sizes of feature maps: the picture as coarse as each stage's map is."
    def coarse(h, w): return cv2.resize(cv2.resize(x, (w, h), interpolation=cv2.INTER_AREA), (cell, cell), interpolation=cv2.INTER_NEAREST)
    def draw(size):
        maps = map_sizes(arch, size)
        return grid([coarse(size, size), *(coarse(h, w) for _, _, h, w in maps)], len(maps) + 1, [f'input {size}x{size}', *(f'{h}x{w}, {c} channels' for _, c, h, w in maps)], cell), map_words(arch, size)
    return Explorer(draw, [Slider('size', 'size of the input', *sizes, start)], title=f'Feature maps of {arch}',
                    alt='The picture as coarse as the input and the feature maps after each stage are.')
