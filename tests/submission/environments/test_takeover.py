"""A service is killed in the middle of a build; another one builds it, and nothing half is ever READY."""

import asyncio
from pathlib import Path

import pytest

from common.loops import running
from submission.environments.builder import MAX_ATTEMPTS
from submission.environments.documents import EnvironmentState
from tests.support.environments import SMALL, Made, Make, silent_index
from tests.support.left_processes import all_gone
from tests.support.services import started_service


@pytest.mark.service
@pytest.mark.usefixtures("_index", "mongo")
async def test_a_killed_services_build_is_taken_over(
    made: Made, mongo_uri: str, database: str, tmp_path: Path
) -> None:
    asked = await made.ensure(SMALL)
    async with silent_index() as url:
        settings = {
            "MONGODB_ENDPOINT": mongo_uri,
            "MONGODB_DATABASE": database,
            "ENVIRONMENT_INDEX_URL": url,
        }
        async with started_service(tmp_path / "service", **settings) as service:
            building = await made.ended(asked.id, EnvironmentState.BUILDING)
            while not any((tmp_path / "service" / "environments").glob("*/pex-root")):
                await asyncio.sleep(0.05)
            await service.kill()
        assert await all_gone(tmp_path / "service" / "environments")
    assert (await made.get(asked.id)).state is EnvironmentState.BUILDING
    async with running(made.loops()):
        ready = await made.ended(asked.id)
    assert ready.state is EnvironmentState.READY, ready.log_tail
    assert (ready.attempts, ready.written[-1]) == (2, ready.build)
    assert ready.build != building.build
    assert not await made.repository.finish(building, EnvironmentState.READY, None)
    log = (tmp_path / "service" / "service.log").read_text()
    assert "hunter2secret" not in log


async def test_a_silent_service_loses_its_build_and_its_result(make: Make) -> None:
    made = make()
    asked = await made.ensure(SMALL)
    lost = await made.repository.claim("elsewhere/1/0@0", asked.python_version, asked.platform)
    assert lost is not None
    while (await made.get(asked.id)).state is EnvironmentState.BUILDING:
        await made.builder._recover_dead()
        await asyncio.sleep(0.1)
    assert not await made.repository.beat(lost, None)
    assert not await made.repository.finish(lost, EnvironmentState.READY, None)
    assert (await made.get(asked.id)).state is EnvironmentState.WAITING


async def test_it_fails_after_three_starts(made: Made) -> None:
    asked = await made.ensure(SMALL)
    for _ in range(MAX_ATTEMPTS):
        assert await made.repository.claim(made.builder._owner, asked.python_version, asked.platform)
        await made.builder._recover_dead()
    failed = await made.get(asked.id)
    assert (failed.state, failed.attempts) == (EnvironmentState.FAILED, MAX_ATTEMPTS)
    assert "during attempt 3" in failed.state_reason


async def test_nobody_builds_for_another_platform(made: Made) -> None:
    asked = await made.ensure(SMALL)
    assert await made.repository.claim("somebody", asked.python_version, "macosx_14_0_arm64") is None
    assert await made.repository.claim("somebody", "3.10", asked.platform) is None
