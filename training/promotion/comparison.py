"""A new version against the present one, on runs that neither has seen, in a child process."""

import asyncio
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.disks import why_not_written
from common.processes.children import how_it_was_killed, read_events, tail, was_killed, write_request
from common.processes.environment import computing_environment
from common.processes.guarded import GuardedProcess
from common.processes.private_files import open_private
from common.settings.group import PROJECT_ROOT
from training.history.values import RunRecord, history_to_json
from training.kinds import ComparisonFailed


@dataclass(frozen=True)
class RunComparison:
    """Both versions' errors on one run."""

    run_id: str
    cuts: int
    champion_error: float | None
    candidate_error: float


@dataclass(frozen=True)
class Comparison:
    """Mean absolute relative errors of the remaining runtime, see `training.runtime_model.evaluation`."""

    champion_error: float | None
    """None where the champion cannot be read, or where there was no run to compare on."""
    candidate_error: float | None
    """None where there was no run to compare on."""
    champion_reason: str | None
    """Why the champion cannot be read."""
    runs: int
    cuts: int
    """Moments of these runs at which both were asked."""
    per_run: tuple[RunComparison, ...] = ()


async def compare(
    champion_files: Mapping[str, bytes],
    candidate_files: Mapping[str, bytes],
    held_out: Sequence[RunRecord],
    folder: Path,
    *,
    timeout_seconds: float,
) -> Comparison:
    """Judge two versions; the child ends with the time limit and with this task.

    Args:
        champion_files: Artifact of the present version; it may be one that cannot be read any more.
        candidate_files: Artifact of the new version.
        held_out: Runs that neither was trained on; without any, the result only says whether the
            champion can be read.
        folder: For this comparison alone; replaced, and removed in the end.
    Raises:
        ComparisonFailed: The candidate cannot be read, there is nothing to measure in the runs, the
            time was not enough, or the child failed.
    """
    outcome = _Outcome()
    writing = asyncio.create_task(
        asyncio.to_thread(_write_folder, folder, champion_files, candidate_files, held_out)
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.shield(writing)
            code = await _run_child(folder, outcome)
        if outcome.error is None and was_killed(code):
            how = how_it_was_killed(tail(folder / "stderr.log", 500))
            raise ComparisonFailed(f"The versions could not be compared: {how}.")
        if code != 0 or outcome.result is None:
            failure = outcome.error or f"exit code {code}: {tail(folder / 'stderr.log')}"
            raise ComparisonFailed(f"The versions could not be compared: {failure}")
        return outcome.result
    except TimeoutError as error:
        raise ComparisonFailed(
            f"The versions could not be compared within {timeout_seconds:g} seconds."
        ) from error
    except OSError as error:
        why = why_not_written(error, "DATA_DIR")
        raise ComparisonFailed(f"The versions could not be compared: {why}") from error
    finally:
        await asyncio.wait({writing})  # a thread cannot be cancelled, and would write the folder again
        await asyncio.to_thread(shutil.rmtree, folder, True)


async def _run_child(folder: Path, outcome: "_Outcome") -> int:
    with open_private(folder / "stderr.log") as stderr:
        process = await GuardedProcess.start(
            *(sys.executable, "-m", "training.promotion.process", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**computing_environment(), "PYTHONPATH": str(PROJECT_ROOT)},
            grace_seconds=1.0,  # it has nothing to save
        )
    try:
        await read_events(process.stdout, outcome.add)
        return await process.wait()
    finally:
        await process.stop()


@dataclass
class _Outcome:
    """What the child has reported."""

    result: Comparison | None = None
    error: str | None = None

    def add(self, event: dict[str, Any]) -> None:
        match event.get("event"):
            case "result":
                per_run = tuple(RunComparison(**run) for run in event["per_run"])
                figures = {name: event[name] for name in Comparison.__dataclass_fields__}
                self.result = Comparison(**figures | {"per_run": per_run})
            case "error":
                self.error = str(event.get("message", "unknown error"))


def _write_folder(
    folder: Path,
    champion_files: Mapping[str, bytes],
    candidate_files: Mapping[str, bytes],
    held_out: Sequence[RunRecord],
) -> None:
    write_request(folder, {"history": history_to_json(held_out)})
    for name, files in (("champion", champion_files), ("candidate", candidate_files)):
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
