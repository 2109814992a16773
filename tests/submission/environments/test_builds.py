"""Builds with the real PEX and the machine's index."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import Conflict
from common.loops import running
from common.models.artifacts import ArtifactDamaged
from submission.environments import environments as module
from submission.environments.documents import EnvironmentState
from submission.environments.limits import BuildLimits, LimitReached, watch
from submission.environments.repository import EnvironmentNotFound
from tests.support.environments import IN_PROGRESS, SMALL, Made, Make, silent_index
from tests.support.left_processes import processes_of
from tests.support.scraping import Counted

pytestmark = [pytest.mark.usefixtures("_index"), pytest.mark.service]


async def test_it_is_built_once_and_handed_out_in_parts(make: Make, tmp_path: Path) -> None:
    made = make(part_bytes=1 << 20)
    asked = await made.ensure(SMALL)
    assert asked.state is EnvironmentState.WAITING
    with pytest.raises(Conflict, match="is WAITING"):
        await made.packed_file(asked, tmp_path / "none.pex")
    async with running(made.loops()):
        environment = await made.ended(asked.id)
        assert environment.state is EnvironmentState.READY, environment.log_tail
        again = await made.ensure(b"# the same\n" + SMALL)
        while list(made.folder.iterdir()):
            await asyncio.sleep(0.05)
    assert (again.id, again.build, again.state) == (asked.id, environment.build, EnvironmentState.READY)
    assert environment.packages == ["humanize==4.10.0"]
    assert len(environment.parts) > 1
    assert environment.size_bytes == sum(part.size_bytes for part in environment.parts)
    assert "Packed: humanize==4.10.0" in await made.read_log(asked.id)
    count = Counted(made.instruments.registry)
    assert count("enel_environment_builds_total", outcome="ready") == 1

    packed = await made.packed_file(environment, tmp_path / "environment.pex")
    code = "import humanize; print(humanize.intcomma(1234567))"
    done = subprocess.run([sys.executable, packed, "-c", code], capture_output=True, text=True, check=False,
                          env={"PEX_ROOT": str(tmp_path / "root")})  # fmt: skip
    assert done.stdout == "1,234,567\n", done.stderr


async def test_two_services_build_it_once(make: Make) -> None:
    one, other = make(), make()
    other.builder._owner = "elsewhere/1/0@0"  # both are in this process
    asked, again = await asyncio.gather(one.ensure(SMALL), other.ensure(SMALL))
    assert asked.id == again.id
    async with running([*one.loops(), *other.loops()]):
        environment = await one.ended(asked.id)
    assert environment.state is EnvironmentState.READY
    assert (environment.attempts, environment.written) == (1, [environment.build])
    assert len(await one.repository.newest()) == 1


@pytest.mark.parametrize(
    ("requirements", "reason"),
    [
        (b"humanize==0.0.99\n", "No matching distribution found for humanize==0.0.99"),
        (b"humanize==4.10.0\nhumanize==4.9.0\n", "Cannot install humanize==4.10.0 and humanize==4.9.0"),
    ],
)
async def test_what_cannot_be_resolved_fails_and_says_so(
    made: Made, requirements: bytes, reason: str
) -> None:
    asked = await made.ensure(requirements)
    async with running(made.loops()):
        environment = await made.ended(asked.id)
        assert environment.state is EnvironmentState.FAILED
        assert reason in environment.state_reason
        assert (await made.ensure(requirements)).state is EnvironmentState.FAILED
    again = await made.build_again(asked.id)
    assert (again.state, again.state_reason) == (EnvironmentState.WAITING, "")


async def test_what_failed_is_tried_again_after_a_while(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await made.ensure(SMALL)
    claimed = await made.repository.claim("somebody", asked.python_version, asked.platform)
    assert claimed is not None
    await made.repository.finish(claimed, EnvironmentState.FAILED, None, state_reason="the index was away")
    assert (await made.ensure(SMALL)).state is EnvironmentState.FAILED
    monkeypatch.setattr(module, "RETRY_SECONDS", -1.0)
    assert (await made.ensure(SMALL)).state is EnvironmentState.WAITING


async def test_a_source_is_not_built_by_default(made: Made) -> None:
    asked = await made.ensure(b"docopt==0.6.2\n")  # there is no wheel of it
    async with running(made.loops()):
        environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.FAILED
    assert "docopt==0.6.2. Only wheels for Python" in environment.state_reason


async def test_a_source_is_built_where_that_is_allowed(make: Make) -> None:
    made = make(environment_allow_source_builds=True)
    asked = await made.ensure(b"docopt==0.6.2\n")
    async with running(made.loops()):
        environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.READY, environment.log_tail
    assert environment.packages == ["docopt==0.6.2"]


async def test_hashes_are_held_to(made: Made) -> None:
    asked = await made.ensure(b"humanize==4.10.0 --hash=sha256:" + b"a" * 64)
    async with running(made.loops()):
        environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.FAILED
    assert "hash" in environment.state_reason.lower() + environment.log_tail.lower()


async def test_what_depends_on_pyspark_gets_sparks_own(made: Made) -> None:
    asked = await made.ensure(b"delta-spark==4.0.0\n")
    async with running(made.loops()):
        environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.READY, environment.log_tail
    names = {package.partition("==")[0] for package in environment.packages}
    assert "delta-spark" in names
    assert not names & {"pyspark", "py4j"}


async def test_the_time_is_limited(make: Make) -> None:
    async with silent_index() as url:
        made = make(environment_index_url=url, environment_build_seconds=3.0)
        asked = await made.ensure(SMALL)
        async with running(made.loops()):
            environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.FAILED
    assert "ENVIRONMENT_BUILD_SECONDS" in environment.state_reason
    assert not processes_of(made.folder)
    assert "hunter2secret" not in environment.model_dump_json() + await made.read_log(asked.id)


async def test_the_memory_is_limited(make: Make) -> None:
    made = make(environment_build_memory="1m")
    asked = await made.ensure(SMALL)
    async with running(made.loops()):
        environment = await made.ended(asked.id)
        count = Counted(made.instruments.registry)
        async with asyncio.timeout(30):  # it is counted after it was stored
            while count("enel_environment_builds_total", outcome="limit_reached") != 1:
                await asyncio.sleep(0.01)
    assert environment.state is EnvironmentState.FAILED
    assert "ENVIRONMENT_BUILD_MEMORY" in environment.state_reason
    assert not processes_of(made.folder)


async def test_the_packed_size_is_limited(make: Make) -> None:
    made = make(environment_max_bytes=1 << 20)
    asked = await made.ensure(SMALL)
    async with running(made.loops()):
        environment = await made.ended(asked.id)
    assert environment.state is EnvironmentState.FAILED
    assert "ENVIRONMENT_MAX_BYTES" in environment.state_reason


async def test_the_disk_is_limited(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (2 << 20))
    with pytest.raises(LimitReached, match="2 MiB of disk"):
        await watch(1 << 30, tmp_path, BuildLimits(1.0, 1 << 40, 1 << 20, 1 << 20))


async def test_the_log_is_there_while_it_builds_and_a_stop_gives_it_back(make: Make) -> None:
    async with silent_index() as url:
        made = make(environment_index_url=url)
        asked = await made.ensure(SMALL)
        async with running(made.loops()):
            await made.ended(asked.id, EnvironmentState.BUILDING)
            while "Resolving" not in await made.read_log(asked.id):
                await asyncio.sleep(0.05)
    stopped = await made.get(asked.id)
    assert (stopped.state, stopped.attempts, stopped.owner) == (EnvironmentState.WAITING, 0, None)
    assert not processes_of(made.folder)


async def test_a_damaged_part_is_never_handed_out(make: Make, tmp_path: Path) -> None:
    made = make()
    asked = await made.ensure(SMALL)
    async with running([made.builder.loop()]):
        environment = await made.ended(asked.id)
    part = tmp_path / "models" / environment.parts[0].key / "part"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactDamaged):
        await made.packed_file(environment, tmp_path / "damaged.pex")
    assert (await made.get(asked.id)).state is EnvironmentState.FAILED
    assert (await made.build_again(asked.id)).state in IN_PROGRESS


async def test_what_is_not_there_is_not_found(made: Made) -> None:
    for ask in (made.get, made.read_log, made.build_again):
        with pytest.raises(EnvironmentNotFound):
            await ask("none")
