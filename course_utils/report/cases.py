"""What the four case studies share: their pictures and which of them may be shown, trainings over seeds, and the table of article,
reproduction and course."""
from dataclasses import replace
from pathlib import Path

import pandas as pd

from course_utils.config import CourseError, data_dir, profile
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.data.sources import data_facts, data_names, subset_note
from course_utils.report.cards import Card, at_a_glance
from course_utils.report.results import is_recorded, read_results, record_run
from course_utils.report.stats import Seeds, interval
from course_utils.training.learner import device_name
from course_utils.training.recipe import Recipe
from course_utils.training.train import train

pd.set_option('display.max_colwidth', None)  # a table says in words what was trained, and pandas would cut them short

CASE_COLUMNS = ['data', 'accuracy', 'low', 'high', 'device', 'minutes', 'seeds', 'what']  # of `case_table`
CASE_WORDS = ['its way', 'course', 'pictures', 'minutes']  # of `case_in_words`
GAINS = ['accuracy', 'gain', 'low', 'high', 'loss_change', 'loss_low', 'loss_high', 'seeds']  # what a case shows of `gains`


# ---- the pictures ----

class NotFetched(CourseError):
    "The case's data set is not on this machine. `make lessons` passes over such a case."


def case_source(
    name: str,           # as `make data` calls it, `cats_dogs`
    stand_ins: tuple=(), # names that may stand in, the first that is there
) -> str:
    "The name of the case's data set, or of its stand-in. Raises `NotFetched` where neither is there."
    fetched = data_names()
    for candidate in (name, *stand_ins):
        if candidate in fetched: return candidate
    raise NotFetched(f"The pictures of {name} have not been fetched: make data NAME={name} fetches them, and make data NAME={name} MIRROR=folder a classroom's smaller version.")


def case_pictures(
    name: str,
    size: int=64,            # see `load_pictures`
    limit: int | None=None,  # see `load_pictures`
    stand_ins: tuple=(),     # see `case_source`
) -> Pictures:
    "The case's pictures, with the split that `make data` made."
    return load_pictures(case_source(name, stand_ins), size=size, limit=limit)


def case_card(
    case: str,     # the notebook's name without ending
    article: str,  # its title
    need: str,     # what the learner should know or have
    able: str,     # what the learner will be able to do
    stand_ins: tuple=(),  # see `case_source`
) -> Card:
    "The card at the top: minutes, the pictures and whether they are all of them, their licence."
    source = case_source(case, stand_ins)
    facts = data_facts(source)
    pictures = f'{subset_note(source)}.' if facts else f'{source}: {data_dir()/source}'
    licence = f"{facts.get('licence', 'not known')}. {facts.get('page', '')}"
    card = at_a_glance(case, need, able, source)
    card.rows |= {'Pictures': pictures, 'Licence': licence, 'Article': article}
    return card


class learner_only:
    """Shows `thing`, a figure that holds photographs of others, in a learner's own session. Where `make lessons` runs the case, whose
    outputs may be published, a sentence takes its place."""
    def __init__(self, thing):
        self.thing = thing

    def _repr_mimebundle_(self, **kwargs):
        bundle = self.thing._repr_mimebundle_(**kwargs)  # drawn in any case: what is not shown is still tried
        if not is_recorded(): return bundle
        words = f"{bundle.get('text/plain', '')}\nPictures are shown when you run this: they are not ours to publish."
        return {'text/plain': words.strip()}


# ---- trainings ----

def case_seeds() -> int:
    "How many seeds this profile can afford. Two say so little of their own spread that the interval of both is wider than that of one, which knows pictures alone."
    return profile().pick(smoke=1, cpu=1, gpu=3)


def interval_words() -> str:
    "What the 95 % intervals of this profile's trainings are over."
    n = case_seeds()
    return f'over {n} seeds and pictures' if n > 1 else 'over pictures, of one seed'


def train_seeds(
    pics: Pictures,
    recipe: Recipe,      # its own seed does not count
    n: int | None=None,  # seeds; None: `case_seeds()`
) -> list:               # a `Run` a seed
    "Trains one recipe with several seeds. Finished runs are kept."
    runs = []
    for seed in range(n or case_seeds()):
        run = train(pics, replace(recipe, seed=seed), keep=True, quiet=True)
        runs.append(replace(run, learn=None))  # a Learner holds the pictures: several would hold them several times over
    return runs


# ---- the table of article, reproduction and course ----

def published(
    description: str,               # model, protocol and source, in words
    data: str='',                   # `16,000 + 4,000`
    accuracy: float | None=None,    # a share
    device: str='',
    minutes: float | None=None,
    seeds: int | None=None,
) -> dict:
    "The article's row. What the article does not say stays empty."
    return dict(what=description, data=data, accuracy=accuracy, device=device, minutes=minutes, seeds=seeds)


