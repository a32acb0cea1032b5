"""The slider of lesson 02: how coarse the feature maps are after each stage of a network, for an input of some size."""
import cv2

from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.transfer import map_sizes, map_words


def map_explorer(
    arch: str,
    x,                    # a picture `(H, W, 3)` uint8
    sizes=(32, 320, 32),  # smallest, largest, step
    start: int=64,        # where the slider begins
    cell: int=128,        # side at which each is shown, in pixels
) -> Explorer:
    "An explorer of the sizes of feature maps: the picture as coarse as each stage's map is."
    def coarse(height, width):
        small = cv2.resize(x, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (cell, cell), interpolation=cv2.INTER_NEAREST)

    def draw(size):
        pictures = [coarse(size, size)]
        titles = [f'input {size}x{size}']
        for _, channels, height, width in map_sizes(arch, size):
            pictures.append(coarse(height, width))
            titles.append(f'{height}x{width}, {channels} channels')
        return grid(pictures, len(pictures), titles, cell), map_words(arch, size)

    return Explorer(draw, [Slider('size', 'size of the input', *sizes, start)], title=f'Feature maps of {arch}',
                    alt='The picture as coarse as the input and the feature maps after each stage are.')
