"""The service as a process: how it starts, ends, is killed, and what is there afterwards."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from app.client.process import ServiceProcess
from common.executions.repository import ExecutionRepository
from common.mongo.embedded import embedded_mongod
from common.mongo.types import Client
from common.processes.guarded import free_port
from tests.support.finished_runs import store_history
from tests.support.left_processes import all_gone, command_line, mongod_of, processes_of
from tests.support.samples import execution, job_end, unique_name
from tests.support.services import failing_start, started_service
from training.runs.repository import TrainingRunRepository

pytestmark = pytest.mark.service

UPDATE = "/training/update_information"


async def new_execution(uri: str, database: str) -> str:
    """An execution of which no application runs."""
    client: Client = AsyncMongoClient(uri, tz_aware=True)
    created = execution()
    await ExecutionRepository(client, database).insert(created)
    await client.close()
    return created.id


def embedded_uri(data_dir: Path) -> str:
    arguments = command_line(mongod_of(data_dir / "mongodb"))
    return f"mongodb://127.0.0.1:{arguments[arguments.index('--port') + 1]}/?directConnection=true"


async def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    """With nothing configured: the embedded MongoDB dies with the service, and comes back with it.

    Twice in the middle of what drivers of six applications report over 32 connections, whose reports
    are stored together.
    """
    acknowledged: list[tuple[str, int]] = []
    for acknowledged_first in (10, 75):
        async with started_service(tmp_path) as service:
            uri = embedded_uri(tmp_path)
            runs = [await new_execution(uri, "enel_service") for _ in range(6)]
            told = await _reports_until_killed(service, runs, acknowledged_first)
            await service.process.wait()
        assert len(told) >= acknowledged_first
        acknowledged += told

    async with started_service(tmp_path):
        client: Client = AsyncMongoClient(embedded_uri(tmp_path), tz_aware=True)
        jobs = await client["enel_service"]["job_execution"].find().to_list()
        await client.close()
        stored = [(job["application_execution_id"], job["job_id"]) for job in jobs]
        assert set(acknowledged) <= set(stored)
        assert len(set(stored)) == len(stored)
    assert await all_gone(tmp_path)


async def _reports_until_killed(
    service: ServiceProcess, runs: Sequence[str], acknowledged_first: int
) -> list[tuple[str, int]]:
    """Report the ends of 18 jobs of each, most of them at once; returns what was acknowledged."""
    acknowledged: list[tuple[str, int]] = []

    async def report(client: httpx.AsyncClient, run: str, job_id: int) -> None:
        response = await client.post(UPDATE, json=job_end(run, job_id))
        if response.status_code == 200:
            acknowledged.append((run, job_id))
            if len(acknowledged) == acknowledged_first:
                service.process.kill()

    async with httpx.AsyncClient(
        base_url=service.url, timeout=20, limits=httpx.Limits(max_connections=32)
    ) as client:
        reports = [report(client, run, job_id) for job_id in range(18) for run in runs]
        await asyncio.gather(*reports, return_exceptions=True)
    return acknowledged


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopping_leaves_no_process_and_no_traceback(tmp_path: Path, number: int) -> None:
    async with started_service(tmp_path) as service:
        assert processes_of(tmp_path / "mongodb")
        assert await service.stop(number) == 0
        assert await all_gone(tmp_path, 1)
        assert "Traceback" not in service.log.read_text()


async def test_a_killed_service_leaves_no_process(tmp_path: Path) -> None:
    async with started_service(tmp_path) as service:
        await service.kill()
        assert await all_gone(tmp_path)


async def test_an_open_stream_does_not_keep_a_stopping_service(tmp_path: Path) -> None:
    """The one who waits is told where to look later; the training starts over, unpunished."""
    async with started_service(tmp_path, TRAINING_HEARTBEAT_SECONDS="0.5") as service:
        client: Client = AsyncMongoClient(embedded_uri(tmp_path), tz_aware=True)
        await store_history(ExecutionRepository(client, "enel_service"))
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            request = {"algorithm_name": "KMeans", "model_name": "onlinepredictor", "trials": 1000}
            waiting = asyncio.create_task(
                http.post("/training/trigger_model_training", params={"wait": "true"}, json=request)
            )
            runs = TrainingRunRepository(client, "enel_service")
            while not await runs.in_progress():
                await asyncio.sleep(0.1)
            [run] = await runs.in_progress()
            async with http.stream("GET", f"/training/runs/{run.id}/events") as following:
                events = following.aiter_text()
                told = await anext(events)
                await client.close()
                assert await service.stop() == 0
                assert (await waiting).status_code == 202
                told += "".join([event async for event in events])
            assert "RUNNING" in told
        assert "Traceback" not in service.log.read_text()

    async with (
        started_service(tmp_path, TRAINING_HEARTBEAT_SECONDS="0.5") as service,
        httpx.AsyncClient(base_url=service.url, timeout=60) as http,
    ):
        for _ in range(100):
            again = (await http.get(f"/training/runs/{run.id}")).json()
            if again["state"] == "RUNNING":
                break
            await asyncio.sleep(0.1)
        assert (again["state"], again["attempts"]) == ("RUNNING", 1)
        assert any("stopped" in line for line in again["log"])
        await http.post(f"/training/runs/{run.id}/cancel")
    assert await all_gone(tmp_path)


async def test_without_its_mongodb_the_service_stops(tmp_path: Path) -> None:
    async with started_service(tmp_path, MONGODB_TIMEOUT_SECONDS="5") as service:
        mongod = mongod_of(tmp_path / "mongodb")
        mongod.kill()
        assert await asyncio.wait_for(service.process.wait(), 60) == 0
        assert "embedded MongoDB has ended" in service.log.read_text()
    assert await all_gone(tmp_path)


async def test_two_services_on_one_folder_are_told(tmp_path: Path) -> None:
    async with started_service(tmp_path / "shared"):
        code, message = await failing_start(tmp_path, DATA_DIR=str(tmp_path / "shared"))
    assert code == 2
    assert "DATA_DIR" in message


Impossible = Sequence[tuple[dict[str, str], str]]
"""Settings, and the one that a failed start has to name first."""

IMPOSSIBLE: Impossible = [
    ({"MONGODB_ENDPOINT": "127.0.0.1", "MONGODB_PORT": "{closed}"}, "MONGODB_ENDPOINT"),
    ({"HDFS_ENDPOINT": "http://127.0.0.1:{closed}"}, "HDFS_ENDPOINT"),
    ({"KUBERNETES_ENDPOINT": "https://127.0.0.1:{closed}"}, "KUBERNETES_ENDPOINT"),
    ({"PORT": "{taken}"}, "PORT"),
    ({"TRAINING_TRIALS": "many"}, "TRAINING_TRIALS"),
    ({"training_schedules": '{{"KMeans": "0 3 31 2 *"}}'}, "TRAINING_SCHEDULES"),
    ({"MONGODB_ENDPOINT": "mongodb://u:hunter2@h/?tls=true&tlsCAFile=/none"}, "MONGODB_ENDPOINT"),
    ({"LISTENER_JAR": "/none.jar"}, "LISTENER_JAR"),
    ({"DATA_DIR": "/dev/null"}, "DATA_DIR"),
    ({"HOST": "nowhere.invalid"}, "HOST"),
]
"""One for each place that finds out."""

MORE_IMPOSSIBLE: Impossible = [
    ({"mongodb_endpoint": "not a host!"}, "MONGODB_ENDPOINT"),
    ({"PORT": "70000"}, "PORT"),
    ({"LOGGING_LEVEL": "loud"}, "LOGGING_LEVEL"),
    ({"TRAINING_INTERVAL": "soon"}, "TRAINING_INTERVAL"),
    ({"TRAINING_INTERVAL": "0"}, "TRAINING_INTERVAL"),
    ({"TRAINING_SCHEDULES": "KMeans: daily"}, "TRAINING_SCHEDULES"),
    ({"TRAINING_SCHEDULES": '["0 3 * * *"]'}, "TRAINING_SCHEDULES"),
    ({"TRAINING_TIME_ZONE": "Europe/Nowhere"}, "TRAINING_TIME_ZONE"),
    ({"PROMOTION_TOLERANCE": "2"}, "PROMOTION_TOLERANCE"),
    ({"PREDICTION_CACHE_BYTES": "0"}, "PREDICTION_CACHE_BYTES"),
    ({"HDFS_ENDPOINT": "http://[::1"}, "HDFS_ENDPOINT"),
    ({"CALLBACK_HOST": "http://[::1"}, "CALLBACK_HOST"),
    ({"MONGODB_TIMEOUT_SECONDS": "inf"}, "MONGODB_TIMEOUT_SECONDS"),
    ({"KUBECONFIG": "/none"}, "KUBECONFIG"),
    ({"SPARK_APPLICATION_TEMPLATE": "/none"}, "SPARK_APPLICATION_TEMPLATE"),
]
"""Found out in the same places; tests/app/test_start.py has their like in its own process."""

AT_ONCE = 4
"""Starts at a time; each waits, for an address that does not answer or a disk, as much as it computes."""


@dataclass(frozen=True)
class FailedStart:
    code: int | None
    log: str
    left: list[list[str]]
    """Command lines of processes that it has left behind."""


async def start_with_each(impossible: Impossible, base: Path) -> list[FailedStart]:
    """Several at a time."""
    turns = asyncio.Semaphore(AT_ONCE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {"closed": str(free_port()), "taken": str(taken.getsockname()[1])}

        async def fails(number: int, settings: dict[str, str]) -> FailedStart:
            folder = base / f"{number:02}"
            given = {name: value.format(**values) for name, value in settings.items()}
            usual = {"MONGODB_TIMEOUT_SECONDS": "1", "MONGODB_PASSWORD": "hunter2"}
            async with turns:
                code, log = await failing_start(folder, **{**usual, **given})
                left = await asyncio.to_thread(processes_of, folder)
            return FailedStart(code, log, [command_line(process) for process in left])

        starts = (fails(number, settings) for number, (settings, _) in enumerate(impossible))
        return await asyncio.gather(*starts)


def each_of(impossible: Impossible) -> pytest.MarkDecorator:
    """The start's number, and the setting that it has to name."""
    cases = [
        pytest.param(number, named, id=f"{number}-{named}") for number, (_, named) in enumerate(impossible)
    ]
    return pytest.mark.parametrize(("number", "named"), cases)