def measured_row(
    runs: list,                  # `Run`s, one a seed, or `Seeds`
    pics: Pictures,              # those they were trained on
    description: str,            # model and recipe, in words
    minutes: float | None=None,  # None: the median training's
) -> dict:
    "A row of this run: accuracy over seeds and pictures with its 95 % interval, pictures, device, minutes of one training, seeds."
    seeds = runs if isinstance(runs, Seeds) else Seeds.from_runs(runs)
    accuracy, low, high = seeds.accuracy
    return dict(
        what=f'{description}; {pics.size} px',
        data=f'{len(pics.train):,} + {len(pics.valid):,}',
        accuracy=accuracy,
        low=low,
        high=high,
        device=device_name(),
        minutes=seeds.seconds / 60 if minutes is None else minutes,
        seeds=len(seeds.right),
    )


def case_table(
    case: str,       # the notebook's name without ending
    article: dict,   # from `published`
    **rows           # `reproduction=` and `course=`, from `measured_row`
) -> pd.DataFrame:
    "Article, reproduction, course: of this run, and of what was kept at the profiles cpu and gpu. `data` is training + validation pictures."
    current = profile().name
    recorded = read_results(f'case_{case}').get('runs', {})
    table = {('article', ''): article}
    for name in dict.fromkeys((current, 'cpu', 'gpu')):
        of_profile = rows if name == current else recorded.get(name, {}).get('table', {})
        label = f'profile {name}, this run' if name == current else f'profile {name}'
        for kind in ('reproduction', 'course'): table[kind, label] = of_profile.get(kind, {})
    index = pd.MultiIndex.from_tuples(table)
    return cells_in_words(pd.DataFrame(list(table.values()), index=index, columns=CASE_COLUMNS))


def cells_in_words(table: pd.DataFrame) -> pd.DataFrame:
    "The table's numbers as they are shown; what is not known stays empty."
    percent = '{:.1%}'.format
    formats = dict(accuracy=percent, low=percent, high=percent, minutes=short_minutes, seeds='{:.0f}'.format)
    columns = {}
    for name in CASE_COLUMNS:
        to_words = formats.get(name, str)
        columns[name] = ['' if pd.isna(value) else to_words(value) for value in table[name]]
    return table.assign(**columns)


def short_minutes(minutes: float) -> str:
    "Two digits under ten minutes, else whole ones."
    return f'{minutes:.2g}' if minutes < 10 else f'{minutes:.0f}'


def kept_case(
    case: str,                 # the notebook's name without ending
    folder: Path | None=None,  # of results; None: `results/`
) -> dict:  # what `record_case` wrote
    "A case study as it was run last at profile cpu; nothing where it was not."
    name = f'case_{case}'
    return read_results(folder/f'{name}.json' if folder else name).get('runs', {}).get('cpu', {})


def case_in_words(
    case: str,                 # the notebook's name without ending
    folder: Path | None=None,  # see `kept_case`
) -> dict:  # 'its way', 'course', 'pictures', 'minutes' → words; a dash for what was not measured
    "What a case study gave at profile cpu: both accuracies with their 95 % intervals, the pictures trained on and held out, and the minutes of the course's training."
    run = kept_case(case, folder)
    if not run: return dict.fromkeys(CASE_WORDS, '—')
    reproduction, course = run['table']['reproduction'], run['table']['course']
    pictures = f"{course['data']} of {run['source']}"
    values = [share_in_words(reproduction), share_in_words(course), pictures, short_minutes(course['minutes'])]
    return dict(zip(CASE_WORDS, values))


def share_in_words(
    row: dict,  # of `measured_row`
) -> str: return f"{row['accuracy']:.1%} ({row['low']:.1%} to {row['high']:.1%})"


# ---- numbers ----

def means(
    values: dict,     # name → one number a picture, `(N,)`
) -> pd.DataFrame:    # a row a name: `mean`, `low`, `high`
    "The mean of each and its 95 % interval, as `dots` wants them."
    rows = {name: [v.mean(), *interval(v)] for name, v in values.items()}
    return pd.DataFrame(rows, index=['mean', 'low', 'high']).T


def table_numbers(
    table: pd.DataFrame,
) -> dict:  # row → column → number
    "The numbers of a table, for JSON. A row of `gains` that has two names is called 'a against b'."
    numbers = {}
    for key, row in zip(table.index, table.to_dict('records')):
        name = ' against '.join(key) if isinstance(key, tuple) else str(key)
        in_numbers = {column: value for column, value in row.items() if not isinstance(value, str)}
        numbers[name] = {column: float(value) for column, value in in_numbers.items()}
    return numbers


def record_case(
    case: str,       # the notebook's name without ending
    pics: Pictures,
    table: dict,     # `dict(reproduction=…, course=…)`, from `measured_row`
    **numbers        # what else was measured, JSON
):
    "Writes what was measured to `results/case_NAME.json`, by profile, with pictures, device and versions. Only where `make lessons` runs the case."
    facts = data_facts(pics.name)
    n_pictures = facts.get('pictures', len(pics))
    row = dict(numbers, table=table, source=pics.name, subset=facts.get('subset'), pictures=n_pictures)
    record_run(f'case_{case}', profile().name, row)
