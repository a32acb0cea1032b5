"""One search, one contest: a search that goes on under its name must draw from the same space, on the same pictures, as its
finished trials did. Otherwise these would count in a contest that they were not in."""
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.training.identity import NoIdentity, fingerprint, identity, sha16

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
NEW_SEARCH = 'give the new search a name of its own, or begin this one anew with fresh=True'


class OtherSpace(CourseError):
    "A trial was to draw from another space than the finished ones."


# ---- pictures and objective ----

def check_study_pictures(study: optuna.Study, pics: Pictures):
    "Notes on which pictures a search began. Raises `CourseError` where it is to go on with others."
    key = fingerprint(pics)
    words = f'{pics.name} ({len(pics):,} pictures of {pics.size}×{pics.size} pixels)'
    noted = study.user_attrs.get('pictures')
    if noted is None:
        study.set_user_attr('pictures', dict(key=key, words=words))
        return
    if noted['key'] == key: return
    if words == noted['words']: words = 'others of that name, or another split of them'
    raise CourseError(f"The search '{study.study_name}' began on {noted['words']}, and now it is given {words}: {NEW_SEARCH}.")


def is_same_objective(study: optuna.Study, objective) -> bool:
    "Notes what the objective of a search does, and prints a line where it has changed since. One that cannot be told is not noted."
    try: now = sha16(identity(objective))
    except (NoIdentity, RecursionError): return False
    noted = study.user_attrs.get('objective')
    if noted is None: study.set_user_attr('objective', now)
    if noted in (None, now): return True
    if finished_trials(study):
        print(f"The objective of the search '{study.study_name}', or something that it uses, has changed since its first trials, "
              f'and these still count: if their scores cannot be compared any more, {NEW_SEARCH}.')
    return False


def finished_trials(study: optuna.Study) -> list:
    return study.get_trials(deepcopy=False, states=DONE)


# ---- ranges and choices ----

class Space:
    "What a search draws from. A trial that asks for another range than the finished ones did is refused."
    def __init__(self, study: optuna.Study, objective):
        self.study = study
        self.is_same_objective = objective is None or is_same_objective(study, objective)
        self.known = known_distributions(study)
        self.asked = set()  # names that this session has drawn

    def watch(self, trial: optuna.Trial):
        "From here on, whatever the trial is asked for is checked first."
        draw_float, draw_int, draw_choice = trial.suggest_float, trial.suggest_int, trial.suggest_categorical

        def suggest_float(name, low, high, *, step=None, log=False):
            self.check(name, FloatDistribution(low, high, log=log, step=step))
            return self.drawn(name, draw_float, low, high, step=step, log=log)

        def suggest_int(name, low, high, *, step=1, log=False):
            self.check(name, IntDistribution(low, high, log=log, step=step))
            return self.drawn(name, draw_int, low, high, step=step, log=log)

        def suggest_categorical(name, choices):
            self.check(name, CategoricalDistribution(choices))
            return self.drawn(name, draw_choice, choices)

        trial.suggest_float = suggest_float
        trial.suggest_int = suggest_int
        trial.suggest_categorical = suggest_categorical

    def check(self, name: str, distribution):
        """Raises `OtherSpace` where the finished trials drew `name` from another range. One that changes from trial to trial,
        as a range that depends on another setting does, is left alone."""
        known = self.known.get(name, [])
        is_first = name not in self.asked
        self.asked.add(name)
        if is_first and self.known and not known and not self.is_same_objective:
            print(f"The finished trials of the search '{self.study.study_name}' had no setting {name}, and count without it.")
        if is_first and len(known) == 1 and known[0] != distribution: self.refuse(name, known[0], distribution)

    def refuse(self, name: str, known, distribution):
        raise OtherSpace(f"The search '{self.study.study_name}' drew {name} from {space_words(known)}, and now it is to be drawn "
                         f'from {space_words(distribution)}: {NEW_SEARCH}.')

    def drawn(self, name: str, draw, *args, **kwargs):
        "What Optuna draws. Raises `OtherSpace` where it cannot, because some trial had other choices or another kind."
        try: return draw(name, *args, **kwargs)
        except ValueError as error:
            reason = str(error).rstrip('.')
            raise OtherSpace(f"The search '{self.study.study_name}' cannot draw {name} like this ({reason}): {NEW_SEARCH}.") from None


def known_distributions(study: optuna.Study) -> dict:  # name → list of those that finished trials drew from
    "From what each setting was drawn so far."
    known = {}
    for trial in finished_trials(study):
        for name, distribution in trial.distributions.items():
            distributions = known.setdefault(name, [])
            if distribution not in distributions: distributions.append(distribution)
    return known


def space_words(distribution) -> str:
    "A range, or a list of choices."
    if isinstance(distribution, CategoricalDistribution):
        return 'the choices ' + ', '.join(map(str, distribution.choices))
    kind = 'whole numbers ' if isinstance(distribution, IntDistribution) else ''
    scale = ' on a log scale' if distribution.log else ''
    has_step = distribution.step not in (None, 1)
    step = f' in steps of {distribution.step:g}' if has_step else ''
    return f'{kind}{distribution.low:g} to {distribution.high:g}{scale}{step}'
