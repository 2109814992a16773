"""The bound over all packed environments, and what is left of builds."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Conflict
from common.mongo.document import utc_now
from submission.environments.cache import FORGOTTEN_SECONDS, KEPT_SECONDS
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.repository import EnvironmentNotFound
from tests.support.environments import Made, Make
from tests.support.scraping import Counted

MEGABYTE = 1 << 20
LONG_AGO = KEPT_SECONDS + 60


async def ready(made: Made, name: str, seconds_ago: float, folder: Path) -> Environment:
    """One with a packed file of a megabyte, last used so long ago."""
    asked = await made.ensure(f"{name}\n".encode())
    claimed = await made.repository.claim(f"here/{name}/0@0", asked.python_version, asked.platform)
    assert claimed is not None
    file = folder / name
    file.write_bytes(name.encode() * (MEGABYTE // len(name)))

    async def written(size_bytes: int) -> None:
        pass

    parts, digest = await made.packed.write(str(claimed.build), file, written)
    fields = {"parts": [part.model_dump() for part in parts], "size_bytes": MEGABYTE, "sha256": digest}
    assert await made.repository.finish(claimed, EnvironmentState.READY, None, **fields)
    await used(made, asked.id, seconds_ago)
    return await made.get(asked.id)


async def used(made: Made, environment_id: str, seconds_ago: float) -> None:
    moment = utc_now() - timedelta(seconds=seconds_ago)
    await made.repository.stored.update_one({"_id": environment_id}, {"$set": {"last_used_at": moment}})


async def test_what_was_not_used_for_longest_makes_room(make: Make, tmp_path: Path) -> None:
    made = make(environment_cache_bytes=2 * MEGABYTE, environment_max_bytes=MEGABYTE)
    older = await ready(made, "older", LONG_AGO + 60, tmp_path)
    oldest = await ready(made, "oldest", LONG_AGO + 120, tmp_path)
    old = await ready(made, "old", LONG_AGO, tmp_path)
    lately = await ready(made, "lately", 0.0, tmp_path)
    await made.cache.bound()
    states = {each.id: each.state for each in await made.repository.newest()}
    assert [states[each.id] for each in (oldest, older, old, lately)] == [
        "EVICTED",
        "EVICTED",
        "READY",
        "READY",
    ]
    assert Counted(made.instruments.registry)("enel_environment_cache_bytes") == 2 * MEGABYTE
    kept = {path.name for path in (tmp_path / "models" / "environments").iterdir()}
    assert kept == {old.build, lately.build}
    with pytest.raises(Conflict, match="made room"):
        await made.packed_file(oldest, tmp_path / "gone.pex")
    assert (await made.ensure(b"oldest\n")).state is EnvironmentState.WAITING


async def test_what_was_used_within_the_hour_stays_however_much_it_is(make: Make, tmp_path: Path) -> None:
    made = make(environment_cache_bytes=MEGABYTE, environment_max_bytes=MEGABYTE)
    one = await ready(made, "one", LONG_AGO, tmp_path)
    other = await ready(made, "other", LONG_AGO, tmp_path)
    await made.mark_used(one.id)
    assert await made.packed_file(other, tmp_path / "other.pex")
    await made.cache.bound()
    assert {each.state for each in await made.repository.newest()} == {EnvironmentState.READY}


async def test_parts_of_a_build_that_came_to_no_end_are_removed(made: Made, tmp_path: Path) -> None:
    whole = await ready(made, "whole", 0.0, tmp_path)
    asked = await made.ensure(b"half\n")
    claimed = await made.repository.claim("here/half/0@0", asked.python_version, asked.platform)
    assert claimed is not None

    async def killed(size_bytes: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await made.packed.write(str(claimed.build), tmp_path / "whole", killed)
    await made.cache.bound()
    folder = tmp_path / "models" / "environments"
    assert (folder / str(claimed.build)).is_dir()  # it is still being built
    await made.repository.finish(claimed, EnvironmentState.FAILED, None, state_reason="killed")
    await made.cache.bound()
    assert [path.name for path in folder.iterdir()] == [whole.build]
    assert (await made.get(asked.id)).written == []


async def test_what_has_no_file_is_forgotten_in_the_end(made: Made, tmp_path: Path) -> None:
    asked = await made.ensure(b"failed\n")
    claimed = await made.repository.claim("here/failed/0@0", asked.python_version, asked.platform)
    assert claimed is not None
    await made.repository.finish(claimed, EnvironmentState.FAILED, None)
    await made.cache.bound()
    assert await made.get(asked.id)
    await used(made, asked.id, FORGOTTEN_SECONDS + 60)
    await made.cache.bound()
    with pytest.raises(EnvironmentNotFound):
        await made.get(asked.id)
