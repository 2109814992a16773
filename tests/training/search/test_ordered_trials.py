"""What a search proposes and stops must not depend on the order in which trials end."""

import json
import math
import random
import subprocess
import sys
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from ray.tune.schedulers import TrialScheduler

from common.settings.group import PROJECT_ROOT
from training.search.ordered_trials import OrderedHalving, OrderedOptuna, rungs

LAG, TRIALS, REPORTS = 4, 24, 9


class Trial:
    """As much of Ray's trial as a scheduler sees."""

    def __init__(self, number: int, x: float) -> None:
        self.trial_id, self.number, self.x, self.epochs = f"trial-{number}", number, x, 0

    @property
    def result(self) -> dict[str, Any]:
        done = self.epochs >= 10 * REPORTS or (self.number % 5 == 2 and self.epochs >= 40)
        return {"loss": (self.x - 0.3) ** 2 + 1 / (1 + self.epochs), "epochs": self.epochs, "complete": done}


def search(parallel: int, seed: int, trials: int = TRIALS) -> list[tuple[float, int]]:
    """Let trials advance in random order, as Ray Tune would; hyperparameter and epochs of each."""
    hurry = random.Random(seed)
    searcher = OrderedOptuna(LAG, space={"x": FloatDistribution(0, 1)}, metric="loss", mode="min", seed=7)
    scheduler = OrderedHalving(rungs(10, 10 * REPORTS, 3), 3, LAG)
    begun: list[Trial] = []
    running: list[Trial] = []
    while running or len(begun) < trials:
        while len(running) < parallel and len(begun) < trials:
            proposed = searcher.suggest(f"trial-{len(begun)}")
            if proposed is None:
                break
            trial = Trial(len(begun), proposed["x"])
            scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
            begun.append(trial)
            running.append(trial)
        trial = hurry.choice(running)
        trial.epochs += 10
        if not trial.result["complete"]:
            decision = scheduler.on_trial_result(None, trial, trial.result)  # type: ignore[arg-type]
            if decision == TrialScheduler.CONTINUE:
                continue
        scheduler.on_trial_complete(None, trial, trial.result)  # type: ignore[arg-type]
        searcher.on_trial_complete(trial.trial_id, trial.result)
        running.remove(trial)
    return [(trial.x, trial.epochs) for trial in begun]


def test_the_order_in_which_trials_end_changes_nothing() -> None:
    alone = search(1, seed=0)
    assert len({x for x, _ in alone}) == TRIALS
    for seed in range(4):
        assert search(2, seed) == alone
        assert search(LAG, seed) == alone


def test_a_shorter_search_is_the_beginning_of_a_longer_one() -> None:
    assert search(LAG, seed=1, trials=9) == search(3, seed=2)[:9]


def test_trials_that_are_behind_are_stopped_at_a_rung_and_good_ones_are_not() -> None:
    found = search(1, seed=0)
    stopped = [(x, epochs) for x, epochs in found if epochs in (10, 30)]
    assert len(stopped) >= TRIALS // 3
    assert all(epochs >= 40 for _, epochs in found[:LAG])  # nothing to compare them with
    best = min(found, key=lambda trial: abs(trial[0] - 0.3))
    assert best[1] >= 40
    assert all(abs(x - 0.3) > abs(best[0] - 0.3) for x, _ in stopped)


@pytest.mark.parametrize(
    ("grace", "longest", "expected"), [(30, 300, (30, 90, 270)), (30, 20, (20,)), (10, 90, (10, 30))]
)
def test_rungs(grace: int, longest: int, expected: tuple[int, ...]) -> None:
    assert rungs(grace, longest, 3) == expected


def test_trials_that_have_diverged_stop_no_other() -> None:
    scheduler = OrderedHalving((10,), 3, lag=2)
    losses = [math.inf, math.nan, math.inf, math.nan, 0.5, math.inf, math.inf, 0.4]
    decisions = []
    for number, loss in enumerate(losses):
        trial = Trial(number, 0.3)
        scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        decisions.append(scheduler.on_trial_result(None, trial, {"loss": loss, "epochs": 10}))  # type: ignore[arg-type]
    stopped = [number for number, decision in enumerate(decisions) if decision == TrialScheduler.STOP]
    assert stopped == [6]  # the first after one that was a number


TELLING = """
import json, math
from dataclasses import asdict
from types import SimpleNamespace
from training.search.ray_trials import Progress

told = []
progress = Progress(2, told.append)
for trial_id, losses in (("a", [math.inf, 0.5]), ("b", [math.inf])):
    trial = SimpleNamespace(trial_id=trial_id, config={}, last_result=None)
    for epochs, loss in enumerate(losses):
        trial.last_result = {"epochs": epochs, "loss": loss, "complete": True}
        progress.on_trial_result(0, [], trial, trial.last_result)
    progress.on_trial_complete(0, [], trial)
print(json.dumps([asdict(each) for each in told], allow_nan=False))
"""


def test_a_loss_that_is_no_number_is_told_as_none() -> None:
    """In a process of its own: what searches import decides how Ray is entered."""
    done = subprocess.run(
        [sys.executable, "-c", TELLING], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert (first["loss"], first["best_loss"], first["curve"]) == (0.5, 0.5, [[1, 0.5]])
    assert (second["loss"], second["best_loss"], second["curve"]) == (None, 0.5, [])