def check_failed(start: FailedStart, named: str) -> None:
    assert start.code == 2
    [line] = [line for line in start.log.splitlines() if line.startswith("Enel Service cannot start: ")]
    assert line.removeprefix("Enel Service cannot start: ").startswith(named)
    assert start.log.endswith(f"{line}\n")
    assert "Traceback" not in start.log
    assert "hunter2" not in start.log
    assert not start.left


@pytest_asyncio.fixture(scope="module")
async def failed_starts(tmp_path_factory: pytest.TempPathFactory) -> list[FailedStart]:
    return await start_with_each(IMPOSSIBLE, tmp_path_factory.mktemp("impossible"))


@pytest.mark.timeout(400)
@each_of(IMPOSSIBLE)
def test_settings_that_cannot_work_stop_the_start_and_are_named(
    failed_starts: list[FailedStart], number: int, named: str
) -> None:
    check_failed(failed_starts[number], named)


@pytest_asyncio.fixture(scope="module")
async def more_failed_starts(tmp_path_factory: pytest.TempPathFactory) -> list[FailedStart]:
    return await start_with_each(MORE_IMPOSSIBLE, tmp_path_factory.mktemp("more"))


@pytest.mark.long
@pytest.mark.timeout(400)
@each_of(MORE_IMPOSSIBLE)
def test_more_settings_that_cannot_work_stop_the_start_and_are_named(
    more_failed_starts: list[FailedStart], number: int, named: str
) -> None:
    check_failed(more_failed_starts[number], named)


