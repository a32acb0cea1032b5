"""Arrays in, arrays out: pictures laid out in a grid, numbers as colours, text in a picture, a matplotlib figure as pixels."""
import cv2, matplotlib.pyplot as plt, numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_utils.show.palette import CYCLE, FIGURE_STYLE, INK, ORANGE, rgb

# Every figure of the course gets this style, whichever module makes it: all of them import from here.
plt.rcParams.update(FIGURE_STYLE)
plt.rcParams['axes.prop_cycle'] = plt.cycler(color=CYCLE)

FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 4     # pixels between the cells of a grid
STRIP = 18  # pixels for a title under a cell


def write(
    picture,            # `(H, W, 3)` uint8; it is written into
    text: str,
    corner: tuple,      # (x, y) of the text's lower left corner
    colour: str=INK,    # `#rrggbb`
    scale: float=.42,   # of the font: .42 is about 9 pixels high
):
    "Writes into a picture."
    cv2.putText(picture, text, corner, FONT, scale, rgb(colour), 1, cv2.LINE_AA)


def resize(
    picture,    # `(H, W, 3)` uint8
    side: int,  # in pixels
) -> np.ndarray:  # `(side, side, 3)` uint8
    "The picture as a square of another size."
    method = cv2.INTER_LANCZOS4 if side > picture.shape[0] else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=method)


def grid(
    pictures,        # `(H, W, 3)` uint8 each, of one size
    columns: int=8,
    titles=(),       # a line under each
    cell: int=96,    # side at which each is shown, in pixels
) -> np.ndarray:     # one picture, uint8
    "Lays pictures out in rows. NumPy and a bitmap font: some forty times faster than a grid of matplotlib axes."
    n_rows = -(-len(pictures) // columns)
    strip = STRIP if len(titles) else 0
    height = cell + strip + GAP
    width = cell + GAP
    sheet = np.full((n_rows * height, columns * width, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        row, column = divmod(k, columns)
        top = row * height
        left = column * width
        sheet[top:top + cell, left:left + cell] = resize(picture, cell)
        title = titles[k] if len(titles) else ''
        if title: write(sheet, str(title), (left + 1, top + cell + 13), scale=.37)
    return sheet


def heat(
    values,       # `(h, w)` numbers
    low: float,   # shown dark blue, and all below it
    high: float,  # shown yellow, and all above it
) -> np.ndarray:  # `(h, w, 3)` uint8
    "A map of numbers as a picture, in a scale that colour-blind readers can read (cividis)."
    share = (np.asarray(values) - low) / max(high - low, 1e-9)
    levels = (255 * share).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)[..., ::-1]


def figure_to_pixels(
    fig,  # a matplotlib figure, by pyplot or not; it is closed
) -> np.ndarray:  # `(H, W, 3)` uint8
    "A matplotlib figure as a picture."
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    plt.close(fig)
    return pixels


def add_border(
    picture,            # `(H, W, 3)` uint8, with sides alike
    colour: str=ORANGE, # `#rrggbb`
) -> np.ndarray:        # as large: the border covers the picture's edge
    "A copy with a border, so that it stands out in a grid."
    bordered = np.empty_like(picture)
    width = max(2, len(picture) // 12)
    bordered[:] = rgb(colour)
    bordered[width:-width, width:-width] = picture[width:-width, width:-width]
    return bordered


def fade(picture) -> np.ndarray:  # `(H, W, 3)` uint8
    "The picture in a quarter of its contrast on nearly white: it is there, and does not count yet."
    return (picture * .25 + 191).astype(np.uint8)
