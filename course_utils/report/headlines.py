"What came out of each lesson, in one clause: the card, the home page and the README ask here."
from pathlib import Path

from course_utils.config import results_dir
from course_utils.report.results import read_results

RUNG_OF_LESSON = {  # number of a lesson → the rung of the ladder that adds its technique
    '01': '+ augmentation',
    '02': '+ transfer',
    '03': '+ found rate',
    '04': '+ one-cycle',
    '05': '+ differential rates',
    '06': '+ TTA',
}


def headline_of(
    lesson: str,               # its number, `00`
    folder: Path | None=None,  # of results; None: the course's
) -> str:                      # empty where there is none
    """What the ladder's folds say of the lesson's technique, and what the lesson's last run wrote down; what was measured by folds
    takes the place of that run. For lesson 09 it is the whole ladder, for lesson 13 its own folds alone."""
    if lesson == '09':
        from course_utils.report.ladder_results import ladder_in_words, measured_ladder  # other lessons need not wait for it
        return ladder_in_words(measured_ladder(folder=folder))
    if lesson == '13':
        from course_utils.report.newer_results import newer_in_words, newer_measured
        measured = newer_measured(folder)
        if measured: return '. '.join(f'{data.capitalize()}, {newer_in_words(by_arm)}' for data, by_arm in measured.items())
    rung = ladder_headline(lesson, folder)
    own = folds_headline(lesson, folder)
    if own: return '. '.join(filter(None, [rung, own]))
    path = (folder or results_dir())/f'lesson_{lesson}.json'
    own_run = read_results(path).get('headline', '')
    if not rung: return own_run
    return f'{rung}. {introduced(own_run)}' if own_run else rung


def introduced(own_run: str) -> str:
    "What a lesson wrote down, said to be the lesson's own, unless it says itself that it was measured by folds."
    return own_run if own_run.startswith('Solar cells, by folds') else f'In the lesson: {own_run}'


def folds_headline(
    lesson: str,               # its number
    folder: Path | None=None,  # as in `headline_of`
) -> str:                      # empty where there is none
    "What `make measure` found of the lesson's own question. Imported where it is asked: other lessons need not wait for it."
    if lesson == '01':
        from course_utils.report.augmentation_results import augmentations_measured, sweep_headline
        measured = augmentations_measured(folder)
        return f'From scratch, on few pictures, against none: {sweep_headline(measured)}' if measured else ''
    if lesson == '03':
        from course_utils.report.finder_results import finder_verdict, finders_measured
        return finder_verdict(finders_measured(folder)).removesuffix('.')
    if lesson == '05':
        from course_utils.report.rate_results import RATES_DATA, rates_measured, rates_verdict
        tables = {words: rates_measured(data, folder) for words, data in RATES_DATA.items()}
        return rates_verdict({words: table for words, table in tables.items() if len(table)}).removesuffix('.')
    if lesson == '06':
        from course_utils.report.view_results import views_measured, views_verdict
        words = views_verdict(views_measured(folder=folder)).removesuffix('.')
        return f'Solar cells, by folds: {words[0].lower()}{words[1:]}' if words else ''
    if lesson == '08':
        from course_utils.report.scaling_results import scaling_verdict, scalings_measured
        return scaling_verdict(scalings_measured(folder)).removesuffix('.')
    return ''


def ladder_headline(
    lesson: str,               # its number
    folder: Path | None=None,  # as in `headline_of`
) -> str:                      # empty where the ladder has no rung for it, or was not measured
    "What the lesson's rung adds to the one below it, on each data set: one number for the README, the card and the ladder's table."
    if lesson not in RUNG_OF_LESSON: return ''
    from course_utils.report.ladder_results import ladders_measured, rung_in_words
    rung = RUNG_OF_LESSON[lesson]
    ladders = ladders_measured(folder)
    parts = [f'{rung_in_words(ladder, rung)} on {data}' for data, ladder in ladders.items() if rung in ladder]
    return f"On the ladder: accuracy {', '.join(parts)}" if parts else ''
