"""What the layers of a network give out, as one picture: arrays in, an array out."""
import cv2, numpy as np

from course_utils.show.draw import grid, heat


def activation_grid(
    maps,           # arrays `(C, h, w)`: one layer's answer to each picture
    k: int=8,       # channels shown
    cell: int=96,   # side of one channel's map, in pixels
) -> tuple[np.ndarray, tuple, list]:  # the picture; lowest and highest value on its scale; the channels
    "One row for each of `maps`: the `k` channels that vary most over all of them, on one scale."
    variances = np.mean([m.var((1, 2)) for m in maps], 0)
    channels = np.argsort(-variances)[:k]
    low, high = np.percentile([m[channels] for m in maps], [1, 99])

    def enlarged(channel_map):
        coloured = heat(channel_map, low, high)
        return cv2.resize(coloured, (cell, cell), interpolation=cv2.INTER_NEAREST)

    cells = [enlarged(m[c]) for m in maps for c in channels]
    titles = [f'channel {c}' for c in channels] * len(maps)
    return grid(cells, k, titles, cell), (float(low), float(high)), channels.tolist()
