"""A disk that fills up under a service with embedded MongoDB: its log says why it ends; nothing is lost."""

import asyncio
from pathlib import Path

import httpx
import pytest
from pymongo import AsyncMongoClient

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.disks import small_disk
from tests.support.left_processes import all_gone, command_line, mongod_of
from tests.support.samples import execution, job_end, stage
from tests.support.services import failing_start, started_service

pytestmark = pytest.mark.service

UPDATE = "/training/update_information"


def client_of(data_dir: Path) -> Client:
    arguments = command_line(mongod_of(data_dir / "mongodb"))
    port = arguments[arguments.index("--port") + 1]
    return AsyncMongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true", tz_aware=True)


async def test_a_full_disk_is_told_and_what_was_acknowledged_is_there_once_there_is_room(
    tmp_path: Path,
) -> None:
    acknowledged: list[int] = []
    stages = {str(number): {**stage(number, 1, 2), "stage_name": "x" * 4000} for number in range(200)}
    with small_disk(tmp_path / "disk", "900m") as disk:
        folder = disk.folder / "data"
        async with started_service(
            tmp_path / "log", DATA_DIR=str(folder), MONGODB_TIMEOUT_SECONDS="5"
        ) as service:
            client = client_of(folder)
            run = execution()
            await ExecutionRepository(client, "enel_service").insert(run)
            await client.close()
            disk.fill()
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
                for job_id in range(2000):
                    try:
                        answer = await http.post(UPDATE, json=job_end(run.id, job_id, stages=stages))
                    except httpx.TransportError:
                        break
                    if answer.status_code == 200:
                        acknowledged.append(job_id)
                    else:
                        assert answer.status_code == 503, answer.text
                    if service.process.returncode is not None:
                        break
            await asyncio.wait_for(service.process.wait(), 60)
        log = service.log.read_text()
        told = [line for line in log.splitlines() if "embedded MongoDB has ended" in line]
        assert told, log[-2000:]
        assert "MiB left of" in told[0]
        disk.make_room()
        async with started_service(tmp_path / "again", DATA_DIR=str(folder)):
            client = client_of(folder)
            jobs = await ExecutionRepository(client, "enel_service").finished_jobs(run.id)
            await client.close()
            assert sorted(acknowledged) == sorted({job.job_id for job in jobs} & set(acknowledged))
            assert len({job.job_id for job in jobs}) == len(jobs)
        assert acknowledged
        assert await all_gone(folder)


async def test_a_service_does_not_come_up_on_a_full_disk_and_says_so(tmp_path: Path) -> None:
    # On a folder of its own: where a MongoDB has been, its recovery may find the little room that it needs.
    with small_disk(tmp_path / "disk") as disk:
        disk.fill()
        code, message = await failing_start(tmp_path / "log", DATA_DIR=str(disk.folder / "data"))
    assert code == 2
    assert "DATA_DIR: " in message
    assert "MiB left of" in message
