#!/usr/bin/env bash
# Question: Two workers share an Optuna search in an SQLite file, as Optuna's
#   guide to several processes begins. A third was killed; both find its trial
#   silent in the same moment. How often is it tried again?
# Guess, before the run: Once. `fail_stale_trials` passes over a trial that
#   another process has already failed, and the storage reads it `for_update`.
# Seen: Twice, with the same settings, and both count. SQLite has no locks on
#   rows, so SQLAlchemy leaves `FOR UPDATE` away; sqlite3 opens its transaction
#   at the first write, not at the read. Both workers read "running", both
#   check, both write "failed", both queue a copy. In the narrow window of a
#   quick disk it came in 5 of 7 rounds of 40 dead trials. Where each
#   transaction begins with BEGIN IMMEDIATE, the trial is tried again once.
# Version: seen with optuna 5.0.0, SQLAlchemy 2.1.9, Python 3.11's sqlite3.
# What a course should do: On SQLite, let SQLAlchemy's "begin" event send BEGIN
#   IMMEDIATE (and set the connection's isolation_level to None), or count
#   distinct settings, not trials.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    optuna==5.0.0 \
    SQLAlchemy==2.1.9

cd "$work"
cat > race.py <<'PY'
import multiprocessing, sys, time, warnings
import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from sqlalchemy import event

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)

def storage(path, immediate):
    kept = RDBStorage(f"sqlite:///{path}", heartbeat_interval=1, grace_period=2,
                      engine_kwargs=dict(connect_args=dict(timeout=60)),
                      heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback())
    if immediate:
        event.listen(kept.engine, "connect", lambda connection, record: setattr(connection, "isolation_level", None))
        event.listen(kept.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        kept.engine.dispose()
    return kept

def slow_disk(connection, cursor, statement, *others):
    if statement.startswith("UPDATE trials"): time.sleep(1)

def sweep(path, immediate, at):
    kept = storage(path, immediate)
    event.listen(kept.engine, "before_cursor_execute", slow_disk)
    study = optuna.load_study(study_name="s", storage=kept)
    time.sleep(max(0, at - time.time()))
    fail_stale_trials(study)

def retries(immediate):
    path = f"{immediate}.db"
    study = optuna.create_study(study_name="s", storage=storage(path, immediate))
    killed = study.ask()
    killed.suggest_float("rate", 0, 1)
    study._storage.record_heartbeat(killed._trial_id)
    time.sleep(4)
    at = time.time() + 4
    workers = [multiprocessing.Process(target=sweep, args=(path, immediate, at)) for _ in range(2)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    study.optimize(lambda trial: trial.suggest_float("rate", 0, 1), n_trials=2)
    return len({trial.params["rate"] for trial in study.trials if trial.state.name == "COMPLETE"})

if __name__ == "__main__":
    print("expected: the killed trial is tried again once, and the second finished trial has settings of its own")
    as_it_is, taken_at_once = retries(False), retries(True)
    print(f"seen: settings of two finished trials: {as_it_is} as it is, {taken_at_once} with BEGIN IMMEDIATE")
    sys.exit((as_it_is, taken_at_once) != (1, 2))
PY
"$work/venv/bin/python" race.py
