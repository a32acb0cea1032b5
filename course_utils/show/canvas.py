"""Axes that matplotlib draws once and OpenCV draws into: what an explorer needs to follow a slider that is dragged."""
import cv2, numpy as np
from matplotlib.figure import Figure

from course_utils.show.draw import FONT, figure_to_pixels, write
from course_utils.show.palette import rgb

SHIFT = 3       # OpenCV takes coordinates in eighths of a pixel: 2**SHIFT
FARTHEST = 5000 # pixels: lines that leave the axes are cut off there, long before the numbers overflow


class Canvas:
    "Empty axes, into which curves are drawn in about a millisecond."
    def __init__(self,
        xlim, ylim,                       # (left, right) and (bottom, top) of the axes
        xlabel: str, ylabel: str,
        xscale: str='linear',             # or `log`
        width: int=720, height: int=300,  # in pixels
    ):
        fig = Figure(figsize=(width/100, height/100), dpi=100, layout='constrained')
        ax = fig.add_subplot()
        ax.set(xscale=xscale, xlim=xlim, ylim=ylim, xlabel=xlabel, ylabel=ylabel)
        self.blank = figure_to_pixels(fig)
        self.to_pixels = ax.transData.transform  # data coordinates `(N, 2)` → pixels, counted from the lower left corner
        left, bottom, right, top = ax.get_window_extent().extents.round().astype(int)
        self.axes_area = slice(height - top, height - bottom), slice(left, right)  # rows and columns of `blank`
        self.corner = left, height - top

    def _points(self, x, y) -> np.ndarray:  # `(N, 2)` int32, in eighths of a pixel from the axes' upper left corner
        "Data coordinates as OpenCV wants them; what is no number is left out."
        data = np.c_[np.asarray(x, float), np.asarray(y, float)]
        columns, heights = self.to_pixels(data).T
        points = np.c_[columns, len(self.blank) - heights] - self.corner
        finite = points[np.isfinite(points).all(1)]
        return np.round(finite.clip(-FARTHEST, FARTHEST) * 2**SHIFT).astype(np.int32)

    def _draw_mark(self, axes, row, x, colour, text):
        "A vertical line, named beside its top; each `row` a line lower, so that names do not cover each other."
        column = int(self._points([x], [1.])[0, 0] // 2**SHIFT)
        cv2.line(axes, (column, 0), (column, len(axes)), rgb(colour), 2)
        text_width = cv2.getTextSize(text, FONT, .42, 1)[0][0]
        text_left = min(column + 4, axes.shape[1] - text_width - 2)
        write(axes, text, (text_left, 14 + 16 * row), colour)

    def draw(self,
        lines=(),   # (x, y, colour `#rrggbb`, width in pixels); cut off at the edges of the axes
        marks=(),   # (x, colour, text): a vertical line, named at its top
    ) -> np.ndarray:  # picture `(height, width, 3)` uint8
        "The axes with these lines."
        picture = self.blank.copy()
        axes = np.ascontiguousarray(picture[self.axes_area])
        for x, y, colour, width in lines:
            points = self._points(x, y)
            cv2.polylines(axes, [points[:, None]], False, rgb(colour), width, cv2.LINE_AA, SHIFT)
        for row, (x, colour, text) in enumerate(marks): self._draw_mark(axes, row, x, colour, text)
        picture[self.axes_area] = axes
        return picture
