"""A policy that asks a running service over HTTP, in the place of those who submit and of Spark's driver.

The service is a process of its own, on an embedded MongoDB. Its Kubernetes is a double:
submissions create SparkApplications, which nobody runs. A simulated run is reported as a driver would
report it, and its end as the spark-operator would; its times are those of the simulation, not of the clock.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.client.client import Client
from app.client.process import running_service
from benchmarks.reporting import Section
from benchmarks.support.alone import ALONE
from training.history.values import JobRecord, RunRecord

Json = dict[str, Any]

_NAMESPACE = "default"
_ANSWER_SECONDS = 600.0
"""On a busy machine the first forecast waits minutes for its worker to start."""

_TRAINING_SECONDS = 3600.0
_END_SECONDS = 60.0
"""Until the service has seen the end of an application."""

_OF_ITS_OWN = {
    **ALONE,
    "HOST": "127.0.0.1",
    "KUBERNETES_CA_FILE": "",
    "KUBERNETES_NAMESPACE": _NAMESPACE,
    "KUBERNETES_NAMESPACES": "",
}


class ClosedLoopBroken(RuntimeError):
    """The service did something else than the benchmark takes it to do."""


@dataclass(frozen=True)
class Service:
    """A running service, and the API server that it creates applications on."""

    client: Client
    kubernetes: httpx.Client

    def report_state(self, name: str, state: str, **status: Any) -> None:
        """As the spark-operator does."""
        body = {"status": {"applicationState": {"state": state}, "driverInfo": {}, **status}}
        answer = self.kubernetes.patch(
            f"/apis/sparkoperator.k8s.io/v1beta2/namespaces/{_NAMESPACE}/sparkapplications/{name}/status",
            json=body,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        if not answer.is_success:
            raise ClosedLoopBroken(f"{name} as {state}: {answer.status_code} {answer.text}")


@contextmanager
def service_on_double(folder: Path) -> Iterator[Service]:
    """A service whose Kubernetes is the double.

    Args:
        folder: For everything that it keeps.
    """
    # Needs requirements-dev.txt, which others do not.
    from benchmarks.support.kubernetes_api import kubernetes_api

    with (
        kubernetes_api() as api,
        running_service(folder, **{**_OF_ITS_OWN, "KUBERNETES_ENDPOINT": api.url}) as process,
        Client(process.url, timeout_seconds=_ANSWER_SECONDS) as client,
        httpx.Client(base_url=api.url, timeout=_ANSWER_SECONDS, trust_env=False) as kubernetes,
    ):
        yield Service(client, kubernetes)


# --- what is sent and answered --------------------------------------------------------------------


def submission(
    algorithm_name: str, candidates: Sequence[int], target_seconds: float, scale_out: int | None
) -> Json:
    """Body of `POST /submission/submit`; with a scale-out, the run starts with that one and keeps it."""
    known = {
        "solution_name": "enel" if scale_out is None else "static",
        "experiment_name": "benchmark",
        "algorithm_name": algorithm_name,
        "data_size_MB": 1,
        "min_scale_out": min(candidates),
        "max_scale_out": max(candidates),
        "max_runtime": target_seconds,
    }
    return {
        "global_specs": known,
        "worker_specs": {"scale_out": max(candidates) if scale_out is None else scale_out},
        "spark_template_values": {"main_application_file": "local:///opt/simulated.py"},
        "initial_scale_out_policy": "predicted" if scale_out is None else "requested",
    }


def start_event(identity: Mapping[str, str], run: RunRecord, scale_out: int) -> Json:
    """`APPLICATION_START` of a run; `identity` is its `application_execution_id` and `application_id`."""
    updates = {
        "application_id": identity["application_id"],
        "start_time": epoch_ms(run, 0.0),
        "start_scale_out": scale_out,
    }
    return {**identity, "update_event": "APPLICATION_START", "updates": updates}


def job_event(identity: Mapping[str, str], run: RunRecord, job: JobRecord, asked: int | None = None) -> Json:
    """`JOB_END` of one job; `asked` is the scale-out that was recommended last, if any."""
    updates = {
        "job_id": job.job_id,
        "start_time": epoch_ms(run, job.start_seconds),
        "end_time": epoch_ms(run, job.end_seconds),
        "start_scale_out": job.start_scale_out,
        "end_scale_out": job.end_scale_out,
        "rescaling_time_ratio": job.rescaling_time_ratio,
        "stages": {},
    }
    if asked is not None:
        updates["predicted_scale_out"] = asked
    return {**identity, "job_id": job.job_id, "update_event": "JOB_END", "updates": updates}


def epoch_ms(run: RunRecord, seconds: float) -> int:
    """Seconds since the run's start as epoch milliseconds."""
    return round(1000 * (run.started_at + seconds))


