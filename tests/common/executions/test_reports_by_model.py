"""Reports in any order, twice, cut off, through two replicas: what is stored is what a small model says."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo import AsyncMongoClient

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from tests.support.replica_set import ReplicaSet, replica_set
from tests.support.samples import (
    START_MS,
    application_start,
    at,
    context_end,
    execution,
    job_end,
    unique_name,
)

DRIVERS = {"spark-a": 0, "spark-b": 500}
"""Attempts of one application, with the seconds after which they start."""

END_SECONDS = 2000

drivers = st.sampled_from(sorted(DRIVERS))
job_ids = st.integers(0, 5)
versions = st.integers(0, 1)
"""A job may be reported again, with a later end, as where its stages came late."""
replicas = st.integers(0, 1)
moments = st.floats(0, 0.02)


def started(driver: str) -> dict[str, Any]:
    return application_start("", driver, start_time=START_MS + 1000 * DRIVERS[driver])


def ended_job(driver: str, job_id: int, version: int) -> dict[str, Any]:
    start_seconds = DRIVERS[driver] + 10.0 * job_id + 1
    return job_end(
        "", job_id, driver, start_seconds=start_seconds, runtime_seconds=3.0 + version, scale_out=2 + version
    )


class Model:
    """What is to be stored of one application execution."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, int], int] = {}
        """By driver and job the latest version."""
        self.starts: set[str] = set()
        self.in_charge: str | None = None
        self.ends: dict[str, int] = {}
        """Drivers that have told of their end, with how many jobs they ended."""

    @property
    def ended_jobs(self) -> int | None:
        """Of the driver in charge."""
        return self.ends.get(self.in_charge or "")

    def start(self, driver: str) -> None:
        self.starts.add(driver)
        self.in_charge = max(self.starts, key=lambda each: DRIVERS[each])

    def end_job(self, driver: str, job_id: int, version: int) -> None:
        key = driver, job_id
        self.jobs[key] = max(self.jobs.get(key, 0), version)
        self.in_charge = self.in_charge or driver

    def end(self, driver: str, jobs: int) -> None:
        self.ends[driver] = jobs
        self.in_charge = self.in_charge or driver