async def test_a_mongodb_without_transactions_is_refused(tmp_path: Path) -> None:
    from common.mongo.embedded import JOURNAL, mongod_binary

    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(mongod_binary()),
        *("--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
        *("--wiredTigerEngineConfigString", JOURNAL),
        stdout=subprocess.DEVNULL,
    )
    try:
        code, message = await failing_start(
            tmp_path / "service", MONGODB_ENDPOINT="127.0.0.1", MONGODB_PORT=str(port)
        )
    finally:
        process.terminate()
        await process.wait()
    assert code == 2
    assert "replica set" in message


async def test_while_mongodb_is_away_nothing_is_acknowledged(tmp_path: Path) -> None:
    """503 with Retry-After while it is gone; the same event is stored once it is back."""
    database = unique_name("away")
    async with embedded_mongod(tmp_path / "mongodb") as uri:
        execution_id = await new_execution(uri, database)
        environment: dict[str, Any] = {
            "MONGODB_ENDPOINT": uri,
            "MONGODB_DATABASE": database,
            "MONGODB_TIMEOUT_SECONDS": "2",
        }
        async with started_service(tmp_path / "service", **environment) as service:
            mongod = mongod_of(tmp_path / "mongodb")
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                assert (await client.post(UPDATE, json=job_end(execution_id, 0))).status_code == 200
                mongod.suspend()
                try:
                    response = await client.post(UPDATE, json=job_end(execution_id, 1))
                    assert response.status_code == 503, response.text
                    assert response.headers["content-type"] == "application/problem+json"
                    assert response.headers["retry-after"]
                    assert (await client.get("/healthz")).status_code == 200
                    assert (await client.get("/readyz")).status_code == 503
                finally:
                    mongod.resume()
                for _ in range(60):
                    response = await client.post(UPDATE, json=job_end(execution_id, 1))
                    if response.status_code == 200:
                        break
                    await asyncio.sleep(0.5)
                assert response.status_code == 200
