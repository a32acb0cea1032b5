"""Where in the picture does the evidence lie? A map, a number for how right the map is, and a shortcut that accuracy hides."""
import numpy as np

from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.gradcam import map_grid


def maps_explorer(
    x,             # pictures `(N, size, size, 3)` uint8
    maps: dict,    # name → maps `(N, size, size)`
    label: str,    # of the slider
    words: dict,   # name → what to say about it
    title: str, cell: int=96,
) -> Explorer:
    "The same pictures' maps, from layer to layer or from model to model. Within one position of the slider all maps share one scale."
    names = list(maps)
    def draw(k):
        return map_grid(x, maps[names[k]], cell=cell), f'{names[k]}: {words[names[k]]} Scale from 0 to {np.max(maps[names[k]]):.3g}.'
    return Explorer(draw, [Slider('k', label, 0, len(names) - 1, 1, len(names) - 1)], title=title, alt=f'{len(x)} pictures, and below each where the evidence lies, dark for none and yellow for most.')
