"""Records runs of a plan: each goes through the service, and is stored before the next one starts."""

from collections.abc import Sequence

from rich.console import Console

from benchmarks.real.applications import APPLICATIONS
from benchmarks.real.plan import Disturbance, PlannedRun
from benchmarks.real.platform import (
    Interference,
    Json,
    Measured,
    Platform,
    running_platform,
    submission,
    warm_up,
)
from benchmarks.real.progress import carry_out
from benchmarks.real.recordings import Recording, Store, missing


def record(planned: Sequence[PlannedRun], store: Store, console: Console) -> None:
    """Record what is missing.

    Raises:
        SystemExit: One run after the other fails.
        NotReady: The service did not come up.
    """
    left = missing(planned, store)
    console.print(f"{len(planned) - len(left)} of {len(planned)} runs are recorded.")
    if not left:
        return

    def run(planned: PlannedRun) -> str:
        recording = record_one(platform, planned)
        store.add(planned.application, recording.document())
        return f"{recording.runtime_seconds:.1f} s, {len(recording.jobs)} jobs{_what(planned)}"

    with running_platform() as platform:
        warm_up(platform)
        carry_out(left, _name, run, console)


def _name(run: PlannedRun) -> str:
    return f"{run.application} {run.number}, size {run.size}, {run.scale_out} executors"


def record_one(platform: Platform, run: PlannedRun) -> Recording:
    """Carry one run out. Raises RunFailed."""
    application = APPLICATIONS[run.application]
    body = {
        **submission(run.application, application.sizes[run.size]),
        "initial_scale_out_policy": "requested",
    }
    body["worker_specs"] = {**body["worker_specs"], "scale_out": run.scale_out}
    if run.rescale_to is not None:
        body["global_specs"]["solution_name"] = "enel"  # static ones are never rescaled
    interference = Interference(run.disturbance, application.middle_job, run.rescale_to)
    return recording_of(run, platform.submit(body, interference))


def recording_of(run: PlannedRun, measured: Measured) -> Recording:
    watched = measured.watched
    assert watched.started is not None, "a measured run has reported both"
    assert watched.ended is not None, "a measured run has reported both"
    ended: Json = {"outcome": "COMPLETED", "end_time": watched.ended["end_time"]}
    if watched.ended.get("ended_jobs") is not None:
        ended["ended_jobs"] = watched.ended["ended_jobs"]
    return Recording(
        planned=run,
        submission=measured.submission,
        started=watched.started,
        jobs=[watched.jobs[job_id] for job_id in sorted(watched.jobs)],
        ended=ended,
        runtime_seconds=measured.runtime_seconds,
        executor_seconds=measured.executor_seconds,
        injected=measured.injected,
    )


def _what(run: PlannedRun) -> str:
    done = [] if run.disturbance is Disturbance.NONE else [run.disturbance.value]
    if run.rescale_to is not None:
        done.append(f"rescaled to {run.rescale_to}")
    return "".join(f", {each}" for each in done)
