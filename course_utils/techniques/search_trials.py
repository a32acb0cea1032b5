"""The trials of a search: one that is interrupted goes back into the queue, one that another worker took over is not wanted any more,
and those that are finished make a table."""
import numpy as np, optuna, pandas as pd
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from course_utils.config import CourseError
from course_utils.techniques.search_space import OtherSpace, Space, finished_trials

TAKEN = 'was taken over by another worker: this one was silent for too long, as a machine that sleeps is.'


class Attempt:
    "One trial's objective. Where Ctrl-C or a mistake ends it, its settings go into the queue: mend it and start again."
    def __init__(self, objective, space: Space):
        self.objective = objective
        self.space = space
        self.trial = self.error = None

    def __call__(self, trial) -> float:
        self.trial = trial
        self.space.watch(trial)
        try: return self.score()
        except (optuna.TrialPruned, UpdateFinishedTrialError): raise
        except (Exception, KeyboardInterrupt) as error:
            self.error = error
            if not isinstance(error, OtherSpace): trial.study.enqueue_trial(trial.params)
            raise

    def score(self) -> float:
        score = float(self.objective(self.trial))
        if np.isfinite(score): return score
        raise CourseError(f'The score of trial {self.trial.number} is {score}, but it can only be a finite number.')


def was_taken_over(attempt: Attempt) -> bool:
    "Is the trial finished, though not by this attempt, which ended with an error that is not its own?"
    if attempt.trial is None or attempt.error: return False
    trials = attempt.trial.study.get_trials(deepcopy=False)
    return trials[attempt.trial.number].state.is_finished()


# ---- what is finished ----

def finished(study) -> int: return len(finished_trials(study))


def best_score(study) -> float:
    "The highest score of the trials that ran to their end; not a number where there is none."
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max((trial.value for trial in complete), default=float('nan'))


def trials_table(study) -> pd.DataFrame:
    "A row for each finished trial, by its number: state, score, seconds, settings, and what the objective noted."
    trials = finished_trials(study)
    index = pd.Index([trial.number for trial in trials], name='trial')
    return pd.DataFrame([trial_row(trial) for trial in trials], index=index)


def trial_row(trial) -> dict:
    seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    row = dict(
        state=trial.state.name.lower(),
        score=trial.value,
        seconds=max(0., seconds),  # a clock may be set back
    )
    return row | trial.params | trial.user_attrs
