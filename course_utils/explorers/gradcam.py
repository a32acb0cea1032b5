"""The slider of lesson 07: where the evidence lies, from layer to layer or from model to model."""
import numpy as np

from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.gradcam import map_grid


def maps_explorer(
    x,             # pictures `(N, size, size, 3)` uint8
    maps: dict,    # name → maps `(N, size, size)`
    label: str,    # of the slider
    words: dict,   # name → what to say about it
    title: str,
    cell: int=96,  # side of one picture, in pixels
) -> Explorer:
    "The same pictures' maps, from layer to layer or from model to model. Within one position of the slider all maps share one scale."
    names = list(maps)
    last = len(names) - 1

    def draw(k):
        name = names[k]
        top = np.max(maps[name])
        return map_grid(x, maps[name], cell=cell), f'{name}: {words[name]} Scale from 0 to {top:.3g}.'

    return Explorer(draw, [Slider('k', label, 0, last, 1, last)], title=title,
                    alt=f'{len(x)} pictures, and below each where the evidence lies, dark for none and yellow for most.')
