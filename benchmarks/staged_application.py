"""Runs of a made-up iterative application with stages and metrics, whose rules are known.

It has what recordings without stages cannot show, and what laws of the scale-out alone do not hold:

- kinds of stages (reading, computing, exchanging, aggregating) that grow differently with the data,
  and computing ones also with an argument (`--rank`);
- memory: where the cached data exceeds the executors' memory, stages that use the cache slow down.
  Where that is depends on data and scale-out together; garbage collection and spilling show it;
- a network shared with others: in every run it is slower by some factor, which exchanging stages alone
  suffer from, and which their shuffle ratio shows from the first exchange on;
- rescalings in every third run, and noise per run and stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.history.values import JobRecord, RunContext, RunRecord, StageMetrics, StageRecord

APPLICATION = "Ranking"
SIZES_MB = (4_096, 8_192, 16_384, 32_768)
RANKS = (10, 20, 40)
SCALE_OUTS = (4, 6, 8, 12, 16, 20, 24, 32)
CORES, MEMORY_MB, PARTITIONS = 2, 2_048, 96
JOBS = 12
LOAD, EVALUATE = 0, (4, 8)
RESCALING_SECONDS = 15.0
"""From a request to more executors at work."""


@dataclass(frozen=True)
class _Stage:
    name: str
    work: float
    """Executor-core-seconds at 1 GiB and rank 10."""
    growth: float
    """Exponent of the data size."""
    serial: float
    """Share that more executors do not speed up."""
    by_rank: float = 0.0
    """Exponent of the rank."""
    cached: float = 0.0
    """How much slower it is where nothing fits into memory."""
    exchange: float = 0.0
    """Share that goes through the network."""
    parents: tuple[int, ...] = ()


READ = _Stage("textFile at Ranking.scala:21", 26.0, 1.0, 0.01)
CACHE = _Stage("partitionBy at Ranking.scala:25", 12.0, 1.05, 0.02, exchange=0.6, parents=(0,))
JOIN = _Stage("join at Ranking.scala:34", 9.0, 1.15, 0.02, cached=1.8, exchange=0.8)
SCORE = _Stage("mapPartitions at Ranking.scala:38", 10.0, 0.9, 0.01, by_rank=0.8, cached=0.9)
REDUCE = _Stage("reduceByKey at Ranking.scala:43", 5.0, 0.7, 0.1, exchange=0.7, parents=(0, 1))
TEST = _Stage("zip at Ranking.scala:52", 8.0, 0.8, 0.03, by_rank=0.5, cached=0.6)
COLLECT = _Stage("collect at Ranking.scala:55", 0.6, 0.3, 0.7, exchange=0.3, parents=(0,))
SAVE = _Stage("saveAsTextFile at Ranking.scala:61", 14.0, 0.6, 0.05, by_rank=0.3)


@dataclass(frozen=True)
class _Conditions:
    """Of one run."""

    context: RunContext
    rank: int
    congestion: float
    """Factor of exchanging shares."""
    drift: float


def make_runs(count: int, seed: int = 0, jobs: int = JOBS) -> list[RunRecord]:
    """The first runs of an application's life; the same seed always gives the same ones.

    Args:
        jobs: Of a run, at least 5.
    """
    return [_run(number, np.random.default_rng((seed, number)), jobs) for number in range(count)]


def _stages(job: int, jobs: int) -> tuple[_Stage, ...]:
    if job == LOAD:
        return READ, CACHE
    if job == jobs - 1:
        return (SAVE,)
    return (TEST, COLLECT) if job in EVALUATE else (JOIN, SCORE, REDUCE)


def _run(number: int, random: np.random.Generator, jobs: int) -> RunRecord:
    size, rank = int(random.choice(SIZES_MB)), int(random.choice(RANKS))
    context = RunContext(
        APPLICATION,
        ("--rank", str(rank)),
        data_size_mb=size,
        machine_name="general",
        executor_cores=CORES,
        executor_memory_mb=MEMORY_MB,
    )
    congestion = float(np.exp(0.45 * random.standard_normal()))
    conditions = _Conditions(context, rank, congestion, float(np.exp(0.04 * random.standard_normal())))
    scale_out = int(random.choice(SCALE_OUTS))
    moves_at = int(random.integers(2, jobs - 2)) if number % 3 == 2 else jobs
    moves_to = int(random.choice(SCALE_OUTS))
    clock, records = 5.0, []
    for job in range(jobs):
        before, after = (scale_out, moves_to) if job == moves_at else (scale_out, scale_out)
        records.append(_job(_stages(job, jobs), job, clock, before, after, conditions, random))
        scale_out = after
        clock = records[-1].end_seconds + 0.3
    started_at = 1_700_000_000.0 + 3_600.0 * number
    return RunRecord(f"run-{number}", context, started_at, tuple(records), clock + 1.5)


def _job(
    stages: Sequence[_Stage],
    job: int,
    clock: float,
    before: int,
    after: int,
    conditions: _Conditions,
    random: np.random.Generator,
) -> JobRecord:
    ends: list[float] = []
    begin, records = clock + 0.05, []
    for index, stage in enumerate(stages):
        starts = max([begin, *(ends[parent] for parent in stage.parents)])
        noise = conditions.drift * float(np.exp(0.05 * random.standard_normal()))
        seconds, metrics = _measure(stage, after, conditions, noise)
        moved = 0.0
        if before != after:
            delay = max(RESCALING_SECONDS * (1.0 if after > before else 0.3) - (starts - clock), 0.0)
            slow, _ = _measure(stage, before, conditions, noise)
            moved = min(delay, slow)
            seconds = slow if delay >= slow else delay + (1 - delay / slow) * seconds
        ends.append(starts + seconds)
        records.append(
            StageRecord(
                stage_id=10 * job + index,
                name=stage.name,
                num_tasks=PARTITIONS,
                parent_ids=tuple(10 * job + parent for parent in stage.parents),
                start_seconds=starts,
                runtime_seconds=seconds,
                start_scale_out=before,
                end_scale_out=after,
                rescaling_time_ratio=moved / seconds,
                metrics=metrics,
            )
        )
    runtime = max(ends) - clock + 0.1
    ratio = min(RESCALING_SECONDS / runtime, 1.0) if before != after else 0.0
    return JobRecord(job, clock, runtime, before, after, ratio, tuple(records))


def _measure(
    stage: _Stage, scale_out: int, conditions: _Conditions, noise: float
) -> tuple[float, StageMetrics]:
    """Seconds at a scale-out, and what Spark would report of it."""
    size = conditions.context.data_size_mb / 1_024
    work = stage.work * size**stage.growth * (conditions.rank / 10) ** stage.by_rank
    share = stage.serial + (1 - stage.serial) / (scale_out * CORES)
    held = 1.6 * conditions.context.data_size_mb / (scale_out * 0.6 * MEMORY_MB)
    pressure = 1 / (1 + np.exp(-(np.log(held) / 0.15)))  # share of the cache that does not fit
    slower = 1 + stage.cached * pressure
    through = stage.exchange * conditions.congestion
    parts = 1 - stage.exchange + through
    seconds = work * share * slower * parts * noise + 0.1
    waiting = through / parts
    return float(seconds), StageMetrics(
        cpu_utilization=float(0.95 * (1 - 0.7 * waiting) / slower),
        gc_time_ratio=float(0.03 + 0.25 * pressure * (stage.cached > 0)),
        shuffle_rw_ratio=float(waiting),
        data_io_ratio=0.8 if stage in (READ, SAVE) else 0.02,
        memory_spill_ratio=float(0.6 * pressure * (stage.cached > 0)),
    )
