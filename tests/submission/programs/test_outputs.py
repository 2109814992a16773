"""What programs leave: parts that come in any order, and again; and what nobody will ask for."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import Conflict, InvalidRequest
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.settings.programs import ProgramSettings
from submission.programs.garbage import OutputGarbage
from submission.programs.outputs import PART_BYTES, OutputDescription, Outputs, OutputTooLarge
from submission.programs.repository import ProgramRunRepository, Superseded
from tests.support.samples import execution, unique_name


def described(path: str, content: bytes) -> dict[str, Any]:
    parts = [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]
    return {
        "path": path,
        "size_bytes": len(content),
        "sha256": sha256(content),
        "parts": [{"sha256": sha256(part), "size_bytes": len(part)} for part in parts],
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def description(*files: dict[str, Any], attempt: int = 1) -> OutputDescription:
    return OutputDescription.model_validate({"attempt": attempt, "files": files})


@pytest.fixture
def runs(mongo: Client) -> ProgramRunRepository:
    return ProgramRunRepository(mongo, unique_name("outputs"))


@pytest.fixture
def outputs(runs: ProgramRunRepository, tmp_path: Path) -> Outputs:
    settings = ProgramSettings(program_output_max_bytes=12 << 20)
    return Outputs(runs, FolderStore(tmp_path / "store"), settings)


async def test_a_launcher_that_begins_anew_sends_what_is_missing(
    runs: ProgramRunRepository, outputs: Outputs
) -> None:
    large = bytes(PART_BYTES) + b"end"
    run = await runs.start("x", "w", None)
    said = description(described("model.bin", large), described("same.bin", large), described("empty", b""))
    missing = (await outputs.describe(run, said)).missing
    assert len(missing) == 2
    with pytest.raises(Conflict, match="2 parts"):
        await outputs.complete(await runs.of_attempt("x", 1), unpublished=True)
    await outputs.put_part("x", missing[1], b"end")
    await outputs.put_part("x", missing[1], b"end")
    again = await outputs.describe(await runs.of_attempt("x", 1), said)
    assert again.missing == missing[:1]
    await outputs.put_part("x", missing[0], bytes(PART_BYTES))
    assert (await runs.of_attempt("x", 1)).files is None
    await outputs.complete(await runs.of_attempt("x", 1), unpublished=True)
    await outputs.complete(await runs.of_attempt("x", 1), unpublished=True)
    there = await runs.of_attempt("x", 1)
    assert await outputs.read("x", outputs.file(there, "model.bin")) == large
    assert await outputs.read("x", outputs.file(there, "empty")) == b""
    assert (await outputs.describe(there, said)).missing == []
    with pytest.raises(Conflict, match="is another one"):
        await outputs.describe(there, description(described("other", b"1")))


async def test_what_is_not_what_it_says_is_refused(runs: ProgramRunRepository, outputs: Outputs) -> None:
    run = await runs.start("x", "w", None)
    await outputs.describe(run, description(described("a", b"1")))
    with pytest.raises(InvalidRequest, match="is not the part"):
        await outputs.put_part("x", sha256(b"1"), b"2")
    with pytest.raises(InvalidRequest, match="belongs to no file"):
        await outputs.put_part("x", sha256(b"2"), b"2")
    for files in (
        [described("../a", b"1")],
        [described("a", b"1"), described("a", b"1")],
        [described("a", b"1"), described("a/b", b"1")],
        [{**described("a", b"1"), "size_bytes": 2}],
    ):
        with pytest.raises(InvalidRequest):
            await outputs.describe(run, description(*files))
    with pytest.raises(OutputTooLarge):
        await outputs.describe(run, description(described("a", bytes(13 << 20))))


async def test_an_earlier_start_of_the_driver_has_nothing_to_say(
    runs: ProgramRunRepository, outputs: Outputs
) -> None:
    first = await runs.start("x", "w", None)
    await runs.start("x", "w", None)
    with pytest.raises(Superseded):
        await outputs.describe(first, description(described("a", b"1")))
    with pytest.raises(Superseded, match=r"start 1 .* was followed by start 2"):
        await runs.of_attempt("x", 1)


@pytest.mark.parametrize(
    ("state", "ended_ago", "is_complete", "stays"),
    [
        (ApplicationState.COMPLETED, timedelta(days=1), True, True),
        (ApplicationState.COMPLETED, timedelta(days=100), True, False),
        (ApplicationState.COMPLETED, timedelta(hours=2), False, False),
        (ApplicationState.FAILED, timedelta(minutes=5), True, True),
        (ApplicationState.FAILED, timedelta(hours=2), True, False),
        (ApplicationState.RUNNING, None, True, True),
    ],
)
async def test_what_nobody_will_ask_for_goes(
    mongo: Client,
    runs: ProgramRunRepository,
    outputs: Outputs,
    tmp_path: Path,
    state: ApplicationState,
    ended_ago: timedelta | None,
    is_complete: bool,
    stays: bool,
) -> None:
    executions = ExecutionRepository(mongo, unique_name("garbage"))
    ran = execution()
    ran.state, ran.end_time = state, None if ended_ago is None else utc_now() - ended_ago
    await executions.insert(ran)
    run = await runs.start(ran.id, "w", None)
    await outputs.describe(run, description(described("a", b"1")))
    await outputs.put_part(ran.id, sha256(b"1"), b"1")
    if is_complete:
        await outputs.complete(await runs.of_attempt(ran.id, 1), unpublished=False)
    await runs.change(run, {"created_at": utc_now() - timedelta(hours=2)})
    await OutputGarbage(executions, runs, outputs, keep_days=90).collect()
    found = await runs.of_attempt(ran.id, 1)
    assert found.output is not None
    assert (found.output.discarded_at is None) is stays
    assert bool(list((tmp_path / "store").rglob("content"))) is stays


async def test_parts_of_an_earlier_start_go_too(
    mongo: Client, runs: ProgramRunRepository, outputs: Outputs, tmp_path: Path
) -> None:
    executions = ExecutionRepository(mongo, unique_name("garbage"))
    ran = execution()
    ran.state, ran.end_time = ApplicationState.FAILED, utc_now() - timedelta(hours=2)
    await executions.insert(ran)
    run = await runs.start(ran.id, "w", None)
    await outputs.describe(run, description(described("a", b"1")))
    await outputs.put_part(ran.id, sha256(b"1"), b"1")
    second = await runs.start(ran.id, "w", None)
    await runs.change(second, {"created_at": utc_now() - timedelta(hours=2)})
    await OutputGarbage(executions, runs, outputs, keep_days=90).collect()
    assert not list((tmp_path / "store").rglob("content"))
    assert (await runs.of_attempt(ran.id, 2)).has_parts is False
