"""What the four case studies share: how they find their pictures, which of them may be shown, and the table of article, reproduction and course."""
import json, os, time
from dataclasses import replace

import pandas as pd

from course_utils.config import CourseError, data_dir, profile, results_dir, write_whole
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.data.sources import about, data_names, how_many
from course_utils.report.cards import Card, at_a_glance
from course_utils.report.results import read_results
from course_utils.report.stats import Seeds, interval
from course_utils.training.learner import device_name, versions
from course_utils.training.train import train


class NotFetched(CourseError):
    "The case's data set is not on this machine. `make lessons` passes over such a case."


def case_source(
    name: str,           # as `make data` calls it, `cats_dogs`
    instead: tuple=(),   # names that may stand in, the first that is there
) -> str:
    "The name of the case's data set, or of its stand-in. Raises `NotFetched` where neither is there."
    there = data_names()
    for n in (name, *instead):
        if n in there: return n
    raise NotFetched(f"The pictures of {name} have not been fetched: make data NAME={name} fetches them, and make data NAME={name} MIRROR=folder a classroom's smaller version.")


def case_pictures(
    name: str, size: int=64, limit: int | None=None,  # see `load_pictures`
    instead: tuple=(),                                # see `case_source`
) -> Pictures:
    "The case's pictures, with the split that `make data` made."
    return load_pictures(case_source(name, instead), size=size, limit=limit)


def case_card(
    case: str,     # the notebook's name without ending
    article: str,  # its title
    need: str, able: str,
    instead: tuple=(),
) -> Card:
    "The card at the top: minutes, the pictures and whether they are all of them, their licence."
    source = case_source(case, instead)
    card, d = at_a_glance(case, need, able, source), about(source)
    card.rows |= {'Pictures': f'{how_many(source)}.' if d else f'{source}: {data_dir()/source}', 'Licence': f"{d.get('licence', 'not known')}. {d.get('page', '')}",
                  'Article': article}
    return card


class only_here:
    """Shows `thing`, a figure that holds photographs of others, in a learner's own session. Where `make lessons` runs the case, whose
    outputs may be published, a sentence takes its place."""
    def __init__(self, thing): self.thing = thing
    def _repr_mimebundle_(self, **kw):
        bundle = self.thing._repr_mimebundle_(**kw)  # drawn in any case: what is not shown is still tried
        if not os.environ.get('COURSE_RESULTS'): return bundle
        return {'text/plain': f"{bundle.get('text/plain', '')}\nPictures are shown when you run this: they are not ours to publish.".strip()}


def case_seeds() -> int:
    "How many seeds this profile can afford."
    return profile().pick(smoke=1, cpu=2, gpu=3)


def over_seeds(
    pics: Pictures, arch: str, epochs: int,
    n: int | None=None,   # seeds; None: `case_seeds()`
    **settings            # see `train`
) -> list:  # a `Run` a seed, without their Learners, which would hold the pictures several times over
    "Trains one setting with several seeds. Finished runs are kept."
    settings = dict(keep=True, quiet=True) | settings
    return [replace(train(pics, arch, epochs, seed=s, **settings), learn=None) for s in range(n or case_seeds())]

pd.set_option('display.max_colwidth', None)  # a table says in words what was trained, and pandas would cut them short

COLUMNS = ['data', 'accuracy', 'low', 'high', 'device', 'minutes', 'seeds', 'what']


def published(
    what: str,                     # model, protocol and source, in words
    data: str='', accuracy=None,   # `16,000 + 4,000`; a share
    device: str='', minutes=None, seeds=None,
) -> dict:
    "The article's row. What the article does not say stays empty."
    return dict(what=what, data=data, accuracy=accuracy, device=device, minutes=minutes, seeds=seeds)


def measured_row(
    runs: list,      # `Run`s, one a seed, or `Seeds`
    pics: Pictures,  # those they were trained on
    what: str,       # model and recipe, in words
    minutes: float | None=None,  # None: the median training's
) -> dict:
    "A row of this run: accuracy over seeds and pictures with its 95 % interval, pictures, device, minutes of one training, seeds."
    s = runs if isinstance(runs, Seeds) else Seeds.of(runs)
    accuracy, low, high = s.accuracy
    return dict(what=f'{what}; {pics.size} px', data=f'{len(pics.train):,} + {len(pics.valid):,}', accuracy=accuracy, low=low, high=high,
                device=device_name(), minutes=s.seconds / 60 if minutes is None else minutes, seeds=len(s.right))


def case_table(
    case: str,
    article: dict,        # from `published`
    **rows                # `reproduction=` and `course=`, from `measured_row`
) -> pd.DataFrame:
    "Article, reproduction, course: of this run, and of what was kept at the profiles cpu and gpu. `data` is training + validation pictures."
    here, kept = profile().name, read_results(f'case_{case}').get('runs', {})
    table = {('article', ''): article}
    for name in dict.fromkeys((here, 'cpu', 'gpu')):
        of = rows if name == here else kept.get(name, {}).get('table', {})
        for who in ('reproduction', 'course'): table[who, f"profile {name}{', this run' * (name == here)}"] = of.get(who, {})
    t = pd.DataFrame(list(table.values()), index=pd.MultiIndex.from_tuples(table), columns=COLUMNS)
    share, number = (lambda v: f'{v:.1%}'), (lambda v: f'{v:.2g}' if v < 10 else f'{v:.0f}')
    return t.assign(**{c: [('' if v is None or pd.isna(v) else f(v)) for v in t[c]] for c, f in dict(
        dict.fromkeys(COLUMNS, str), accuracy=share, low=share, high=share, minutes=number, seeds=lambda v: f'{v:.0f}').items()})

GAINS = ['accuracy', 'gain', 'low', 'high', 'loss_change', 'loss_low', 'loss_high', 'seeds']  # what a case shows of `gains`


def means(of: dict) -> pd.DataFrame:
    "From name → one number a picture, a row a name: their mean and its 95 % interval, as `dots` wants them."
    return pd.DataFrame({name: [v.mean(), *interval(v)] for name, v in of.items()}, index=['mean', 'low', 'high']).T


def plain(table: pd.DataFrame) -> dict:  # row → column → number
    "The numbers of a table, for JSON."
    name = lambda k: ' against '.join(k) if isinstance(k, tuple) else str(k)
    return {name(k): {c: float(v) for c, v in row.items() if not isinstance(v, str)} for k, row in zip(table.index, table.to_dict('records'))}


def record_case(
    case: str, pics: Pictures,
    table: dict,    # `dict(reproduction=…, course=…)`, from `measured_row`
    **numbers       # what else was measured, JSON
):
    "Writes what was measured to `results/case_NAME.json`, by profile, with pictures, device and versions. Only where `make lessons` runs the case."
    if not os.environ.get('COURSE_RESULTS'): return
    name, d = f'case_{case}', about(pics.name)
    kept = read_results(name)
    kept.setdefault('runs', {})[profile().name] = dict(numbers, table=table, source=pics.name, subset=d.get('subset'), pictures=d.get('pictures', len(pics)),
                                                      device=device_name(), versions=versions(), date=time.strftime('%Y-%m-%d'))
    write_whole(results_dir()/f'{name}.json', json.dumps(kept, indent=1, sort_keys=True) + '\n')
