"""What a network loses on its way to a user: by another resize than its own, by fewer bits. Lesson 12 reads it here from `results/`."""
from pathlib import Path

import pandas as pd

from course_utils.config import CourseError
from course_utils.report.results import read_results

MAY_LOSE = .01  # accuracy, for a smaller file
MAY_TAKE = 2.   # times the seconds of float32
FORMAT_RESULTS = {'without VNNI': 'int8_without_vnni', 'with VNNI': 'int8'}  # kind of processor → file
PER_CHANNEL = '8 bits, per channel'


def points(
    share: float,  # a difference of two accuracies
) -> str:
    "A difference in points: '-0.8'."
    return f'{100 * share + 0:+.1f}'


def points_with_interval(loses) -> str:
    "'-0.8 (-1.4 to -0.2)'."
    middle, low, high = map(points, loses)
    return f'{middle} ({low} to {high})'


def measured_rows(
    name: str | Path,  # of the results, or a file
) -> dict:             # name of a row → its numbers
    "What an experiment has written. Raises `CourseError` where it was not run."
    rows = read_results(name).get('runs', {})
    if not rows: raise CourseError(f'There is no measurement in results/{Path(name).stem}.json: python -m data_scripts.experiments.{Path(name).stem} makes one.')
    return rows


# ---- by another resize ----

def resize_rows(
    results: str | Path='resizes',
    size: int | None=None,  # of the pictures, in pixels; None: the largest that was measured
) -> list:                  # rows, the course's own first
    "What was measured of every resize to one size."
    rows = list(measured_rows(results).values())
    if size is None: size = max(row['size'] for row in rows)
    return [row for row in rows if row['size'] == size]


def resize_table(rows: list) -> pd.DataFrame:
    "A row a resize: what it does to accuracy, in points, how many answers it changes, and how far its pictures are from the course's."
    lines = [dict(
        resize=row['name'],
        accuracy=f"{row['accuracy']:.1%}",
        points=points_with_interval(row['loses']) if row is not rows[0] else '',
        changed=f"{row['changed']:.1%}",
        grey_levels=row['grey_levels'],
    ) for row in rows]
    return pd.DataFrame(lines).set_index('resize')


def resize_words(rows: list) -> str:
    "What the table says, in three sentences."
    others = rows[1:]
    worst = min(others, key=lambda row: row['loses'][0])
    nearest = min(others, key=lambda row: row['grey_levels'])
    most_changed = max(others, key=lambda row: row['changed'])
    n_clear = sum(row['loses'][2] < 0 for row in others)
    clear = f'{n_clear or "none"} of {len(others)} other resizes clearly costs accuracy'
    return (
        f"At {worst['size']} px {clear}; the lowest is {worst['name']}, {points_with_interval(worst['loses'])} points. "
        f"But answers change: {most_changed['changed']:.1%} of them with {most_changed['name']}. "
        f"The nearest to the course's own is {nearest['name']}, {nearest['grey_levels']:.2f} grey levels apart, "
        f"which changes {nearest['changed']:.1%} of the answers.")


def resize_note(rows: list) -> str:
    "How it was measured, and with what."
    libraries = ', '.join(dict.fromkeys(row['library'] for row in rows))
    first = rows[0]
    return (f"{first['pictures']:,} cells, each held out once in {first['folds']} folds of whole modules; {first['size']} px; "
            f"{libraries}. python -m data_scripts.experiments.resizes, {first['date']}.")


# ---- by fewer bits ----

def format_rows(
    results: str | Path,  # one of `FORMAT_RESULTS`, or a file
) -> list:  # rows, float32 first, each with its `name`
    "What was measured of every format."
    return [dict(row, name=name) for name, row in measured_rows(results).items()]


def format_table(rows: list) -> pd.DataFrame:
    "A row a format: megabytes, milliseconds a picture, and what it does to accuracy, in points."
    lines = [dict(
        format=row['name'],
        MB=round(row['bytes'] / 1e6, 1),
        milliseconds=row['milliseconds'],
        accuracy=f"{row['accuracy']:.1%}",
        points=points_with_interval(row['loses']) if row is not rows[0] else '',
    ) for row in rows]
    return pd.DataFrame(lines).set_index('format')


def smallest_harmless(rows: list) -> dict | None:
    "The smallest file whose whole interval lies above a loss of one point; None where there is none beside float32."
    harmless = [row for row in rows[1:] if row['loses'][1] >= -MAY_LOSE]
    return min(harmless, key=lambda row: row['bytes'], default=None)


def harmless_words(rows: list) -> str:
    "Which file may be shipped for the other, in a sentence."
    chosen = smallest_harmless(rows)
    if chosen is None: return 'That a smaller file costs less than a point, no whole interval shows here.'
    return (f"The smallest file whose whole interval costs less than a point is '{chosen['name']}', {chosen['bytes'] / 1e6:.1f} MB "
            f"in place of {rows[0]['bytes'] / 1e6:.1f}.")


def format_words(rows: list) -> str:
    "What the table says, in three sentences."
    whole = rows[0]
    eight = [row for row in rows if row['name'].startswith('8 bits')]
    as_quick = [row for row in eight if row['milliseconds'] <= MAY_TAKE * whole['milliseconds']]
    best = max(as_quick or eight, key=lambda row: row['accuracy'])
    slowest = max(eight, key=lambda row: row['milliseconds'])
    defaults = min((row for row in eight if 'defaults' in row['name']), key=lambda row: row['accuracy'])
    return (
        f"8 bits, made with the quantizer's defaults, cost up to {-100 * defaults['loses'][0]:.1f} points ({defaults['name']}); "
        f"the best that are no slower change {points_with_interval(best['loses'])} points ({best['name']}). "
        f"Smaller is not faster by itself: a picture takes {whole['milliseconds']:.1f} ms with float32, {best['milliseconds']:.1f} ms "
        f"with those, and {slowest['milliseconds']:.0f} ms with {slowest['name']}. "
        f"{harmless_words(rows)}")


def overflow_words(
    overflowing: list,  # rows of a processor that sums pairs of products of bytes in 16 bits
    rows: list,         # of one that sums them in 32
) -> str:
    "What the same format does on two kinds of processors, in two sentences."
    points_lost = {row['name']: points_with_interval(row['loses']) for row in overflowing}
    unharmed = next(points_with_interval(row['loses']) for row in rows if row['name'] == PER_CHANNEL)
    seven = f'{PER_CHANNEL}, reduce_range'
    return (f"'{PER_CHANNEL}' changes {unharmed} points where sums of bytes have room, and {points_lost[PER_CHANNEL]} "
            f"where they overflow. With weights of 7 bits (reduce_range) it is {points_lost[seven]} there, and "
            f"{points_lost[seven + ', convolutions alone']} if the convolutions alone are made smaller.")


def format_note(rows: list) -> str:
    "How it was measured, and with what."
    first = rows[0]
    runtime = first.get('library', 'ONNX Runtime')
    drawn = 'of whole modules' if first.get('split') == 'module' else 'of cells drawn at random'
    return (f"{first['pictures']:,} cells, each held out once in {first['folds']} folds {drawn}; "
            f"{first['size']} px, one thread; {runtime}, timm {first['versions']['timm']}. python -m data_scripts.experiments.int8, {first['date']}.")
