"""Reports that wait are stored together, each with an outcome of its own, on a real replica set."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import ApplicationExecutionNotFound, PayloadTooLarge, Unavailable
from common.executions.reports import queue
from common.executions.reports.storage import Outcome, Report
from common.executions.repository import ExecutionRepository
from common.mongo.stored import UnreadableDocument
from common.mongo.types import Client
from common.wire.events import JobEnded, UpdateInformation
from tests.support.samples import application_start, execution, job_end, stage


class Batches:
    """Sees a repository's batches in the order of their commits, and holds them until `goes_on` is set."""

    def __init__(self, executions: ExecutionRepository) -> None:
        self._store = executions._reports._store
        executions._reports._store = self._watched
        self.stored: list[list[Report]] = []
        self.started: asyncio.Queue[list[str]] = asyncio.Queue()
        self._under_way: set[str] = set()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def _watched(self, reports: Sequence[Report]) -> Sequence[Outcome]:
        runs = {report.application_execution_id for report in reports}
        assert not runs & self._under_way, "a run is in two transactions at once"
        self._under_way |= runs
        self.started.put_nowait(sorted(runs))
        await self.goes_on.wait()
        outcomes = await self._store(reports)
        self.stored.append(list(reports))
        self._under_way -= runs
        return outcomes

    def jobs(self, since: int = 0) -> list[list[tuple[str, int]]]:
        return [
            [
                (report.application_execution_id, report.event.job_id)
                for report in batch
                if isinstance(report.event, JobEnded)
            ]
            for batch in self.stored[since:]
        ]


@pytest.fixture
def batches(executions: ExecutionRepository) -> Batches:
    return Batches(executions)


async def new_runs(executions: ExecutionRepository, count: int) -> list[str]:
    created = [execution() for _ in range(count)]
    for each in created:
        await executions.insert(each)
    return [each.id for each in created]


def sending(executions: ExecutionRepository, body: dict[str, Any]) -> asyncio.Task[Any]:
    update = UpdateInformation.model_validate(body)
    return asyncio.create_task(executions.apply_event(update.application_execution_id, update.event()))


async def all_held(executions: ExecutionRepository, batches: Batches) -> list[asyncio.Task[Any]]:
    """As many batches as there may be, under way until `goes_on` is set: everything else waits."""
    batches.goes_on.clear()
    batches.started = asyncio.Queue()
    runs = await new_runs(executions, queue.MOST_BATCHES)
    held = []
    for run in runs:
        held.append(sending(executions, job_end(run, 0)))
        assert await batches.started.get() == [run]
    return held


async def waiting(count: int) -> None:
    """Once tasks that were just made have put their reports into the queue."""
    for _ in range(count + 2):
        await asyncio.sleep(0)


async def test_a_report_alone_is_a_batch_alone(executions: ExecutionRepository, batches: Batches) -> None:
    [run] = await new_runs(executions, 1)
    for job_id in range(3):
        await sending(executions, job_end(run, job_id))
    assert batches.jobs() == [[(run, 0)], [(run, 1)], [(run, 2)]]


async def test_what_has_arrived_already_comes_along(
    executions: ExecutionRepository, batches: Batches
) -> None:
    runs = await new_runs(executions, 3)
    sent = []
    for run in runs:
        sent.append(sending(executions, job_end(run, 0)))
        await asyncio.sleep(0)  # as requests that lie in sockets are read one after the other
    await asyncio.gather(*sent)
    assert batches.jobs() == [[(run, 0) for run in runs]]


