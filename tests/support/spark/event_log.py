"""What the listener should have reported, derived from Spark's own event log of the same run.

The log is written by Spark, from the same events but by other code, and is read here after the fact, with
all of it at hand. It must be a single uncompressed file with block updates in it.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# Numerator, denominator, and how many of the numerator's units make one of the denominator's.
RATIOS = {
    "cpu_utilization": (("executorCpuTime",), ("executorRunTime",), 1e6),
    "gc_time_ratio": (("jvmGCTime",), ("executorRunTime",), 1.0),
    "shuffle_rw_ratio": (
        ("shuffle.read.remoteBytesRead", "shuffle.read.localBytesRead"),
        ("shuffle.write.bytesWritten",),
        1.0,
    ),
    "data_io_ratio": (("input.bytesRead",), ("output.bytesWritten",), 1.0),
    "memory_spill_ratio": (("diskBytesSpilled",), ("peakExecutionMemory",), 1.0),
}


@dataclass(frozen=True)
class EventLog:
    """The events of one application, in the order in which Spark wrote them."""

    events: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "EventLog":
        """Read the only event log in a folder."""
        (path,) = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        return cls([json.loads(line) for line in path.read_text().splitlines()])

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["Event"].removeprefix("SparkListener") in kinds]

    @property
    def spark_version(self) -> str:
        (event,) = self.of_kind("LogStart")
        return event["Spark Version"]

    @property
    def application_start(self) -> dict[str, Any]:
        (event,) = self.of_kind("ApplicationStart")
        return event

    def executor_changes(self) -> list[tuple[int, int]]:
        """Times at which an executor came (+1) or went (-1), sorted."""
        changes = []
        for event in self.of_kind("ExecutorAdded", "ExecutorRemoved"):
            change = 1 if event["Event"].endswith("Added") else -1
            changes.append((event["Timestamp"], change))
        return sorted(changes)

    def executor_counts(self) -> list[int]:
        """The number of executors after every change."""
        counts = [0]
        for _, change in self.executor_changes():
            counts.append(counts[-1] + change)
        return counts

    def scale_out_at(self, time: int) -> int:
        return max(1, sum(change for at, change in self.executor_changes() if at <= time))

    def scale_outs_between(self, start: int, end: int) -> dict[str, Any]:
        """The fields that describe the scale-out of a job or stage, from the changes during it."""
        first, last = self.scale_out_at(start), self.scale_out_at(end)
        between = [start, *(at for at, _ in self.executor_changes() if start < at < end), end]
        rescaling = sum(
            until - since
            for since, until in pairwise(between)
            if self.scale_out_at(since) not in (first, last)
        )
        ratio = rescaling / (end - start) if end > start else 0.0
        return {"start_scale_out": first, "end_scale_out": last, "rescaling_time_ratio": ratio}

    def jobs(self) -> dict[int, dict[str, Any]]:
        """Every ended job as the `updates` of its `JOB_END`, without `predicted_scale_out`."""
        running: dict[int, dict[str, Any]] = {}
        stages: dict[int, dict[int, dict[str, Any] | None]] = defaultdict(dict)
        ended: dict[int, dict[str, Any]] = {}
        cache = Cache()
        for event in self.events:
            cache.note(event)
            match event["Event"].removeprefix("SparkListener"):
                case "JobStart":
                    running[event["Job ID"]] = event
                    stages[event["Job ID"]] = dict.fromkeys(event["Stage IDs"])
                case "StageCompleted":
                    stage = event["Stage Info"]
                    # Of jobs that share a stage, the one that began first, whose id may be the larger.
                    owner = next((job for job in running if stage["Stage ID"] in stages[job]), None)
                    if owner is not None and "Submission Time" in stage:
                        found = self._stage(stage, cache)
                        before = stages[owner][stage["Stage ID"]]
                        stages[owner][stage["Stage ID"]] = self._as_one(before, found) if before else found
                case "JobEnd":
                    job_id, end = event["Job ID"], event["Completion Time"]
                    start = running.pop(job_id)["Submission Time"]
                    ended[job_id] = {
                        "job_id": job_id,
                        "job_result": event["Job Result"]["Result"],
                        "start_time": start,
                        "end_time": end,
                        **self.scale_outs_between(start, end),
                        "stages": {str(stage_id): stage for stage_id, stage in stages[job_id].items()},
                    }
        return ended

    def _as_one(self, *attempts: dict[str, Any]) -> dict[str, Any]:
        """Attempts of a stage in the order in which they ended."""
        latest = max(attempts, key=lambda attempt: attempt["attempt_id"])
        largest = max(attempts, key=lambda attempt: (attempt["num_tasks"], attempt["attempt_id"]))
        reasons = [attempt["failure_reason"] for attempt in attempts if attempt["failure_reason"]]
        start = min(attempt["start_time"] for attempt in attempts)
        end = max(attempt["end_time"] for attempt in attempts)
        return {
            **latest,
            "num_attempts": sum(attempt["num_attempts"] for attempt in attempts),
            "num_tasks": largest["num_tasks"],
            "metrics": largest["metrics"],
            "failure_reason": reasons[-1] if reasons else "",
            "start_time": start,
            "end_time": end,
            **self.scale_outs_between(start, end),
        }

    def _stage(self, stage: dict[str, Any], cache: "Cache") -> dict[str, Any]:
        start, end = stage["Submission Time"], stage["Completion Time"]
        rdds = stage["RDD Info"]
        cached = [block for block in cache.blocks if block[0] in {rdd["RDD ID"] for rdd in rdds}]
        return {
            "stage_id": str(stage["Stage ID"]),
            "stage_name": stage["Stage Name"],
            "attempt_id": stage["Stage Attempt ID"],
            "num_attempts": 1,
            "num_tasks": stage["Number of Tasks"],
            "parent_stage_ids": [str(parent) for parent in stage["Parent IDs"]],
            "failure_reason": stage.get("Failure Reason", ""),
            "start_time": start,
            "end_time": end,
            **self.scale_outs_between(start, end),
            "rdd_num_partitions": sum(rdd["Number of Partitions"] for rdd in rdds),
            "rdd_num_cached_partitions": len({block[:2] for block in cached}),
            "rdd_mem_size": sum(cache.blocks[block][0] for block in cached),
            "rdd_disk_size": sum(cache.blocks[block][1] for block in cached),
            "metrics": stage_metrics(stage["Accumulables"]),
        }


class Cache:
    """Cached blocks at a point of the log: sizes in memory and on disk by RDD, partition and executor."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int, str], tuple[int, int]] = {}

    def note(self, event: dict[str, Any]) -> None:
        match event["Event"].removeprefix("SparkListener"):
            case "BlockUpdated":
                update = event["Block Updated Info"]
                kind, *numbers = update["Block ID"].split("_")
                if kind == "rdd":
                    rdd, partition = map(int, numbers)
                    level = update["Storage Level"]
                    block = (rdd, partition, update["Block Manager ID"]["Executor ID"])
                    self.blocks.pop(block, None)
                    if level["Use Memory"] or level["Use Disk"]:
                        self.blocks[block] = (update["Memory Size"], update["Disk Size"])
            case "UnpersistRDD":
                dropped = event["RDD ID"]
                self.blocks = {block: size for block, size in self.blocks.items() if block[0] != dropped}
            case "BlockManagerRemoved":
                lost = event["Block Manager ID"]["Executor ID"]
                self.blocks = {block: size for block, size in self.blocks.items() if block[2] != lost}


def stage_metrics(accumulables: list[dict[str, Any]]) -> dict[str, float]:
    """The ratios of the contract, from the sums that Spark keeps per stage; a sum that is absent is 0."""
    sums: dict[str, int] = defaultdict(int)
    for accumulable in accumulables:
        if accumulable.get("Name", "").startswith("internal.metrics."):
            sums[accumulable["Name"].removeprefix("internal.metrics.")] = int(accumulable["Value"])
    ratios = {}
    for name, (numerators, denominators, unit) in RATIOS.items():
        numerator = sum(sums[key] for key in numerators)
        denominator = sum(sums[key] for key in denominators) * unit
        ratios[name] = 0.0 if numerator == 0 else 1.0 if denominator == 0 else numerator / denominator
    return ratios
