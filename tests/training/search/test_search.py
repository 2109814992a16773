import contextlib
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from tests.support.search_child import Child
from tests.support.synthetic import make_history
from training.history.values import history_from_json, history_to_json
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.search.config import Choice, SearchConfig
from training.search.process import read_request


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    children = []

    def start_child(request: Any, folder: Path = tmp_path) -> Child:
        content = request if isinstance(request, str) else json.dumps(request)
        (folder / "request.json").write_text(content)
        children.append(Child(folder))
        return children[-1]

    yield start_child
    for child in children:
        child.close()


TRIALS = 4


@dataclass
class Searched:
    """A search that has ended well."""

    folder: Path
    child: Child
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Searched]]:
    """The same search with one trial at a time and with two, by that number."""
    history = history_to_json(make_history((2, 4, 6), jobs=4))
    request = {"history": history, "trials": TRIALS, "seed": 5, "max_epochs": 10}
    found = {}
    with contextlib.ExitStack() as stack:
        for at_a_time in (1, 2):
            folder = tmp_path_factory.mktemp("search")
            (folder / "request.json").write_text(json.dumps(request | {"max_concurrent": at_a_time}))
            child = stack.enter_context(contextlib.closing(Child(folder)))
            found[at_a_time] = Searched(folder, child, list(child.lines()))
            assert child.process.wait(60) == 0, found[at_a_time].events
        yield found


def test_a_search_reports_its_trials_and_leaves_a_model(searched: dict[int, Searched]) -> None:
    folder, events = searched[1].folder, searched[1].events
    trials = [event for event in events if event["event"] == "trial"]
    assert [trial["done"] for trial in trials] == list(range(1, TRIALS + 1))
    assert all(trial["total"] == TRIALS and trial["state"] in {"TERMINATED", "PRUNED"} for trial in trials)
    names = {field.name for field in fields(Hyperparameters)}
    assert all(trial["hyperparameters"].keys() == names for trial in trials)
    assert trials[0]["hyperparameters"] == asdict(Hyperparameters())
    assert [trial["best_loss"] for trial in trials] == [
        min(trial["loss"] for trial in trials[: i + 1]) for i in range(TRIALS)
    ]

    result = events[-1]
    assert result["event"] == "result"
    assert result["trials"] == TRIALS
    assert result["best_loss"] == pytest.approx(trials[-1]["best_loss"])
    model = TrainedModel.from_files({f.name: f.read_bytes() for f in (folder / "artifact").iterdir()})
    assert asdict(model.hyperparameters) == result["hyperparameters"]
    assert dict(model.validation) == result["validation"]
    assert model.validation["score"] <= result["best_loss"]  # how far it counts is chosen at the end
    assert {path.name for path in folder.iterdir()} == {"request.json", "artifact", "stderr.log"}
    assert searched[1].child.left_over() == []


def test_a_seed_gives_the_same_files_however_many_trials_run_at_a_time(
    searched: dict[int, Searched],
) -> None:
    alone, together = (
        {file.name: file.read_bytes() for file in (searched[at_a_time].folder / "artifact").iterdir()}
        for at_a_time in (1, 2)
    )
    assert alone.keys() == {"model.json", "weights.safetensors"}
    assert alone == together


def test_a_single_trial_is_the_first_of_a_search_and_needs_no_ray(
    searched: dict[int, Searched], start: Any
) -> None:
    request = json.loads((searched[1].folder / "request.json").read_text())
    child, events = start(request | {"trials": 1}), []
    for event in child.lines():
        events.append(event)
        assert child.started() == set()
    assert child.process.wait(60) == 0, events
    [trial] = [event for event in events if event["event"] == "trial"]
    first = next(event for event in searched[1].events if event["event"] == "trial")
    own = {"trial", "node", "total", "best_loss"}
    assert {k: v for k, v in trial.items() if k not in own} == {
        k: v for k, v in first.items() if k not in own
    }
    assert (trial["total"], trial["best_loss"]) == (1, trial["loss"])
    assert events[-1]["trials"] == 1
    assert events[-1]["best_loss"] == first["loss"]


def test_terminating_a_single_trial(start: Any) -> None:
    request = {"history": history_to_json(make_history(tuple(range(2, 32)), jobs=60)), "trials": 1}
    child = start(request)
    assert next(child.lines())["event"] == "log"
    time.sleep(3)  # by then it trains, or prepares what it trains with; both take longer
    assert child.process.poll() is None
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(60) == 128 + signal.SIGTERM
    assert child.left_over() == []


def test_terminating_a_search_ends_all_of_it(start: Any) -> None:
    request = {"history": history_to_json(make_history((2, 4, 6))), "trials": 500, "max_epochs": 20}
    child = start(request | {"max_concurrent": 1})
    first = next(event for event in child.lines() if event["event"] == "trial")
    assert first["done"] == 1
    assert "raylet" in child.descendants()
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(60) == 128 + signal.SIGTERM
    assert child.left_over() == []


@pytest.mark.parametrize(
    "processes",
    [(), pytest.param(("gcs_server",), marks=pytest.mark.long), ("raylet",)],
    ids=lambda names: "".join(names),
)
def test_terminating_a_search_while_it_starts(start: Any, processes: tuple[str, ...]) -> None:
    """Before Ray is imported, and while it starts, when a handler of Ray's own is in place."""
    request = {"history": history_to_json(make_history((2, 4, 6))), "trials": 500, "max_epochs": 20}
    child = start(request | {"max_concurrent": 1})
    assert next(child.lines())["event"] == "log"
    while not set(processes) <= child.started():
        assert child.process.poll() is None
        time.sleep(0.01)
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(120) == 128 + signal.SIGTERM
    assert child.left_over() == []


@pytest.mark.parametrize(
    "request_text",
    [
        "{",
        "[]",
        '{"trials": 3}',
        '{"history": [{}]}',
        '{"history": [], "trials": 0}',
        '{"history": [], "seed": "x"}',
    ],
)
def test_a_request_that_cannot_be_used(request_text: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(request_text)
    with pytest.raises(ValueError, match=r"request\.json"):
        read_request(tmp_path)


def test_failures_are_told_and_end_with_one(start: Any, tmp_path: Path) -> None:
    child = start('{"history": [{"run_id": 1}]}')
    events = list(child.lines())
    assert child.process.wait(30) == 1
    assert [event["event"] for event in events] == ["error"]
    assert "request.json" in events[0]["message"]
    assert not (tmp_path / "artifact").exists()


def test_an_empty_history_is_told(start: Any) -> None:
    child = start({"history": [], "trials": 2})
    events = list(child.lines())
    assert child.process.wait(60) == 1
    assert events[-1]["event"] == "error"
    assert "EmptyHistory" in events[-1]["message"]


def test_histories_travel_as_json() -> None:
    history = make_history((2, 4), stages=3)
    assert history_from_json(json.loads(json.dumps(history_to_json(history)))) == history
    assert history_from_json(json.loads(json.dumps([asdict(run) for run in history]))) == history


def test_the_space_names_hyperparameters_whose_bounds_are_possible() -> None:
    space = SearchConfig().space
    assert space.keys() == {field.name for field in fields(Hyperparameters)}
    for pick in (0, -1):
        Hyperparameters(
            **{
                name: choice.options[pick] if isinstance(choice, Choice) else (choice.low, choice.high)[pick]
                for name, choice in space.items()
            }
        )
