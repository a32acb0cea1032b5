"""A picture, a sentence and sliders: live in JupyterLab, and still moving on a published page that has no kernel."""
import cv2, numpy as np


class Canvas:
    "Empty axes, into which curves are drawn in about a millisecond."
    def __init__(self, xlim, ylim, xlabel, ylabel, xscale='linear', width=720, height=300):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        fig = Figure(figsize=(width/100, height/100), dpi=100, layout='constrained')
        agg, ax = FigureCanvasAgg(fig), fig.add_subplot()
        ax.set(xscale=xscale, xlim=xlim, ylim=ylim, xlabel=xlabel, ylabel=ylabel)
        agg.draw()
        self.blank, self.to_pixels = np.asarray(agg.buffer_rgba())[..., :3].copy(), ax.transData.transform
        x0, y0, x1, y1 = ax.get_window_extent().extents.round().astype(int)
        self.inside, self.origin = (slice(height - y1, height - y0), slice(x0, x1)), (x0, height - y1)

    def draw(self,
        lines=(),   # (x, y, colour `#rrggbb`, width in pixels); cut off at the edges of the axes
        marks=(),   # (x, colour, text): a vertical line, named at its top
    ) -> np.ndarray:  # picture `(height, width, 3)` uint8
        "The axes with these lines."
        out = self.blank.copy()
        view, rgb = out[self.inside], lambda c: tuple(int(c[k:k + 2], 16) for k in (1, 3, 5))
        def at(x, y):
            p = self.to_pixels(np.c_[np.asarray(x, float), np.asarray(y, float)])
            p = np.c_[p[:, 0], len(out) - p[:, 1]] - self.origin
            return np.round(p[np.isfinite(p).all(1)].clip(-5000, 5000) * 8).astype(np.int32)
        part = np.ascontiguousarray(view)
        for x, y, colour, width in lines: cv2.polylines(part, [at(x, y)[:, None]], False, rgb(colour), width, cv2.LINE_AA, 3)
        for k, (x, colour, text) in enumerate(marks):
            column = int(at([x], [1.])[0, 0] // 8)
            cv2.line(part, (column, 0), (column, len(part)), rgb(colour), 2)
            room = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, .42, 1)[0][0]
            cv2.putText(part, text, (min(column + 4, part.shape[1] - room - 2), 14 + 16 * k), cv2.FONT_HERSHEY_SIMPLEX, .42, rgb(colour), 1, cv2.LINE_AA)
        view[:] = part
        return out
