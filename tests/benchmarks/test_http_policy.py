import numpy as np
import pytest

from benchmarks.http_policy import job_event, recommended, start_event, submission
from benchmarks.simulator import Application, Conditions, Regime, SimulatedRun
from common.executions.documents import ApplicationExecution
from common.executions.merging import application_fields, new_job
from common.wire.events import ApplicationStarted, JobEnded, UpdateInformation
from submission.requests import SubmitRequest
from training.history.from_documents import to_run_record

JOBS = 5
IDENTITY = {"application_execution_id": "run-1", "application_id": "spark-run-1"}


def test_the_service_learns_from_reports_what_was_simulated() -> None:
    regime = Regime(np.full(JOBS, np.log(640.0)), np.ones(JOBS), np.zeros((1, JOBS)))
    simulated = SimulatedRun(
        Application("Plain", (regime,), np.zeros(1), np.zeros(1)), 3, 0, False, Conditions()
    )
    run = simulated.play(8, lambda known, now: 16 if len(known.jobs) == 2 else None)
    assert any(job.start_scale_out != job.end_scale_out for job in run.jobs)

    request = SubmitRequest.model_validate(submission("Plain-1", (4, 36), 400.0, None))
    specs = request.model_dump(exclude={"initial_scale_out_policy", "name"})
    execution = ApplicationExecution(id="run-1", **specs)
    started = UpdateInformation.model_validate(start_event(IDENTITY, run, 8)).event()
    assert isinstance(started, ApplicationStarted)
    execution = execution.model_copy(update=application_fields(started))
    jobs = []
    for job in run.jobs:
        ended = UpdateInformation.model_validate(job_event(IDENTITY, run, job, asked=16)).event()
        assert isinstance(ended, JobEnded)
        assert ended.predicted_scale_out == 16
        jobs.append(new_job(ended, execution, None))

    learned = to_run_record(execution, jobs)
    assert learned.started_at == run.started_at
    for found, true in zip(learned.jobs, run.jobs, strict=True):
        assert found.start_seconds == pytest.approx(true.start_seconds, abs=0.002)
        assert found.runtime_seconds == pytest.approx(true.runtime_seconds, abs=0.002)
        assert (found.job_id, found.start_scale_out, found.end_scale_out, found.rescaling_time_ratio) == (
            true.job_id, true.start_scale_out, true.end_scale_out, true.rescaling_time_ratio,
        )  # fmt: skip


def test_profiling_runs_start_and_stay_with_what_they_ask_for() -> None:
    steered = SubmitRequest.model_validate(submission("Plain-1", range(4, 37), 400.0, None))
    profiling = SubmitRequest.model_validate(submission("Plain-1", range(4, 37), 400.0, 12))
    assert (steered.initial_scale_out_policy, steered.global_specs.solution_name) == ("predicted", "enel")
    assert (profiling.initial_scale_out_policy, profiling.global_specs.solution_name) == (
        "requested",
        "static",
    )
    assert profiling.worker_specs.scale_out == 12
    assert (steered.global_specs.min_scale_out, steered.global_specs.max_scale_out) == (4, 36)
    assert steered.global_specs.max_runtime == 400.0


def test_the_next_jobs_scale_out_is_obeyed() -> None:
    assert recommended({"best_predicted_scale_out_per_job": [[8, 6], [9, 4]]}) == 6
    assert recommended({"best_predicted_scale_out_per_job": []}) is None
