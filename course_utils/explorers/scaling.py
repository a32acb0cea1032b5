"""The slider of lesson 08: from the cheapest model to the dearest, what each costs and what it brings."""
import pandas as pd
from matplotlib.figure import Figure

from course_utils.config import CourseError
from course_utils.show.draw import figure_to_pixels
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import ORANGE, UNMARKED


def _panels(table, colour) -> tuple:  # picture `(H, W, 3)` uint8; (top, bottom) of each model's row in it, in pixels
    "Costs to the left and accuracies to the right, a row per model."
    rows = range(len(table))
    fig = Figure(figsize=(8.4, .8 + .36 * len(table)), dpi=100, layout='constrained')
    cost_ax, accuracy_ax = fig.subplots(1, 2, sharey=True)
    cost_ax.barh(rows, table.step_ms, color=colour)
    to_ends = [table.valid_accuracy - table.low, table.high - table.valid_accuracy]
    accuracy_ax.errorbar(table.valid_accuracy, rows, xerr=to_ends, fmt='o', color=colour, capsize=3)
    cost_ax.set(xlabel='ms of a training step, one picture')
    cost_ax.set(yticks=rows, yticklabels=table.index, ylim=(len(table) - .5, -.5))
    accuracy_ax.set(xlabel='valid accuracy, 95 % interval')
    picture = figure_to_pixels(fig)
    borders = [(0, row - .5) for row in range(len(table) + 1)]
    heights = cost_ax.transData.transform(borders)[:, 1]  # from the lower edge
    edges = [len(picture) - round(height) for height in heights]
    return picture, list(zip(edges, edges[1:]))


def scaling_explorer(
    table: pd.DataFrame,   # a row per model: `parameters`, `macs`, `saved_mb`, `forward_ms`, `step_ms`, `valid_accuracy`, `low`, `high`
    title: str='What a model costs, and what it brings',
) -> Explorer:
    "An explorer that goes through the models from the cheapest training step to the dearest. Everything shown was measured."
    if len(table) < 2: raise CourseError('There is one model in the table, but a slider needs at least two.')
    table = table.sort_values('step_ms').astype(float, errors='ignore')
    unmarked, places = _panels(table, UNMARKED)
    marked, _ = _panels(table, ORANGE)

    def draw(model):
        row = table.iloc[model]
        top, bottom = places[model]
        picture = unmarked.copy()
        picture[top:bottom] = marked[top:bottom]
        return picture, (
            f'{table.index[model]}: {row.parameters / 1e6:.2f} million parameters, {row.macs / 1e6:,.0f} million multiply-adds a picture, '
            f'{row.saved_mb:,.0f} MB saved for a batch, {row.forward_ms:.2f} ms forward and {row.step_ms:.2f} ms in a training step. '
            f'Valid accuracy {row.valid_accuracy:.1%} (95 % interval {row.low:.1%} to {row.high:.1%}).')

    slider = Slider('model', 'model, by its cost', 0, len(table) - 1, 1, 0)
    return Explorer(draw, [slider], title=title,
                    alt='Time of a training step and validation accuracy with its interval, a row for each model, one of them marked.')
