"""Runs without what forecasts by history do not read: some kilobytes of a run, however large its jobs are.

Which job is which is told by its stages: their names, numbers of tasks and parents, and whether one was
tried again. How long stages took and what was measured of them is for the graph model alone, which brings
what it has learned from along. Pure.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from training.history.values import JobRecord, RunRecord, StageRecord, context_from_json

FORMAT = 1
"""Of what `packed` returns; another one is not read."""

MOST_STAGES = 64
"""Of a job. Those before stand as one, with all of their tasks."""

MOST_JOBS = 2000
"""Of a run. Those after stand as one."""

MOST_PARTS = 20_000
"""Stages and parents of a run's jobs, those alike counted once; with more, fewer stages of each are kept."""

_NAME_LENGTH = 500

_MOST_BYTES = 64 * 1024 * 1024
"""Unpacked; a run within the bounds above takes far less."""


class UnknownFormat(ValueError):
    """Packed by another version, or not at all."""


def condensed_jobs(jobs: Sequence[JobRecord], most_stages: int = MOST_STAGES) -> tuple[JobRecord, ...]:
    """Jobs as a condensed run has them; condensed again they stay the same.

    Args:
        jobs: In order of their ids.
    """
    found = [replace(job, stages=_condensed_stages(job.stages, most_stages)) for job in jobs[:MOST_JOBS]]
    rest = list(jobs[MOST_JOBS - 1 :])
    return (*found[:-1], _as_one(rest, found[-1].stages)) if len(rest) > 1 else tuple(found)


def _as_one(jobs: Sequence[JobRecord], stages: tuple[StageRecord, ...]) -> JobRecord:
    begin = min(job.start_seconds for job in jobs)
    return JobRecord(
        job_id=jobs[-1].job_id,
        start_seconds=begin,
        runtime_seconds=max(job.end_seconds for job in jobs) - begin,
        start_scale_out=jobs[0].start_scale_out,
        end_scale_out=jobs[-1].end_scale_out,
        rescaling_time_ratio=0.0,
        stages=stages,
    )


def _condensed_stages(stages: Sequence[StageRecord], most: int) -> tuple[StageRecord, ...]:
    in_order = sorted(stages, key=lambda stage: stage.stage_id)
    first = max(len(in_order) - most, 0)  # all before it, and it itself, stand as one
    place = {stage.stage_id: max(position - first, 0) for position, stage in enumerate(in_order)}
    found = []
    for position, stage in enumerate(in_order[first:]):
        parents = {place[parent] for parent in stage.parent_ids if parent in place}
        found.append(
            _stage(position, stage.name, stage.num_tasks, sorted(parents - {position}), stage.attempt)
        )
    if first:
        one = in_order[: first + 1]
        tasks = sum(max(stage.num_tasks, 0) for stage in one)
        found[0] = _stage(0, one[0].name, tasks, (), max(stage.attempt for stage in one))
    return tuple(found)


def _stage(number: int, name: str, num_tasks: int, parents: Sequence[int], attempt: int) -> StageRecord:
    if len(name) > _NAME_LENGTH:
        name = name[: _NAME_LENGTH // 2] + name[-_NAME_LENGTH // 2 :]
    return StageRecord(
        stage_id=number,
        name=name,
        num_tasks=num_tasks,
        parent_ids=tuple(parents),
        start_seconds=0.0,
        runtime_seconds=0.0,
        start_scale_out=1,
        end_scale_out=1,
        rescaling_time_ratio=0.0,
        metrics=None,
        attempt=attempt,
    )


def condensed(run: RunRecord) -> RunRecord:
    """The run with its jobs condensed."""
    jobs = sorted(run.jobs, key=lambda job: job.job_id)
    most = MOST_STAGES
    while True:
        found = condensed_jobs(jobs, most)
        distinct = {job.stages for job in found}
        parts = sum(len(stage.parent_ids) + 1 for stages in distinct for stage in stages)
        if parts <= MOST_PARTS or most == 1:
            return replace(run, jobs=found)
        most //= 2


def packed(run: RunRecord) -> bytes:
    """A condensed run as compressed JSON: names and stages that recur are written once."""
    names: dict[str, int] = {}
    shapes: dict[tuple[StageRecord, ...], int] = {}
    for job in run.jobs:
        for stage in job.stages if job.stages not in shapes else ():
            names.setdefault(stage.name, len(names))
        shapes.setdefault(job.stages, len(shapes))
    values = {
        "format": FORMAT,
        "run_id": run.run_id,
        "context": asdict(run.context),
        "started_at": run.started_at,
        "runtime_seconds": run.runtime_seconds,
        "names": list(names),
        "shapes": [
            [[names[each.name], each.num_tasks, each.parent_ids, each.attempt] for each in stages]
            for stages in shapes
        ],
        "jobs": [
            [
                job.job_id,
                job.start_seconds,
                job.runtime_seconds,
                job.start_scale_out,
                job.end_scale_out,
                job.rescaling_time_ratio,
                shapes[job.stages],
                job.failed,
            ]
            for job in run.jobs
        ],
    }
    return zlib.compress(json.dumps(values, separators=(",", ":")).encode())


def unpacked(data: bytes) -> RunRecord:
    """Read what `packed` wrote. Raises UnknownFormat."""
    try:
        found = zlib.decompressobj()
        values = json.loads(found.decompress(data, _MOST_BYTES))
        if values["format"] != FORMAT:
            raise UnknownFormat(f"format {values['format']!r}")
        return _run(values)
    except (zlib.error, KeyError, TypeError, IndexError, ValueError) as error:
        raise UnknownFormat(str(error)) from error


def _run(values: dict[str, Any]) -> RunRecord:
    names = values["names"]
    shapes = [
        tuple(
            _stage(number, names[name], tasks, parents, attempt)
            for number, (name, tasks, parents, attempt) in enumerate(stages)
        )
        for stages in values["shapes"]
    ]
    jobs = tuple(
        JobRecord(job_id, begin, runtime, start, end, ratio, shapes[shape], failed)
        for job_id, begin, runtime, start, end, ratio, shape, failed in values["jobs"]
    )
    context = context_from_json(values["context"])
    return RunRecord(values["run_id"], context, values["started_at"], jobs, values["runtime_seconds"])


@dataclass(frozen=True)
class History:
    """Packed runs, oldest first, as a worker gets them."""

    key: str
    """Of what the runs are: equal keys, equal runs."""
    runs: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)