class Reports(RuleBasedStateMachine):
    """Every report goes to one of two repositories, each with a client of its own, as of two services."""

    repositories: list[ExecutionRepository]
    mongodb: ReplicaSet | None = None
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def new_execution(self) -> None:
        created = execution()
        self.run(self.repositories[0].insert(created))
        self.id = created.id

    async def report(self, replica: int, body: dict[str, Any]) -> None:
        event = UpdateInformation.model_validate({**body, "application_execution_id": self.id}).event()
        await self.repositories[replica].apply_event(self.id, event)

    async def cut_off(self, replica: int, body: dict[str, Any], seconds: float) -> None:
        """A driver that is killed, or gives up: nobody knows whether the report is stored."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.report(replica, body)

    @rule(driver=drivers, replica=replicas)
    def starts(self, driver: str, replica: int) -> None:
        self.run(self.report(replica, started(driver)))
        self.model.start(driver)

    @rule(driver=drivers, job_id=job_ids, version=versions, replica=replicas)
    def ends_a_job(self, driver: str, job_id: int, version: int, replica: int) -> None:
        self.run(self.report(replica, ended_job(driver, job_id, version)))
        self.model.end_job(driver, job_id, version)

    @rule(driver=drivers, jobs=st.integers(0, 9), replica=replicas)
    def ends(self, driver: str, jobs: int, replica: int) -> None:
        self.run(self.report(replica, context_end("", END_SECONDS, driver, ended_jobs=jobs)))
        self.model.end(driver, jobs)

    @rule(driver=drivers, ended=st.lists(st.tuples(job_ids, versions, replicas), min_size=2, max_size=8))
    def ends_jobs_at_once(self, driver: str, ended: list[tuple[int, int, int]]) -> None:
        async def report_all() -> None:
            reports = [
                self.report(replica, ended_job(driver, job, version)) for job, version, replica in ended
            ]
            await asyncio.gather(*reports)

        self.run(report_all())
        for job_id, version, _ in ended:
            self.model.end_job(driver, job_id, version)

    @rule(driver=drivers, job_id=job_ids, version=versions, replica=replicas, seconds=moments)
    def is_cut_off_and_reports_again(
        self, driver: str, job_id: int, version: int, replica: int, seconds: float
    ) -> None:
        async def report() -> None:
            await self.cut_off(replica, ended_job(driver, job_id, version), seconds)
            await self.report(1 - replica, ended_job(driver, job_id, version))

        self.run(report())
        self.model.end_job(driver, job_id, version)

    @precondition(lambda self: self.mongodb is not None)
    @rule(chance=st.integers(0, 9))
    def mongodb_is_killed(self, chance: int) -> None:
        async def restart(mongodb: ReplicaSet) -> None:
            only = await mongodb.primary()
            await mongodb.kill(only)
            await mongodb.start([only])
            await mongodb.primary()

        if chance == 0 and self.mongodb is not None:
            self.run(restart(self.mongodb))

    @invariant()
    def what_is_stored_is_what_the_model_says(self) -> None:
        if hasattr(self, "id"):
            self.run(self.compare())

    async def compare(self) -> None:
        stored = await self.repositories[0].get(self.id)
        jobs = await self.repositories[1].finished_jobs(self.id)
        found = {(job.application_id, job.job_id): job for job in jobs}
        assert len(found) == len(jobs)
        assert found.keys() == self.model.jobs.keys()
        for (driver, job_id), version in self.model.jobs.items():
            job = found[driver, job_id]
            assert job.end_time == at(DRIVERS[driver] + 10.0 * job_id + 4 + version)
            assert job.end_scale_out == 2 + version
            assert [stage is None for stage in job.stages.values()] == [False, False, True]
        assert stored.application_id == self.model.in_charge
        assert {start.application_id for start in stored.driver_starts} == self.model.starts
        assert stored.driver_start_count == len(self.model.starts)
        assert stored.ended_jobs == self.model.ended_jobs
        assert {end.application_id: end.ended_jobs for end in stored.driver_ends} == self.model.ends
        of_driver = [job for (driver, _), job in found.items() if driver == self.model.in_charge]
        if of_driver:
            latest = max(of_driver, key=lambda job: job.end_time)
            assert (stored.last_job_id, stored.last_job_end_time) == (latest.job_id, latest.end_time)


ROUNDS = 10

QUICK = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # steps are slow: what fails first says enough
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def machine(uri: str, runner: asyncio.Runner) -> Iterator[dict[str, Any]]:
    """What a machine needs beside its rules: two repositories with clients of their own."""
    database = unique_name("model")

    async def opened() -> list[Client]:
        clients: list[Client] = [AsyncMongoClient(uri, tz_aware=True) for _ in range(2)]
        await ExecutionRepository(clients[0], database).create_indexes()
        return clients

    async def close(clients: list[Client]) -> None:
        await clients[0].drop_database(database)
        for client in clients:
            await client.close()

    clients = runner.run(opened())
    repositories = [ExecutionRepository(client, database) for client in clients]
    yield {"repositories": repositories, "loop": runner.get_loop()}
    runner.run(close(clients))


def test_a_few_sequences(mongo_uri: str) -> None:
    with asyncio.Runner() as runner, machine(mongo_uri, runner) as fields:
        run_state_machine_as_test(type("Quick", (Reports,), fields), settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_sequences_with_a_mongodb_that_is_killed(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        try:
            mongodb = runner.run(stack.enter_async_context(replica_set(tmp_path, 1)))
            with machine(mongodb.uri, runner) as fields:
                # One search ends after ten minutes by Hypothesis 6.170.15: "inconsistent data generation".
                many = settings(QUICK, max_examples=20, stateful_step_count=40, derandomize=False)
                for number in range(ROUNDS):
                    kind = type(f"Many{number}", (Reports,), {**fields, "mongodb": mongodb})
                    run_state_machine_as_test(seed(number)(kind), settings=many)
        finally:
            runner.run(stack.aclose())
