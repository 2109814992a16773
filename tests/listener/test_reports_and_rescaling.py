"""One adaptive run on a real cluster: what is reported, and what becomes of recommendations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response
from tests.support.spark.spark_cluster import (
    SPARK_HOME,
    FinishedApplication,
    fixed_scale_out,
    listener_conf,
    listener_lines,
    submit,
)
from training.event_logs.files import files_of
from training.event_logs.logs import logs_below
from training.event_logs.recorded import read_log

pytestmark = pytest.mark.spark

INITIAL, LOWEST, HIGHEST = 2, 2, 4
JOBS_TO_SCALE_OUT = range(2, 4)
"""Those right before the job that waits for executors: they are to come while it runs."""
WAITING_JOB = 4
TOKEN = "a-token-for-the-listener"


@dataclass(frozen=True)
class Run:
    """One finished run: what the service saw and what Spark logged."""

    application: FinishedApplication
    service: RecordingService
    log: EventLog

    def reported_jobs(self) -> dict[int, dict]:
        return {body["job_id"]: body["updates"] for body in self.service.events("JOB_END")}


def recommend_far_too_many_then_far_too_few(request: Request) -> Response:
    if not request.body.get("predict"):
        return Response()
    job_id = request.body["job_id"]
    if job_id < min(JOBS_TO_SCALE_OUT):
        return Response()
    scale_out = 1000 if job_id in JOBS_TO_SCALE_OUT else 1
    pairs = [[job_id, 3], [job_id + 1, scale_out], [job_id + 2, scale_out]]
    return Response(body={"best_predicted_scale_out_per_job": pairs, "best_predicted_runtime_per_job": []})


@pytest.fixture(scope="module")
def run(listener_jar: Path, spark_master: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("every-kind-of-job")
    source = folder / "source.txt"
    source.write_text("the quick brown fox jumps over the lazy dog\n" * 5)
    with RecordingService(recommend_far_too_many_then_far_too_few) as service:
        application = submit(
            listener_jar,
            spark_master,
            folder / "application",
            "every_kind_of_job.py",
            [
                str(source),
                str(folder / "sink"),
                str(folder / "executor-was-killed"),
                str(folder / "executors-are-there"),
                str(HIGHEST),
            ],
            listener_conf(
                service.port,
                initialExecutors=str(INITIAL),
                minExecutors=str(LOWEST),
                maxExecutors=str(HIGHEST),
                busyExecutorGrace="1s",
            )
            | fixed_scale_out(INITIAL, HIGHEST),
            {"ENEL_CALLBACK_TOKEN": TOKEN},
        )
        yield Run(application, service, EventLog.read(application.event_log_folder))


def test_run_is_of_the_spark_to_test_with(run: Run) -> None:
    [core] = (SPARK_HOME / "jars").glob("spark-core_*.jar")
    assert core.stem.endswith(f"-{run.log.spark_version}")


def test_application_is_not_disturbed(run: Run) -> None:
    expected = ["distinct 8", "total 45", "joined 8", "failed True", "recovered 4", "empty 0"]
    assert run.application.status == 0, run.application.errors
    assert run.application.output.splitlines() == expected
    assert not [line for line in listener_lines(run.application) if " WARN " in line]


def test_application_start_is_reported_to_the_escaped_endpoint(run: Run) -> None:
    (body,) = run.service.events("APPLICATION_START")
    start = run.log.application_start
    assert body == {
        "application_execution_id": "66f0c0ffee",
        "application_id": start["App ID"],
        "job_id": None,
        "update_event": "APPLICATION_START",
        "updates": {
            "application_id": start["App ID"],
            "application_signature": "every_kind_of_job.py",
            "attempt_id": 0,
            "start_time": start["Timestamp"],
            "start_scale_out": INITIAL,
        },
    }
    paths = {(request.event, request.path) for request in run.service.requests}
    assert paths == {
        ("APPLICATION_START", "/training%2Fupdate_information"),
        ("JOB_END", "/prediction%2Fonline_scale_out_prediction"),
        ("APPLICATION_END", "/training%2Fupdate_information"),
    }


def test_application_end_is_reported_last_with_how_many_jobs_there_were(run: Run) -> None:
    [end] = run.log.of_kind("ApplicationEnd")
    body = run.service.acknowledged[-1].body
    assert body == {
        "application_execution_id": "66f0c0ffee",
        "application_id": run.log.application_start["App ID"],
        "job_id": None,
        "update_event": "APPLICATION_END",
        "updates": {
            "application_id": run.log.application_start["App ID"],
            "end_time": end["Timestamp"],
            "ended_jobs": 12,
        },
    }


def test_token_of_the_environment_is_sent_and_not_logged(run: Run) -> None:
    assert {request.headers.get("Authorization") for request in run.service.requests} == {f"Bearer {TOKEN}"}
    assert TOKEN not in run.application.errors + run.application.output


def test_reported_jobs_are_those_of_sparks_event_log(run: Run) -> None:
    expected = run.log.jobs()
    reported = run.reported_jobs()
    assert sorted(reported) == sorted(expected) == list(range(12))
    for job_id, job in expected.items():
        # Spark's log knows nothing of predictions; they have a test of their own.
        reported_job = {
            name: value for name, value in reported[job_id].items() if name != "predicted_scale_out"
        }
        assert reported_job == job, f"job {job_id}"


def test_run_had_what_the_comparison_is_to_prove(run: Run) -> None:
    """A comparison with the event log proves little if the run has no skipped, retried or shared stage."""
    jobs = run.reported_jobs()
    stages = [stage for job in jobs.values() for stage in job["stages"].values()]
    ran = [stage for stage in stages if stage is not None]
    assert None in stages
    assert any(len(stage["parent_stage_ids"]) > 1 for stage in ran)
    retried = [stage for stage in ran if stage["num_attempts"] > 1]
    assert any(stage["failure_reason"] and stage["attempt_id"] > 0 for stage in retried)
    assert any(stage["failure_reason"] for stage in ran)
    assert any(stage["rdd_num_cached_partitions"] == 4 and stage["rdd_mem_size"] > 0 for stage in ran)
    assert any(stage["metrics"]["data_io_ratio"] > 0 for stage in ran)
    assert any(stage["metrics"]["shuffle_rw_ratio"] > 0 for stage in ran)
    assert all(stage["metrics"]["cpu_utilization"] > 0 for stage in ran if not stage["failure_reason"])
    assert (jobs[WAITING_JOB]["start_scale_out"], jobs[WAITING_JOB]["end_scale_out"]) == (INITIAL, HIGHEST)
    assert [job["job_result"] for job in jobs.values()].count("JobFailed") == 1
    assert any(not job["stages"] for job in jobs.values())
    shared = set(jobs[7]["stages"]) & set(jobs[8]["stages"])
    assert jobs[7]["start_time"] < jobs[8]["end_time"]
    assert jobs[8]["start_time"] < jobs[7]["end_time"]
    assert [{jobs[job]["stages"][stage] is None for job in (7, 8)} for stage in shared] == [{False, True}]


def test_first_job_starts_with_the_initial_scale_out(run: Run) -> None:
    first = run.reported_jobs()[0]
    assert first["start_scale_out"] == first["end_scale_out"] == INITIAL
    assert "predicted_scale_out" not in first


def test_recommendations_are_carried_out_within_the_bounds(run: Run) -> None:
    counts = run.log.executor_counts()
    assert max(counts) == HIGHEST
    out = counts.index(HIGHEST)
    assert LOWEST in counts[out:]
    reasons = [event["Removed Reason"] for event in run.log.of_kind("ExecutorRemoved")]
    assert reasons.count("Executor killed by driver.") == HIGHEST - LOWEST


def test_scale_out_in_force_is_reported_with_the_next_job(run: Run) -> None:
    predicted = {job_id: job.get("predicted_scale_out") for job_id, job in run.reported_jobs().items()}
    # Answers may need longer than the pause between two jobs, so the change itself is not pinned to a job.
    assert predicted[WAITING_JOB] == HIGHEST
    assert predicted[11] == LOWEST
    assert set(predicted.values()) == {None, HIGHEST, LOWEST}


def test_its_event_log_says_the_same_as_the_plugin(run: Run) -> None:
    path = str(run.application.event_log_folder)
    files = files_of(path)
    [log] = logs_below(files, path)
    attempt = read_log(files, log)
    (body,) = run.service.events("APPLICATION_START")
    assert attempt.start is not None
    assert {**attempt.start, "start_scale_out": INITIAL} == body["updates"]
    found = {job["job_id"]: job for job in attempt.job_updates()}
    reported = run.reported_jobs()
    for job in reported.values():
        job.pop("predicted_scale_out", None)  # what the service has said is not in Spark's log
    assert found == reported
    assert attempt.why_incomplete == ""
    assert attempt.damaged_lines == 0
    attempt.close()