def recommended(answer: Mapping[str, Any]) -> int | None:
    """The scale-out for the next job, as the plugin reads it; None: leave it alone."""
    pairs = answer["best_predicted_scale_out_per_job"]
    return int(pairs[0][1]) if pairs else None


# --- the policy -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """One pretraining, as it was answered."""

    runs: int
    """Of history."""
    seconds: float
    promoted: bool
    """Whether the new version serves."""


@dataclass
class _Driven:
    """An application that was submitted and has not ended."""

    execution_id: str
    resource: str
    scale_out: int
    """That it starts with."""
    reported_jobs: int = -1
    """-1: its start was not reported either."""
    asked: int | None = None

    @property
    def identity(self) -> dict[str, str]:
        return {
            "application_execution_id": self.execution_id,
            "application_id": f"spark-{self.resource}",
        }


class OverHttp:
    """The decisions of a running service; one algorithm there for every sequence of runs.

    Args:
        retrain_runs: Pretrains after the profiling runs, and again after so many runs.
        trials: Of each training.
    """

    _numbers = count(1)

    def __init__(
        self, service: Service, candidates: Sequence[int], *, retrain_runs: int = 10, trials: int = 1
    ) -> None:
        self._service, self._client, self._candidates = service, service.client, tuple(candidates)
        self._retrain_runs, self._trials = retrain_runs, trials
        self._number = next(self._numbers)
        self._algorithm_name = ""
        self._target_seconds = 0.0
        self._driven: _Driven | None = None
        self.decision_seconds: list[float] = []
        """Of each recommendation, as the client sees it."""
        self.unanswered: Counter[str] = Counter()
        """Jobs that no recommendation followed, by the service's reason."""
        self.trainings: list[Training] = []

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        if self._algorithm_name:
            self.finish(history)
        else:
            self._target_seconds = target_seconds
            self._algorithm_name = f"{history[-1].context.algorithm_name}-{self._number}"
            for run in history:
                self._end(self._submit(target_seconds, run.jobs[0].start_scale_out), run)
        if not self.trainings or len(history) - self.trainings[-1].runs >= self._retrain_runs:
            self._train(len(history))
        self._driven = self._submit(target_seconds)
        return self._driven.scale_out

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        assert self._driven is not None, "a run begins with its first scale-out"
        self._report(self._driven, run, run.jobs[:-1])
        body = job_event(self._driven.identity, run, run.jobs[-1], self._driven.asked)
        began = time.perf_counter()
        answer = self._client.recommend(body)
        took = time.perf_counter() - began
        self._driven.reported_jobs = len(run.jobs)
        chosen = recommended(answer)
        if chosen is None:
            self.unanswered[answer["reason"]] += 1
        else:
            self._driven.asked = chosen
            self.decision_seconds.append(took)
        return chosen

    def finish(self, history: Sequence[RunRecord]) -> None:
        """Report the end of the run that was steered last, the history's last one."""
        if self._driven is not None:
            self._end(self._driven, history[-1])
            self._driven = None

    def figures(self) -> Json:
        """What came of the requests, for a table and for JSON."""
        milliseconds = 1000 * np.array(self.decision_seconds or [0.0])
        return {
            "algorithm": self._algorithm_name,
            "target_seconds": self._target_seconds,
            "recommendations": len(self.decision_seconds),
            "median_ms": float(np.median(milliseconds)),
            "p95_ms": float(np.quantile(milliseconds, 0.95)),
            "max_ms": float(milliseconds.max()),
            "unanswered": dict(self.unanswered),
            "trainings": [asdict(training) for training in self.trainings],
        }

    def _submit(self, target_seconds: float, scale_out: int | None = None) -> _Driven:
        body = submission(self._algorithm_name, self._candidates, target_seconds, scale_out)
        answer = self._client.submit(body)
        execution, resource = answer["db_entry"], answer["k8s_api_response"]["metadata"]["name"]
        started_with = execution["initial_scale_out"]
        assert started_with is not None, "it was submitted"
        driven = _Driven(execution["_id"], resource, started_with)
        if scale_out not in (None, driven.scale_out):
            raise ClosedLoopBroken(f"asked for {scale_out} executors, got {driven.scale_out}")
        application_id = driven.identity["application_id"]
        self._service.report_state(resource, "RUNNING", sparkApplicationId=application_id)
        return driven

    def _report(self, driven: _Driven, run: RunRecord, jobs: Sequence[JobRecord]) -> None:
        """Tell the service what it has not been told yet of a run and its first jobs."""
        if driven.reported_jobs < 0:
            self._client.report(start_event(driven.identity, run, driven.scale_out))
            driven.reported_jobs = 0
        for job in jobs[driven.reported_jobs :]:
            self._client.report(job_event(driven.identity, run, job, driven.asked))
        driven.reported_jobs = max(driven.reported_jobs, len(jobs))

    def _end(self, driven: _Driven, run: RunRecord) -> None:
        """Report the rest of a run and its end, and wait until the service has recorded that.

        Raises:
            ClosedLoopBroken: It does not, or takes the run for longer or shorter than it was.
        """
        self._report(driven, run, run.jobs)
        assert run.runtime_seconds is not None, "it has ended"
        ended = datetime.fromtimestamp(epoch_ms(run, run.runtime_seconds) // 1000, UTC)
        termination = ended.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._service.report_state(driven.resource, "COMPLETED", terminationTime=termination)
        deadline = time.monotonic() + _END_SECONDS
        for seen in self._client.follow_application(driven.execution_id, pause_seconds=0.02):
            if seen["state"] != "COMPLETED" and time.monotonic() > deadline:
                break
        if seen["state"] != "COMPLETED":
            raise ClosedLoopBroken(f"{driven.execution_id} is {seen['state']}, not COMPLETED")
        recorded = seen["runtime_seconds"]
        # The operator's seconds are whole ones.
        if recorded is None or abs(recorded - run.runtime_seconds) > 1.0:
            raise ClosedLoopBroken(
                f"{driven.execution_id} took {run.runtime_seconds:.1f} s, but is recorded with {recorded} s"
            )

    def _train(self, runs: int) -> None:
        began = time.perf_counter()
        training = self._client.start_training(
            self._algorithm_name,
            experiment_name="benchmark",
            trials=self._trials,
            wait_seconds=_TRAINING_SECONDS,
        )
        if training["state"] != "SUCCEEDED":
            raise ClosedLoopBroken(f"a training ended as {training['state']}: {training['detail']}")
        assert training["result"] is not None, "it has succeeded"
        promotion = training["result"]["promotion"]
        self.trainings.append(Training(runs, time.perf_counter() - began, bool(promotion["promoted"])))


def service_section(asking: Sequence[OverHttp]) -> Section:
    """One line per sequence of runs: latency of recommendations as clients see it, and trainings."""
    columns = (
        "over HTTP", "recommendations", "median ms", "p95 ms", "max ms", "none given",
        "trainings", "promoted", "training s",
    )  # fmt: skip
    rows = []
    for policy in asking:
        found, trainings = policy.figures(), policy.trainings
        label = f"{found['algorithm']}, target {found['target_seconds']:g} s"
        milliseconds = [f"{found[name]:.0f}" for name in ("median_ms", "p95_ms", "max_ms")]
        promoted = sum(training.promoted for training in trainings)
        seconds = f"{np.mean([training.seconds for training in trainings]):.1f}" if trainings else ""
        counts = [str(policy.unanswered.total()), str(len(trainings)), str(promoted), seconds]
        rows.append([label, str(found["recommendations"]), *milliseconds, *counts])
    return Section("The service, asked over HTTP", columns, rows)
