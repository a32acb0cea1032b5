"""What came out of comparisons, in sentences: what helped, what hurt, and what made no difference that can be seen."""
from collections.abc import Callable

import pandas as pd

from course_utils.report.stats import verdict

OUTCOMES = {  # what came out → how a sentence begins
    'helps': 'Better',
    'mixed': 'Better in one, worse in the other of accuracy and loss',
    'hurts': 'Worse',
    'not clear': 'No clear difference',
}
COMPARED = {  # what came out → in the middle of a sentence, before what it is compared with
    'helps': 'better than',
    'mixed': 'partly better than',
    'hurts': 'worse than',
    'not clear': 'not clearly other than',
}


def outcome(
    row,      # of `gains`
) -> str:     # one of `OUTCOMES`
    "What the intervals of accuracy and loss say together: one that is clear decides, two that disagree are mixed."
    in_accuracy = verdict(row.low, row.high)
    in_loss = verdict(-row.loss_high, -row.loss_low)
    words = {in_accuracy, in_loss}
    if words == {'better', 'worse'}: return 'mixed'
    if 'better' in words: return 'helps'
    return 'hurts' if 'worse' in words else 'not clear'


def change_in_words(
    row,      # of `gains`
) -> str:
    "'accuracy +1.0% (+0.2% to +1.8%), loss −0.050 (−0.070 to −0.030)'."
    return f'accuracy {gain_in_words(row)}, loss {loss_in_words(row)}'


def gain_in_words(row) -> str: return f'{row.gain:+.1%} ({row.low:+.1%} to {row.high:+.1%})'


def loss_in_words(row) -> str: return f'{row.loss_change:+.3f} ({row.loss_low:+.3f} to {row.loss_high:+.3f})'


def with_intervals(
    table: pd.DataFrame,  # of `gains`
) -> pd.DataFrame:        # the same rows; `gain` and `loss_change` are texts with their intervals
    "A change and its bounds in one cell. Six columns of numbers have no room on a narrow page."
    rows = [row for _, row in table.iterrows()]
    changes = dict(
        gain=list(map(gain_in_words, rows)),
        loss_change=list(map(loss_in_words, rows)),
    )
    return table.assign(**changes).drop(columns=['low', 'high', 'loss_low', 'loss_high'])


def choice_in_words(
    n_settings: int,  # the best is one of so many
) -> str:             # to be added to a sentence without a full stop; empty where there was nothing to choose
    "What a reader must know of the numbers of the best setting: the pictures that chose it judged it, too."
    if n_settings < 2: return ''
    return f'; it was chosen as the lowest loss of {n_settings} on these same pictures, so its numbers look a little too good'


def outcomes_in_words(
    table: pd.DataFrame,  # of `gains`, a row a setting
) -> str:                 # a sentence for each outcome that there is; empty for an empty table
    "Which settings helped, which hurt and which made no clear difference, the highest accuracy first."
    sentences = []
    found = [outcome(row) for _, row in table.iterrows()]
    for kind, beginning in OUTCOMES.items():
        rows = table[[word == kind for word in found]]
        if rows.empty: continue
        ordered = rows.sort_values('gain', ascending=False)
        changes = [f'{name}, {change_in_words(row)}' for name, row in ordered.iterrows()]
        sentences.append(f"{beginning}: {'; '.join(changes)}.")
    return ' '.join(sentences)


def outcomes_by(
    table: pd.DataFrame,  # of `gains`, with two levels of settings; empty is as good
    level: str,           # of these, each value of which is told for itself
    heading: Callable,    # value → how what is told of it begins
) -> list:                # of texts, in the order of the table
    "What came out for each value of a level."
    if table.empty: return []
    groups = table.groupby(level=level, sort=False)
    return [f'{heading(value)}. {outcomes_in_words(rows.droplevel(level))}' for value, rows in groups]


def counted_outcomes(
    table: pd.DataFrame,  # of `gains`, a row a setting
) -> str:                 # '2 helped, 1 not clear'; empty for an empty table
    "How many settings came out in which way."
    words = dict(helps='helped', mixed='did both', hurts='hurt') | {'not clear': 'not clear'}
    found = [outcome(row) for _, row in table.iterrows()]
    counts = [f'{found.count(kind)} {word}' for kind, word in words.items() if kind in found]
    return ', '.join(counts)


def beside_majority(
    name: str,        # of the model, as a sentence begins
    accuracy: float,  # 0…1
    majority: float,  # share of the most frequent class, 0…1
) -> str:             # one sentence or two
    "An accuracy beside that of always saying the most frequent class, and what follows where it is no higher."
    use = ', so it is of no use yet' if accuracy <= majority else ''
    return f'{name}: {accuracy:.1%}. Always saying the most frequent class: {majority:.1%}{use}.'
