"""The protocol of initial prediction: which runs are known, what is asked, and how answers are judged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.initial_baselines import Array, Task
from benchmarks.recorded_runs import RecordedJob, Value
from common.executions.candidate import Candidate
from prediction.policies.policy import Situation
from prediction.policies.scale_out_rule import ScaleOutRule, choose_scale_out
from training.context_model.assumptions import TERMS, Assumptions, law_free
from training.context_model.model import fit_context_model
from training.context_model.questions import EarlierRun, NoPrediction, Query, RuntimePrediction

Context = tuple[tuple[str, Value], ...]

INTERVAL = 1.6449
"""Standard deviations on either side that hold 90%."""

TARGETS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Runtime targets of a context: so far from its fastest to its slowest recorded median runtime."""

ABLATIONS: dict[str, Assumptions] = {
    "ours without law": Assumptions(terms=law_free(), scale_out_exponent=0.0),
    "ours without memory": Assumptions(terms=tuple(term for term in TERMS if term != "memory")),
    "ours without fallback": Assumptions(
        scale_out_exponent=0.0, size_exponent=0.0, share_resources=False, carried=0.0
    ),
}
"""Without context and without uncertainty are no assumptions of the model: see `ours` and `select`."""


def tasks(job: RecordedJob, points: int, seed: int, leave_out_machine: bool = False) -> Iterator[Task]:
    """One per context that has more scale-outs than that."""
    for number, (context, by_scale_out) in enumerate(job.contexts.items()):
        generator = np.random.default_rng([seed, points, number])
        scale_outs = np.array(sorted(by_scale_out))
        if len(scale_outs) <= points:
            continue
        chosen = generator.choice(scale_outs, points, replace=False)
        machine = dict(context).get(job.machine or "")
        yield Task(
            job=job,
            context=context,
            other=tuple(
                index
                for index, run in enumerate(job.runs)
                if run.context != context
                and not (leave_out_machine and dict(run.context).get(job.machine or "") == machine)
            ),
            own=tuple(int(generator.choice(by_scale_out[x])) for x in chosen),
            scale_outs=scale_outs,
            runtimes=_medians(job, context, scale_outs),
            asked=~np.isin(scale_outs, chosen),
        )


def sizes_of(job: RecordedJob) -> tuple[float, float] | None:
    """The smallest and the largest recorded data size; None where there are not two."""
    found = {float(dict(context)[job.sizes[0]]) for context in job.contexts} if job.sizes else set()
    return (min(found), max(found)) if len(found) > 1 else None


def size_tasks(
    job: RecordedJob, known_size: float, asked_size: float, points: int, seed: int
) -> Iterator[Task]:
    """One per context of the size asked for: known are all runs of one other size, and some of its own.

    Args:
        points: Runs of the size asked for that are known, in whatever contexts, at different spots.
    """

    def of_size(size: float) -> list[Context]:
        return [context for context in job.contexts if float(dict(context)[job.sizes[0]]) == size]

    spots = [(context, x) for context in of_size(asked_size) for x in sorted(job.contexts[context])]
    generator = np.random.default_rng([seed, points, int(asked_size < known_size)])
    drawn = [spots[i] for i in generator.choice(len(spots), min(points, len(spots)), replace=False)]
    runs = [(context, int(generator.choice(job.contexts[context][x]))) for context, x in drawn]
    other = [index for c in of_size(known_size) for found in job.contexts[c].values() for index in found]
    for context in of_size(asked_size):
        scale_outs = np.array(sorted(job.contexts[context]))
        asked = np.array([(context, x) not in drawn for x in scale_outs])
        if asked.any():
            yield Task(
                job=job,
                context=context,
                other=(*other, *(index for c, index in runs if c != context)),
                own=tuple(index for c, index in runs if c == context),
                scale_outs=scale_outs,
                runtimes=_medians(job, context, scale_outs),
                asked=asked,
            )


def _medians(job: RecordedJob, context: Context, scale_outs: Array) -> Array:
    by_scale_out = job.contexts[context]
    return np.array([np.median([job.runs[i].runtime_seconds for i in by_scale_out[x]]) for x in scale_outs])


def ours(task: Task, assumptions: Assumptions | None = None, context: bool = True) -> RuntimePrediction:
    """The model under test; `context` False leaves all other contexts and all features out.

    Raises:
        RuntimeError: It predicts nothing.
    """
    runs = task.known if context else [task.job.runs[index] for index in task.own]
    model = fit_context_model(
        [
            EarlierRun(dict(run.context) if context else {}, run.scale_out, run.runtime_seconds)
            for run in runs
        ],
        resources=task.job.resources,
        sizes=task.job.sizes,
        memory=task.job.memory,
        assumptions=assumptions,
    )
    queries = [Query(dict(task.context) if context else {}, x) for x in task.scale_outs]
    predicted = model.predict(queries)
    if isinstance(predicted, NoPrediction):
        raise RuntimeError(predicted.reason)
    return predicted


def error(task: Task, predicted: Array) -> float:
    """Mean absolute relative error over the scale-outs asked for."""
    return float(np.mean(np.abs(predicted / task.runtimes - 1.0)[task.asked]))


def coverage(task: Task, predicted: RuntimePrediction) -> float:
    """Share of the medians asked for that lie within the 90% interval."""
    gap = np.abs(np.log(task.runtimes) - predicted.log_mean)
    return float(np.mean((gap <= INTERVAL * predicted.log_std)[task.asked]))


def select(
    task: Task, log_mean: Array, log_std: Array | None, confidence: float, by_rank: bool = False
) -> dict[str, float]:
    """Choose a scale-out for every target, by the service's own rule, and judge the choices.

    Violation: the median recorded at the chosen scale-out is over the target. Over-provisioning: the
    chosen scale-out over the smallest recorded one that meets the target, less 1, never below 0; the
    same for executor-seconds.

    Args:
        by_rank: Targets are quantiles of the recorded medians rather than shares of the way between
            the fastest and the slowest; there, many differ from each other by noise only.
    """
    stds = np.zeros_like(log_mean) if log_std is None else log_std
    forecasts = [
        Candidate(int(x), float(np.exp(m)), float(s))
        for x, m, s in zip(task.scale_outs, log_mean, stds, strict=True)
    ]
    fastest, slowest = task.runtimes.min(), task.runtimes.max()
    judged: list[tuple[float, float, float]] = []
    for share in TARGETS:
        target = (
            float(np.quantile(task.runtimes, share))
            if by_rank
            else float(fastest + share * (slowest - fastest))
        )
        situation = Situation(forecasts, target)
        chosen = choose_scale_out(situation, ScaleOutRule(confidence)).scale_out
        at = int(np.flatnonzero(task.scale_outs == chosen)[0])
        needed = int(np.flatnonzero(task.runtimes <= target)[0])
        work = task.scale_outs * task.runtimes
        judged.append(
            (
                float(task.runtimes[at] > target * (1 + 1e-9)),
                max(float(task.scale_outs[at] / task.scale_outs[needed] - 1.0), 0.0),
                max(float(work[at] / work[needed] - 1.0), 0.0),
            )
        )
    violations, executors, seconds = np.mean(judged, axis=0)
    return {"violations": violations, "executors": executors, "executor_seconds": seconds}


def mean_over_jobs(rows: Sequence[Mapping[str, Any]], value: str) -> float:
    """Mean of the jobs' means; NaN without rows."""
    by_job: dict[str, list[float]] = {}
    for row in rows:
        by_job.setdefault(str(row["job"]), []).append(float(row[value]))
    return float(np.mean([np.mean(values) for values in by_job.values()])) if by_job else float("nan")
