#!/usr/bin/env bash
# Optuna 5.0.0 records another choice than the one that a trial was given, where two choices are equal in Python.
#
# 1, 1.0 and True are equal, and mean different things to what is tuned: for scikit-learn's forests `max_features=1`
# is one feature, and `max_features=1.0` all of them; `min_samples_leaf` is such another. `suggest_categorical` gives
# the objective each of them in turn, but writes down the first that equals it. Seen here, in memory and in SQLite:
# - of [1, 1.0, "sqrt"] the best is 1.0, which wins, and `best_params` say 1: who trains with them gets the worst;
# - of [1.0, 1, "sqrt"] TPE gives the worst, 1, to 50 of 60 trials: what it has cost is written down for 1.0, and 1
#   stays what has never been tried. Without TPE it is one in three.
# No error and no warning; `params` of the trial itself are right, those of the study's trials are not. Texts as
# choices ("one", "all"), translated in the objective, are safe.
#
# Needs bash and Python 3.11. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check optuna==5.0.0 numpy==2.4.6

cat >see.py <<'PYTHON'
import collections
import sys
import warnings

import optuna

warnings.simplefilter("error")
optuna.logging.set_verbosity(optuna.logging.WARNING)
LOSSES = {"1": 3.0, "1.0": 1.0, "'sqrt'": 2.0}


def searched(choices, storage):
    given, own = [], []

    def objective(trial):
        given.append(repr(trial.suggest_categorical("max_features", choices)))
        own.append(repr(trial.params["max_features"]))
        return LOSSES[given[-1]]

    study = optuna.create_study(storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, 60)
    assert own == given, (own, given)
    best = study.best_trial
    counted = collections.Counter(given)
    recorded = {repr(trial.params["max_features"]) for trial in study.trials}
    print(f"choices {choices}: given {dict(counted)}, recorded {sorted(recorded)}")
    print(f"  the best was given {given[best.number]}, loss {best.value}; its params say {best.params}")
    return counted, recorded, given[best.number], repr(best.params["max_features"])


seen = []
for storage in (None, "sqlite:///study.db"):
    _, recorded, given, said = searched([1, 1.0, "sqrt"], storage)
    seen.append(recorded == {"1", "'sqrt'"} and given == "1.0" and said == "1" and LOSSES[said] > LOSSES[given])
    counted, recorded, _, _ = searched([1.0, 1, "sqrt"], storage)
    seen.append(recorded == {"1.0", "'sqrt'"} and counted["1"] > 30)
print("as described:", seen)
sys.exit(not all(seen))
PYTHON
venv/bin/python see.py
