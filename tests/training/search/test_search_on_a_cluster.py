"""Searches whose trials run on a Ray cluster that is there already."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.search_child import Child
from tests.support.synthetic import make_history
from training.history.values import RunRecord, history_to_json

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

Events = list[dict[str, Any]]

SHORT = make_history((2, 4, 6), jobs=3)


@pytest_asyncio.fixture(scope="module")
async def cluster() -> AsyncIterator[RayCluster]:
    """Two nodes with a processor each: two trials at a time are on both."""
    async with ray_cluster(1, nodes=2) as nodes:
        yield nodes


def entering(cluster: RayCluster) -> dict[str, str]:
    return {"RAY_ADDRESS": cluster.address, **cluster.variables}


def request(folder: Path, history: Sequence[RunRecord] = SHORT, **settings: int) -> Path:
    """A folder with what is searched for."""
    folder.mkdir()
    content = {"history": history_to_json(history), "seed": 5, **settings}
    (folder / "request.json").write_text(json.dumps(content))
    return folder


async def searched(folder: Path, variables: dict[str, str]) -> tuple[int, Events]:
    """Exit code and events of a whole search."""
    child = Child(folder, variables)
    try:
        events = await asyncio.to_thread(lambda: list(child.lines()))
        return await asyncio.to_thread(child.process.wait, 60), events
    finally:
        child.close()


async def test_a_search_that_is_killed_leaves_no_actor(cluster: RayCluster, tmp_path: Path) -> None:
    child = Child(request(tmp_path / "search", trials=500, max_epochs=20), entering(cluster))
    try:
        while not all(cluster.trials(node) for node in (0, 1)):
            assert child.process.poll() is None
            await asyncio.sleep(0.1)
        child.process.kill()
        assert await cluster.no_trials()
    finally:
        child.close()


async def test_a_cluster_that_refuses_a_token_is_told_and_worth_another_attempt(
    cluster: RayCluster, tmp_path: Path
) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    variables = entering(cluster) | {"RAY_AUTH_TOKEN_PATH": str(wrong)}
    code, events = await searched(request(tmp_path / "search", trials=2), variables)
    assert (code, events[-1]["event"], events[-1]["again"]) == (1, "error", True)
    assert f"RAY_ADDRESS ({cluster.address})" in events[-1]["message"]
    assert "token of RAY_AUTH_TOKEN" in events[-1]["message"]


async def test_both_nodes_run_trials_and_without_one_a_seed_still_gives_the_files_that_it_gives_here(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """Last of all: the cluster has one node from then on."""
    # Long trials: one that is over before the other node's actor has started takes that one's trial.
    # On a busy machine all of them may be: then there are more.
    long = make_history((2, 3, 4, 6, 8, 12, 3, 5, 7, 9), jobs=12)
    for count in (4, 12, 36):
        there = request(tmp_path / f"{count} there", long, trials=count, max_epochs=200)
        child = Child(there, entering(cluster))
        events: Events = []
        nodes: set[str] = set()
        try:
            lines = child.lines()
            while len(nodes) < 2 and (event := await asyncio.to_thread(next, lines, None)):
                events.append(event)
                nodes |= {event["node"]} if event["event"] == "trial" else set()
            if len(nodes) == 2:
                await cluster.nodes[1].stop()
            events += await asyncio.to_thread(list, lines)
            assert await asyncio.to_thread(child.process.wait, 60) == 0, events[-1]
        finally:
            child.close()
        if len(nodes) == 2:
            break
    assert len(nodes) == 2, events
    assert any(cluster.address in event.get("line", "") for event in events)
    trials = [event for event in events if event["event"] == "trial"]
    assert [(trial["done"], trial["total"]) for trial in trials] == [(n, count) for n in range(1, count + 1)]
    for trial in trials:
        epochs = [epochs for epochs, _ in trial["curve"]]
        assert epochs == list(range(10, 10 * len(epochs) + 1, 10))
    assert await cluster.no_trials()
    assert cluster.token not in json.dumps(events) + (there / "stderr.log").read_text()
    assert {path.name for path in there.iterdir()} == {"request.json", "artifact", "stderr.log"}

    here = request(tmp_path / "here", long, trials=count, max_epochs=200)
    assert (await searched(here, {}))[0] == 0
    for file in (here / "artifact").iterdir():
        assert (there / "artifact" / file.name).read_bytes() == file.read_bytes()
