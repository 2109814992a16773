"""An example of every body, as OpenAPI shows it; a test posts each of them, and each is accepted."""

from typing import Any

from fastapi import Body

_SUBMISSION: dict[str, Any] = {
    "global_specs": {
        "experiment_name": "first",
        "algorithm_name": "KMeans",
        "algorithm_args": ["--iterations", 6],
        "data_size_MB": 1,
        "min_scale_out": 1,
        "max_scale_out": 6,
        "max_runtime": 60,
    },
    "worker_specs": {"scale_out": 2, "cores": 1, "memory": "512m"},
}

_SCHEDULE: dict[str, Any] = {
    "cron": "30 2 * * 1-5",
    "time_zone": "Europe/Berlin",
    "concurrency_policy": "forbid",
    "starting_deadline_seconds": 3600,
    "submission": _SUBMISSION,
}

EXECUTION_ID = "66f0c2a4e1b2c3d4e5f60718"
"""Of the application execution that reports are about."""

_START: dict[str, Any] = {
    "application_execution_id": EXECUTION_ID,
    "application_id": "spark-3f2a",
    "update_event": "APPLICATION_START",
    "updates": {
        "application_id": "spark-3f2a",
        "application_signature": "k-means",
        "attempt_id": 0,
        "start_time": 1625427060000,
        "start_scale_out": 4,
    },
}

_END: dict[str, Any] = {
    "application_execution_id": EXECUTION_ID,
    "application_id": "spark-3f2a",
    "update_event": "APPLICATION_END",
    "updates": {"application_id": "spark-3f2a", "end_time": 1625427140000, "ended_jobs": 12},
}

_STAGE: dict[str, Any] = {
    "stage_id": "12",
    "stage_name": "collectAsMap at kmeans.py:30",
    "attempt_id": 0,
    "num_tasks": 64,
    "parent_stage_ids": ["11"],
    "failure_reason": "",
    "start_time": 1625427075099,
    "end_time": 1625427083900,
    "start_scale_out": 4,
    "end_scale_out": 6,
    "rescaling_time_ratio": 0.12,
    "metrics": {
        "cpu_utilization": 0.71,
        "gc_time_ratio": 0.02,
        "shuffle_rw_ratio": 0.5,
        "data_io_ratio": 1.0,
        "memory_spill_ratio": 0.0,
    },
}

_JOB_END: dict[str, Any] = {
    "application_execution_id": EXECUTION_ID,
    "application_id": "spark-3f2a",
    "job_id": 7,
    "update_event": "JOB_END",
    "updates": {
        "job_id": 7,
        "start_time": 1625427075095,
        "end_time": 1625427083910,
        "start_scale_out": 4,
        "end_scale_out": 6,
        "rescaling_time_ratio": 0.12,
        "stages": {"12": _STAGE, "11": None},
    },
}


def _body(**examples: dict[str, Any]) -> Any:
    return Body(
        openapi_examples={
            name: {"summary": name.replace("_", " "), "value": value} for name, value in examples.items()
        }
    )


SUBMISSION = _body(
    bundled_example=_SUBMISSION,
    named_and_as_requested={**_SUBMISSION, "name": "nightly-report", "initial_scale_out_policy": "requested"},
)
PROGRAM = _body(
    all_defaults={},
    with_a_gate={
        "file": "train.py",
        "folder": "digits",
        "arguments": ["--epochs", 3],
        "runtime_target_seconds": 600,
        "max_scale_out": 4,
        "gate": {"metric": "accuracy", "better": "higher"},
    },
)
PIPELINE = _body(all_defaults={}, every_step={"folder": "digits", "anew": True})
DIGITS = _body(all_defaults={}, short={"images_batch_path": "mnist.npz", "epochs": 2})
PROGRESS = _body(
    lines={
        "attempt": 1,
        "sequence": 0,
        "lines": [{"progress": 0.25, "step": 100, "metrics": {"loss": 0.31}, "message": "epoch 1 of 4"}],
    },
    alive={"attempt": 1, "sequence": 1, "silent_seconds": 12.5},
)
OUTPUT = _body(nothing={"attempt": 1, "files": []})
COMPLETION = _body(all_has_come={"attempt": 1})
END = _body(failed={"attempt": 1, "exit_code": 1})
RUN = _body(bundled_example=_SUBMISSION)
NEW_SCHEDULE = _body(
    nightly={"name": "nightly", **_SCHEDULE},
    daily={"name": "daily", "cron": "@daily", "submission": _SUBMISSION},
)
SCHEDULE = _body(nightly=_SCHEDULE)
REPORT = _body(application_start=_START, job_end=_JOB_END, application_end=_END)
PREDICTION = _body(job_end={**_JOB_END, "predict": True})
TRAINING = _body(
    all_defaults={"algorithm_name": "KMeans"}, few_trials={"algorithm_name": "KMeans", "trials": 8}
)
IMPORTED_RUN = _body(
    a_run_with_its_end={
        "specs": _SUBMISSION,
        "started": {
            "application_id": "app-20261129050517-0000",
            "application_signature": "KMeans",
            "start_time": 1795928708189,
        },
        "jobs": [
            {
                "job_id": 0,
                "start_time": 1795928708500,
                "end_time": 1795928711200,
                "job_result": "JobSucceeded",
                "start_scale_out": 2,
                "end_scale_out": 2,
                "stages": {},
            }
        ],
        "ended": {"outcome": "COMPLETED", "end_time": 1795928712000, "reason": "By its event log."},
    }
)
FOLDER = _body(exported={"model": "cats", "folder": "exported"})
PREDICTION_ID = "p-3f9a1c07d2b84e6a5c1f0b92"
SERVING = _body(
    all_defaults={},
    a_canary_and_batches={
        "version": "champion",
        "canary": {"version": "candidate", "share": 0.1},
        "replicas": 2,
        "max_batch_rows": 32,
        "batch_wait_milliseconds": 2,
    },
)
BULK = _body(of_a_workspace={"workspace": "team-a", "input": "questions.jsonl", "max_executors": 4})
FEEDBACK = _body(
    wrong={"prediction_id": PREDICTION_ID, "label": "7", "note": "a seven with a bar"},
    right={"prediction_id": PREDICTION_ID, "verdict": "right"},
)
ALIAS = _body(roll_back={"version": 1, "reason": "version 2 misses targets"})
TOKEN = _body(
    submitter={"name": "ada", "role": "submitter"},
    until_next_year={"name": "nightly-jobs", "role": "operator", "expires_at": "2027-12-31T00:00:00Z"},
)
LOGIN = _body(token={"token": "enel_66f0c2a4e1b2_…"})
WORKSPACE = _body(of_a_team={"runners": ["nightly-jobs"], "readers": ["*"]})
