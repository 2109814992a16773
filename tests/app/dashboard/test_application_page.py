"""The page of one application with many jobs and decisions: as much of it as can be looked at."""

import re
from datetime import timedelta
from html import unescape

import httpx
import pytest_asyncio

from common.executions.candidate import Candidate
from common.executions.documents import ApplicationState, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from tests.support.samples import application_start, at, execution, job_end, unique_name

DECISIONS, JOBS, SHOWN = 300, 70, 50


@pytest_asyncio.fixture(scope="module")
async def run_id(service: httpx.AsyncClient, mongo: Client) -> str:
    """A run with a decision a second, each with a hundred candidates, of which one half had been chosen."""
    database = service.database  # type: ignore[attr-defined]
    executions = ExecutionRepository(mongo, database)
    run = execution(max_runtime=400.0)
    await executions.insert(run)
    reports = [application_start(run.id), *(job_end(run.id, number) for number in range(JOBS))]
    await executions.apply_events(
        run.id, [UpdateInformation.model_validate(each).event() for each in reports]
    )
    candidates = [Candidate(n, 1000.0 / n, 0.1) for n in range(1, 101)]
    for number in range(DECISIONS):
        await executions.insert_decision(
            ScalingDecision(
                id=unique_name(f"decision_{number:03}"),
                application_execution_id=run.id,
                application_id="spark-1",
                job_id=number,
                decided_at=at(number),
                elapsed_seconds=float(number),
                current_scale_out=2,
                target_seconds=400.0,
                model_key="a model",
                candidates=candidates,
                chosen_scale_out=50 if number % 2 else 2,
                reason=f"reason {number}",
            )
        )
    await executions.record_state(run.id, ApplicationState.COMPLETED, fields={"end_time": at(350)})
    return run.id


def numbers(text: str, what: str) -> list[int]:
    return [int(each) for each in re.findall(what, text)]


async def test_the_latest_stand_in_the_page_and_older_ones_behind_it(
    service: httpx.AsyncClient, run_id: str
) -> None:
    first = (await service.get(f"/ui/applications/{run_id}")).text
    assert numbers(first, r"<summary>reason (\d+)<") == list(range(299, 249, -1))
    assert numbers(first, r'id="job-(\d+)"') == list(range(20, 70))
    older_decisions, older_jobs = [unescape(each) for each in re.findall(r'href="([^"]+)" rel="next"', first)]

    second = (await service.get(older_decisions)).text
    assert numbers(second, r"<summary>reason (\d+)<") == list(range(249, 199, -1))
    assert numbers(second, r'id="job-(\d+)"') == list(range(20, 70))
    assert f'hx-get="/ui/applications/{run_id}?decisions=250"' in second
    assert f'href="/ui/applications/{run_id}#decisions">Newest' in second

    jobs = (await service.get(older_jobs)).text
    assert numbers(jobs, r'id="job-(\d+)"') == list(range(20))
    assert len(numbers(jobs, r"<summary>reason (\d+)<")) == SHOWN
    last = (await service.get(f"/ui/applications/{run_id}?decisions=1&jobs=1")).text
    assert (numbers(last, r"<summary>reason (\d+)<"), 'rel="next"' in last) == ([0], False)


async def test_what_became_of_decisions_is_as_the_api_says(service: httpx.AsyncClient, run_id: str) -> None:
    details = (await service.get(f"/submission/applications/{run_id}")).json()
    outcomes = [each["outcome"] for each in details["decisions"]]
    assert {each["status"] for each in outcomes} == {"unchanged", "replaced", "not_carried_out"}
    page = (await service.get(f"/ui/applications/{run_id}")).text
    rows = [row.partition("</tr>")[0] for row in page.split('<tr id="decision-')[1:]]
    for row, outcome in zip(rows, reversed(outcomes), strict=False):
        assert f"<td>{outcome['status'].replace('_', ' ')}</td>" in row
        assert ">8 min 20 s</td>" in row, "with two executors, whatever was chosen"
    plot = (await service.get(f"/ui/applications/{run_id}/plot")).json()
    assert [len(column) for column in plot["remaining"]] == [DECISIONS] * 5
    assert set(plot["remaining"][1]) == {500.0}


async def test_candidates_come_when_they_are_asked_for(service: httpx.AsyncClient, run_id: str) -> None:
    page = (await service.get(f"/ui/applications/{run_id}")).text
    assert "Candidates" not in page
    address = re.findall(r'data-hover hx-get="([^"]+)"', page)[0]
    part = (await service.get(unescape(address))).text
    assert part.count("<tr") == 101
    assert re.findall(r'aria-current="true"><td class="right">(\d+)<', part) == ["50"]
    assert "Candidates, by a model" in part
    odd = await service.get(f"/ui/applications/{run_id}/decisions/none", headers={"HX-Request": "true"})
    assert odd.status_code == 404
    other = address.replace(run_id, "another")
    assert (await service.get(unescape(other), headers={"HX-Request": "true"})).status_code == 404


async def test_a_run_past_its_target_is_late(service: httpx.AsyncClient, mongo: Client) -> None:
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    run = execution(max_runtime=60.0, algorithm_name=unique_name("Hangs"))
    await executions.insert(run)
    await executions.apply_event(run.id, UpdateInformation.model_validate(application_start(run.id)).event())
    started_at = at(0)
    await executions.insert_decision(
        ScalingDecision(
            id=unique_name("decision"),
            application_execution_id=run.id,
            application_id="spark-1",
            job_id=0,
            decided_at=started_at + timedelta(seconds=10),
            elapsed_seconds=10.0,
            current_scale_out=2,
            target_seconds=60.0,
            candidates=[Candidate(2, 40.0, 0.1)],
            chosen_scale_out=2,
            reason="because",
        )
    )
    for address in (f"/applications/{run.id}", "/overview/running", "/applications?state=running"):
        shown = (await service.get(f"/ui{address}")).text
        assert re.search(r'<span class="bad">at least [0-9,]+ h', shown), address
        assert "Projected end" not in shown
