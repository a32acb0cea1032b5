"""Deeper, wider, larger pictures, more of them: what does each cost, what does each bring, and which is the smallest model that is good enough?"""
import numpy as np, pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_utils.config import CourseError
from course_utils.show.explorer import Explorer, Slider


def _panels(t, colour):
    "Costs and accuracies, a row per model, and where on the picture each row begins and ends."
    fig = Figure(figsize=(8.4, .8 + .36 * len(t)), dpi=100, layout='constrained')
    canvas, (left, right) = FigureCanvasAgg(fig), fig.subplots(1, 2, sharey=True)
    left.barh(range(len(t)), t.step_ms, color=colour)
    ends = [t.valid_accuracy - t.low, t.high - t.valid_accuracy]
    right.errorbar(t.valid_accuracy, range(len(t)), xerr=ends, fmt='o', color=colour, capsize=3)
    left.set(xlabel='ms of a training step, one picture', yticks=range(len(t)), yticklabels=t.index, ylim=(len(t) - .5, -.5))
    right.set(xlabel='valid accuracy, 95 % interval')
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    edges = [len(picture) - round(left.transData.transform((0, k - .5))[1]) for k in range(len(t) + 1)]
    return picture, list(zip(edges, edges[1:]))


def scaling_explorer(
    table: pd.DataFrame,   # a row per model: `parameters`, `macs`, `saved_mb`, `forward_ms`, `step_ms`, `valid_accuracy`, `low`, `high`
    title: str='What a model costs, and what it brings',
) -> Explorer:
    "An explorer that goes through the models from the cheapest training step to the dearest. Everything shown was measured."
    if len(table) < 2: raise CourseError('There is one model in the table, but a slider needs at least two.')
    t = table.sort_values('step_ms').astype(float, errors='ignore')
    (plain, rows), (marked, _) = _panels(t, '#9a9a9a'), _panels(t, '#D55E00')
    def draw(model):
        r, (top, bottom), picture = t.iloc[model], rows[model], plain.copy()
        picture[top:bottom] = marked[top:bottom]
        return picture, (f'{t.index[model]}: {r.parameters / 1e6:.2f} million parameters, {r.macs / 1e6:,.0f} million multiply-adds a picture, '
                         f'{r.saved_mb:,.0f} MB saved for a batch, {r.forward_ms:.2f} ms forward and {r.step_ms:.2f} ms in a training step. '
                         f'Valid accuracy {r.valid_accuracy:.1%} (95 % interval {r.low:.1%} to {r.high:.1%}).')
    return Explorer(draw, [Slider('model', 'model, by its cost', 0, len(t) - 1, 1, 0)], title=title,
                    alt='Time of a training step and validation accuracy with its interval, a row for each model, one of them marked.')