@pytest.mark.parametrize("turns", range(12))
async def test_no_report_is_left_by_a_batch_that_was_the_last(
    executions: ExecutionRepository, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(queue, "MOST_BATCHES", 1)
    [run] = await new_runs(executions, 1)
    await sending(executions, job_end(run, 0))
    for _ in range(turns):
        await asyncio.sleep(0)
    await sending(executions, job_end(run, 1))  # raises ExecutionTimeout where nobody takes it
    assert [job.job_id for job in await executions.finished_jobs(run)] == [0, 1]


async def test_those_of_one_run_are_stored_in_their_order(
    executions: ExecutionRepository, batches: Batches
) -> None:
    [run] = await new_runs(executions, 1)
    batches.goes_on.clear()
    first = sending(executions, job_end(run, 9))
    await batches.started.get()
    rest = [sending(executions, job_end(run, job_id)) for job_id in (3, 7, 1, 5)]
    await waiting(4)
    batches.goes_on.set()
    await asyncio.gather(first, *rest)
    assert batches.jobs() == [[(run, 9)], [(run, 3), (run, 7), (run, 1), (run, 5)]]
    assert [job.job_id for job in await executions.finished_jobs(run)] == [1, 3, 5, 7, 9]


async def test_all_jobs_of_one_run_at_once(executions: ExecutionRepository, batches: Batches) -> None:
    [run] = await new_runs(executions, 1)
    await sending(executions, application_start(run))
    results = await asyncio.gather(*(sending(executions, job_end(run, job_id)) for job_id in range(18)))
    assert [each.last_job_id for each in results] == list(range(18))
    assert [job.job_id for job in await executions.finished_jobs(run)] == list(range(18))
    assert len(batches.stored) <= 4, "the start, and three for what has waited"


async def test_reports_of_several_runs_are_one_batch(
    executions: ExecutionRepository, batches: Batches, mongo: Client, database: str
) -> None:
    held = await all_held(executions, batches)
    one, other = await new_runs(executions, 2)
    bodies = [application_start(one), job_end(other, 4), job_end(one, 0), application_start(other)]
    sent = [sending(executions, body) for body in bodies]
    await waiting(4)
    batches.goes_on.set()
    results = await asyncio.gather(*sent, *held)
    assert {report.application_execution_id for report in batches.stored[-1]} == {one, other}
    assert results[2] == await executions.get(one)
    assert results[3] == await executions.get(other)
    async for job in mongo[database]["job_execution"].find(
        {"application_execution_id": {"$in": [one, other]}}
    ):
        assert job["application_signature"] == "k-means", "whether it came before the start or after it"


async def test_what_one_floods_with_does_not_keep_others_waiting(
    executions: ExecutionRepository, batches: Batches
) -> None:
    """By turns: every other one is in the next batch, whatever the first one has sent before."""
    held = await all_held(executions, batches)
    flood, *others = await new_runs(executions, 6)
    flooding = [sending(executions, job_end(flood, job_id)) for job_id in range(60)]
    await waiting(60)
    sent = [sending(executions, job_end(other, 0)) for other in others]
    await waiting(5)
    batches.goes_on.set()
    await asyncio.gather(*held, *flooding, *sent)
    following = batches.jobs(len(held))
    assert set(following[0]) == {(flood, job_id) for job_id in range(queue.MOST_OF_ONE_RUN)} | {
        (other, 0) for other in others
    }
    assert max(len(batch) for batch in following[1:]) == queue.MOST_OF_ONE_RUN
    assert [job for batch in following for run, job in batch if run == flood] == list(range(60))


def too_large(run: str) -> dict[str, Any]:
    text = "x" * 4096
    stages = {
        str(number): stage(number, 0, 1000, stage_name=text, failure_reason=text) for number in range(2000)
    }
    return job_end(run, 0, stages=stages)


async def test_a_report_that_cannot_be_stored_fails_alone(
    executions: ExecutionRepository, batches: Batches, mongo: Client, database: str
) -> None:
    """All in one batch: unknown, too large, unreadable, refused by the driver and by MongoDB itself."""
    good, large, unreadable, unreadable_job, refused, other = await new_runs(executions, 6)
    found = mongo[database]
    await found["application_execution"].update_one(
        {"_id": unreadable}, {"$set": {"global_specs.max_runtime": "soon"}}
    )
    await sending(executions, job_end(unreadable_job, 0))
    query = {"application_execution_id": unreadable_job}
    await found["job_execution"].update_one(query, {"$set": {"stages": "none"}})
    await found.command("collMod", "job_execution", validator={"job_result": {"$ne": "refused"}})
    held = await all_held(executions, batches)
    no_text = UpdateInformation.model_validate(job_end(other, 0)).event()
    no_text = no_text.model_copy(update={"job_result": "\ud800"})
    sent = {
        "first": sending(executions, job_end(good, 0)),
        "unknown": sending(executions, job_end("nobody", 0)),
        "large": sending(executions, too_large(large)),
        "unreadable": sending(executions, job_end(unreadable, 0)),
        "unreadable job": sending(executions, job_end(unreadable_job, 0)),
        "another job": sending(executions, job_end(unreadable_job, 1)),
        "refused": sending(executions, job_end(refused, 0, job_result="refused")),
        "not refused": sending(executions, job_end(refused, 1)),
        "no text": asyncio.create_task(executions.apply_event(other, no_text)),
        "last": sending(executions, job_end(good, 1)),
    }
    await waiting(len(sent))
    batches.goes_on.set()
    outcomes = dict(zip(sent, await asyncio.gather(*sent.values(), return_exceptions=True), strict=True))
    await asyncio.gather(*held)
    assert len(batches.stored[-1]) + len(batches.stored[-2]) >= len(sent)
    failed = {name: type(each) for name, each in outcomes.items() if isinstance(each, Exception)}
    assert failed.keys() == {"unknown", "large", "unreadable", "unreadable job", "refused", "no text"}
    assert failed["unknown"] is ApplicationExecutionNotFound
    assert failed["large"] is PayloadTooLarge
    assert failed["unreadable"] is failed["unreadable job"] is UnreadableDocument
    assert [job.job_id for job in await executions.finished_jobs(good)] == [0, 1]
    assert [job.job_id for job in await executions.finished_jobs(refused)] == [1]
    assert not await executions.finished_jobs(other)
    assert (await executions.get(refused)).last_job_id == 1


async def test_who_does_not_wait_any_more_takes_nothing_from_others(
    executions: ExecutionRepository, batches: Batches
) -> None:
    [run] = await new_runs(executions, 1)
    batches.goes_on.clear()
    under_way = sending(executions, job_end(run, 0))
    await batches.started.get()
    cancelled, kept = (sending(executions, job_end(run, job_id)) for job_id in (1, 2))
    await waiting(2)
    for each in (under_way, cancelled):
        each.cancel()
    await waiting(2)
    batches.goes_on.set()
    assert (await kept).last_job_id == 2
    assert under_way.cancelled()
    assert cancelled.cancelled()
    stored = {job.job_id for job in await executions.finished_jobs(run)}
    assert stored >= {0, 2}, "what was under way is stored"
    assert (await sending(executions, job_end(run, 1))).last_job_id == 2
    assert not executions._reports._queues


async def test_more_than_can_wait_is_sent_again_later(
    executions: ExecutionRepository, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that sends too much is told so while others are still taken."""
    monkeypatch.setattr(queue, "MOST_WAITING", 40)
    held = await all_held(executions, batches)
    flood, *others = await new_runs(executions, 6)
    sent = [sending(executions, job_end(flood, job_id)) for job_id in range(12)]
    await waiting(12)
    refused = [each for each in sent if each.done()]
    assert len(refused) == 12 - 40 // 4
    for each in refused:
        error = each.exception()
        assert isinstance(error, Unavailable)
        assert error.headers["Retry-After"]
    sent += [sending(executions, job_end(run, job)) for run in others for job in range(7)]
    await waiting(35)
    assert sum(each.done() for each in sent) == 2 + 5, "thirty of the others are taken"
    batches.goes_on.set()
    await asyncio.gather(*held, *sent, return_exceptions=True)
    assert (await sending(executions, job_end(flood, 11))).last_job_id == 11
    assert (executions._reports._count, executions._reports._bytes) == (0, 0)


async def test_many_reports_of_one_run_are_handed_over_at_once(
    executions: ExecutionRepository, batches: Batches
) -> None:
    [run] = await new_runs(executions, 1)
    events = [UpdateInformation.model_validate(job_end(run, job_id)).event() for job_id in range(40)]
    execution_after = await executions.apply_events(run, events)
    assert execution_after == await executions.get(run)
    assert [len(batch) for batch in batches.stored] == [16, 16, 8]


async def test_an_event_of_an_application_is_sized_by_what_it_holds() -> None:
    small, large = (
        UpdateInformation.model_validate(job_end("run", 0, stages=stages)).event()
        for stages in ({}, {"1": stage(1, 0, 1000, stage_name="x" * 4000)})
    )
    assert queue.size_of(large) - queue.size_of(small) > 4000
