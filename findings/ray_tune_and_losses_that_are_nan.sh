#!/usr/bin/env bash
# Ray Tune 2.60.0: a trial whose loss is NaN is the one that ASHA never stops, and the one that Optuna never hears of.
#
# A network that has diverged reports NaN, epoch for epoch. Seen here, of trials that may run 27 epochs:
# - ASHAScheduler stops every trial after the first at its first rung, for each is worse than those before, and lets
#   those with NaN run all 27: NaN is not less than a cutoff. What is surely useless costs most. The same trials with
#   infinity are stopped after one epoch, and MedianStoppingRule stops both kinds;
# - OptunaSearch keeps a trial that has ended with NaN as RUNNING for ever, not as failed: TPE learns nothing from it,
#   where it would learn from infinity that this is no place to look. Optuna by itself makes such a trial FAIL.
# All trials end well, none with an error; of the second the log warns "The value nan is not acceptable", of the first
# nothing is said.
# What helps is to report infinity instead (`loss if math.isfinite(loss) else math.inf`), or to end the trial.
#
# Needs bash, Python 3.11, and an index of packages. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ray[tune]==2.60.0' optuna==5.0.0 numpy==2.4.6

cat >see.py <<'PYTHON'
import collections
import logging
import math
import os
import sys

os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule
from ray.tune.search.optuna import OptunaSearch

EPOCHS = 27


class Network(tune.Trainable):
    def setup(self, config):
        self.config, self.epoch = config, 0

    def reset_config(self, config):
        self.setup(config)
        return True

    def step(self):
        self.epoch += 1
        rate = self.config["rate"]
        loss = self.config["diverged"] if rate < 0 else rate + 1 / self.epoch
        return {"loss": loss, "done": self.epoch == self.config.get("epochs", EPOCHS)}

    def save_checkpoint(self, folder):
        pass

    def load_checkpoint(self, checkpoint):
        pass


def run(space, **options):
    return tune.Tuner(
        Network,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", max_concurrent_trials=1, reuse_actors=True, **options
        ),
        run_config=tune.RunConfig(storage_path=os.path.abspath("results"), verbose=0),
    ).fit()


def epochs(scheduler, diverged):
    """Epochs of each trial, the diverged ones with a negative rate."""
    rates = tune.grid_search([1, 2, -1, 3, -2, 4, -3])
    results = run({"rate": rates, "diverged": diverged}, scheduler=scheduler)
    assert not results.errors
    found = {each.config["rate"]: each.metrics["training_iteration"] for each in results}
    print(type(scheduler).__name__, "where a loss is", diverged, found, flush=True)
    return [found[rate] for rate in (-1, -2, -3)], [found[rate] for rate in (2, 3, 4)]


def states(diverged):
    """How Optuna has recorded trials that have diverged, and others."""
    search = OptunaSearch(seed=1)
    space = {"rate": tune.uniform(-1, 1), "diverged": diverged, "epochs": 1}
    assert not run(space, search_alg=search, num_samples=8).errors
    found = collections.Counter((each.params["rate"] < 0, each.state.name) for each in search._ot_study.trials)
    print("Optuna, where a loss is", diverged, {("diverged" if d else "good", s): n for (d, s), n in found.items()})
    return set(found)


logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)  # results are in no files
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
asha = lambda: ASHAScheduler(time_attr="training_iteration", max_t=EPOCHS, grace_period=1, reduction_factor=3)
seen = [
    epochs(asha(), math.nan) == ([EPOCHS] * 3, [1] * 3),
    epochs(asha(), math.inf) == ([1] * 3, [1] * 3),
    epochs(MedianStoppingRule("training_iteration", grace_period=1, min_samples_required=2), math.nan)[0] == [1] * 3,
    states(math.nan) == {(True, "RUNNING"), (False, "COMPLETE")},
    states(math.inf) == {(True, "COMPLETE"), (False, "COMPLETE")},
]
print("as described:", seen)
sys.exit(not all(seen))
PYTHON
venv/bin/python see.py
