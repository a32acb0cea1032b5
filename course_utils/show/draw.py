"""Real photographs, read once, resized once, and kept in memory as bytes."""
import cv2, numpy as np


def grid(
    pictures,        # `(H, W, 3)` uint8 each, of one size
    columns: int=8,
    titles=(),       # a line under each
    cell: int=96,    # side at which each is shown, in pixels
) -> np.ndarray:     # one picture, uint8
    "Lays pictures out in rows. NumPy and a bitmap font: some forty times faster than a grid of matplotlib axes."
    rows, strip = -(-len(pictures) // columns), 18 if len(titles) else 0
    out = np.full((rows * (cell + strip + 4), columns * (cell + 4), 3), 255, np.uint8)
    for i, x in enumerate(pictures):
        r, c = divmod(i, columns)
        y0, x0 = r * (cell + strip + 4), c * (cell + 4)
        out[y0:y0 + cell, x0:x0 + cell] = cv2.resize(np.ascontiguousarray(x), (cell, cell), interpolation=cv2.INTER_LANCZOS4 if cell > x.shape[0] else cv2.INTER_AREA)
        if len(titles) and titles[i]: cv2.putText(out, str(titles[i]), (x0 + 1, y0 + cell + 13), cv2.FONT_HERSHEY_SIMPLEX, .37, (40, 40, 40), 1, cv2.LINE_AA)
    return out


def heat(a, low, high) -> np.ndarray:  # `(h, w, 3)` uint8
    "A map of numbers as a picture, dark blue at `low`, yellow at `high` (cividis, which colour-blind readers can read)."
    grey = (255 * (np.asarray(a) - low) / max(high - low, 1e-9)).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS)[..., ::-1]
