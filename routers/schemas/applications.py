"""Applications, jobs and decisions as the API shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, computed_field

from common.executions.attempts import DriverAttempt
from common.executions.documents import (
    DRIVER_SILENCE,
    ApplicationExecution,
    ApplicationState,
    JobSummary,
    ScalingDecision,
)
from common.executions.gaps import unexplained_gaps
from common.mongo.document import UtcTime
from common.wire.results import job_succeeded
from common.wire.specs import WireModel
from prediction.first_choice import FirstChoice
from submission.outcomes.outcomes import Outcome, RunTimeline, outcome_of
from submission.submissions import Submission


def links_of(execution_id: str) -> dict[str, str]:
    """Addresses of everything that there is about an application."""
    own = f"/submission/applications/{execution_id}"
    parts = {"jobs": "jobs", "decisions": "decisions", "logs": "logs", "picture": "picture.svg"}
    return {"self": own} | {name: f"{own}/{part}" for name, part in parts.items()}


class SubmitResponse(WireModel):
    id: str
    """The application execution id; of a dry run, of nothing."""
    state: ApplicationState
    links: dict[str, str]
    """Where to follow it: `self`, `jobs`, `decisions`, `logs`, `picture`; empty for a dry run."""
    db_entry: ApplicationExecution
    """The stored document; of a dry run, what would be stored."""
    template_code: list[dict[str, Any]]
    """The rendered manifests."""
    k8s_api_response: dict[str, Any]
    """What the platform answered: on Kubernetes the created resource; `warnings` where there are any."""
    prediction: FirstChoice | None
    """Null only for submissions of earlier versions."""

    @classmethod
    def of(cls, submission: Submission, *, is_stored: bool = True) -> "SubmitResponse":
        execution = submission.execution
        return cls(
            id=execution.id,
            state=execution.state,
            links=links_of(execution.id) if is_stored else {},
            db_entry=execution,
            template_code=execution.manifests,
            k8s_api_response=dict(submission.response),
            prediction=FirstChoice.of(submission.decision) if submission.decision else None,
        )


class ApplicationView(ApplicationExecution):
    """An application execution and how it went."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runtime_seconds(self) -> float | None:
        """From the first driver's start to the end; null until both are known."""
        return super().runtime_seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def target_met(self) -> bool | None:
        """Whether a completed application kept its runtime target; null for all others."""
        return super().target_met

    @computed_field  # type: ignore[prop-decorator]
    @property
    def driver_reports(self) -> bool:
        """Whether it has ended by the platform's word, and a driver of it has reported all the same, within
        the last hour: of one that has completed, of what began after its end."""
        return super().driver_reports

    @classmethod
    def of(cls, execution: ApplicationExecution) -> "ApplicationView":
        return cls(**execution.to_mongo())


def hint_about(execution: ApplicationExecution, decisions: Sequence[ScalingDecision]) -> str | None:
    """How to have a model, for a run that missed its target without one."""
    specs = execution.global_specs
    if execution.target_met is not False or specs.solution_name != "enel":
        return None
    if any("/" in (decision.model_key or "") for decision in decisions):  # the id of a model's version
        return None
    return (
        f"The target was missed, and there was no model of {specs.algorithm_name} to steer by. After three or"
        ' four runs, train one: POST /training/trigger_model_training with {"algorithm_name":'
        f' "{specs.algorithm_name}"}}, or `enel train {specs.algorithm_name}`.'
    )


_LONG_AFTER = timedelta(seconds=10)
"""Programs take a moment to end after their context."""


def notes_about(execution: ApplicationExecution, jobs: Sequence[JobSummary]) -> list[str]:
    """What is not as it looks at first: several drivers, an end that nobody saw, reports after it.

    Args:
        jobs: Of the driver in charge.
    """
    notes: list[str] = []
    if execution.driver_start_count > 1:
        count = execution.driver_start_count
        notes.append(f"{count} drivers of it have started: the runtime counts from the first start.")
    said, ended_at, noticed_at = execution.platform_end_time, execution.end_time, execution.end_noticed_at
    if ended_at is not None and said is not None and said - ended_at > _LONG_AFTER:
        notes.append(
            f"Its driver's context ended at {_moment(ended_at)}, which counts;"
            f" for the platform it ended at {_moment(said)}."
        )
    if execution.end_time_inferred:
        notes.append("Nobody said when it ended: the end of its last reported job stands for that.")
    elif ended_at is None and noticed_at is not None:
        notes.append(f"When it ended is not known; that was noticed at {_moment(noticed_at)}.")
    elif ended_at is not None and said is not None and not execution.tail_is_known:
        notes.append(
            f"By the platform it ended at {_moment(said)}, before its last reported job did:"
            " the runtime covers that job, too."
        )
    if execution.started_at is not None and ended_at is not None and execution.runtime_seconds is None:
        notes.append(
            f"It ended at {_moment(ended_at)}, before its driver started at {_moment(execution.started_at)}:"
            " two clocks differ, and how long it ran is not known."
        )
    notes += _notes_about_reports(execution, jobs)
    if execution.state is ApplicationState.FAILED and all_succeeded(jobs):
        notes.append(f"All jobs that were reported have succeeded ({len(jobs)}).")
    latest = execution.reported_after_end_at
    if execution.driver_reports and latest is not None:
        silence_minutes = DRIVER_SILENCE.total_seconds() / 60
        notes.append(
            f"It is {execution.state} by the platform's word, but its driver reports, last at"
            f" {_moment(latest)}. Until it has been silent for {silence_minutes:.0f} minutes"
            " it keeps its name and its schedule's turn; to end the application ends the driver."
        )
    elif latest is not None:
        told = execution.reported_end_time
        still = "as long as more comes, it still runs."
        follows = f"its context ended at {_moment(told)}." if told else still
        notes.append(f"A driver of it has reported after the end, last at {_moment(latest)}: {follows}")
    return notes


def _never_reported(execution: ApplicationExecution) -> bool:
    """Whether a Spark application of ours ran and ended without a word; a program may have no Spark in it."""
    ran = any(change.state is ApplicationState.RUNNING for change in execution.state_changes)
    ended_by_itself = execution.state in (ApplicationState.COMPLETED, ApplicationState.FAILED)
    return ran and ended_by_itself and execution.application_id is None and execution.program is None


def _spark_conf_of(execution: ApplicationExecution) -> Mapping[str, Any]:
    specs = [manifest.get("spec", {}) for manifest in execution.manifests if isinstance(manifest, dict)]
    found = [spec["sparkConf"] for spec in specs if isinstance(spec, dict) and spec.get("sparkConf")]
    return found[0] if found and isinstance(found[0], dict) else {}


def _notes_about_reports(execution: ApplicationExecution, jobs: Sequence[JobSummary]) -> list[str]:
    if _never_reported(execution):
        is_connect = _spark_conf_of(execution).get("spark.api.mode") == "connect"
        cause = (
            "its conf asks for Spark Connect (spark.api.mode), which replaces spark.plugins"
            if is_connect
            else "a program that asks for Spark Connect in itself replaces spark.plugins, an older jar"
            " or Java may not do, or the driver did not reach the service; its log says more"
        )
        return [f"Its plugin never reported, not even a start: {cause}."]
    notes = _notes_about_refusals(execution)
    starts = [at for at in (execution.first_start_time, execution.start_time) if at is not None]
    if starts and execution.started_at is not None and execution.started_at < min(starts):
        notes.append(
            f"A job of it began at {_moment(execution.started_at)}, before any driver has reported its start:"
            " the runtime counts from there."
        )
    if execution.start_time is None and jobs:
        notes.append(
            "The start of its driver was never reported: how long it ran is not known, and nothing is"
            " learned from such a run."
        )
    missing = execution.missing_reports(len(jobs))
    if missing:
        causes = [
            f"{count} {what}"
            for count, what in (
                (execution.refused_jobs, "refused by the service"),
                (execution.dropped_reports, "given up by the plugin"),
            )
            if count
        ]
        told = f" ({', '.join(causes)})" if causes else ""
        notes.append(
            f"Reports of its driver are missing: {missing}{told}. Nothing is learned from such a run."
        )
        return notes
    gaps = unexplained_gaps(execution, {job.job_id for job in jobs})
    if gaps and not execution.goes_on:
        notes.append(
            f"Job ids of which nothing was reported: {gaps}. Nothing is learned from such a run, unless"
            " others leave out the same."
        )
    elif gaps:
        notes.append(
            f"Job ids of which nothing was reported: {gaps}. Such a job still runs, or its report is missing;"
            " its place counts as done where jobs do not run side by side."
        )
    return notes


def _notes_about_refusals(execution: ApplicationExecution) -> list[str]:
    """Of a hundred at most the latest, in words."""
    if not execution.refusals:
        return []
    count, latest = len(execution.refusals), execution.refusals[-1]
    what = latest.update_event if latest.job_id is None else f"{latest.update_event} of job {latest.job_id}"
    others = "" if count == 1 else f", the latest of {count}"
    return [f"A report of its driver was refused at {_moment(latest.at)} ({what}{others}): {latest.reason}"]


def all_succeeded(jobs: Sequence[JobSummary]) -> bool | None:
    """None where no job was reported, or one without its result, or with one that nobody knows."""
    results = {job_succeeded(job.job_result) for job in jobs}
    return None if not results or None in results else results == {True}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


class JobView(WireModel):
    """One Spark job, without its stages."""

    job_id: int
    application_id: str | None = None
    """Spark's, of the driver that ran it."""
    start_time: UtcTime | None
    end_time: UtcTime
    start_scale_out: int | None
    end_scale_out: int | None
    runtime_seconds: float | None
    stages: int
    """How many stages it has, skipped ones included."""
    job_result: str | None = None
    """Spark's `JobSucceeded` or `JobFailed`."""

    @property
    def has_failed(self) -> bool:
        """As far as its result says."""
        return job_succeeded(self.job_result) is False

    @classmethod
    def of(cls, job: JobSummary) -> "JobView":
        started = job.start_time
        return cls(
            job_id=job.job_id,
            application_id=job.application_id,
            start_time=started,
            end_time=job.end_time,
            start_scale_out=job.start_scale_out,
            end_scale_out=job.end_scale_out,
            runtime_seconds=None if started is None else max(0.0, (job.end_time - started).total_seconds()),
            stages=job.stages,
            job_result=job.job_result,
        )


class DecisionView(ScalingDecision):
    """A decision about the scale-out, and what became of it."""

    budget_seconds: float
    """What was left of the runtime target; negative when it had passed."""
    outcome: Outcome

    @classmethod
    def of(
        cls, decision: ScalingDecision, replaced_at: datetime | None, timeline: RunTimeline
    ) -> "DecisionView":
        """As `outcome_of`."""
        budget_seconds = decision.target_seconds - decision.elapsed_seconds
        candidates = [each.within(budget_seconds) for each in decision.candidates]
        return cls(
            **decision.model_copy(update={"candidates": candidates}).to_mongo(),
            budget_seconds=budget_seconds,
            outcome=outcome_of(decision, replaced_at, timeline),
        )


class ApplicationDetails(ApplicationView):
    """An application execution with its jobs and the decisions about its scale-out."""

    jobs: list[JobView] = Field(default_factory=list)
    """Of the driver in charge."""
    all_jobs_succeeded: bool | None = None
    """Of these; null where none was reported, or one without its result."""
    attempts: list[DriverAttempt] = Field(default_factory=list)
    """Of all drivers that reported anything, the first one first."""
    notes: list[str] = Field(default_factory=list)
    """What is not as it looks at first: several drivers, an end that nobody saw, reports after it."""
    decisions: list[DecisionView] = Field(default_factory=list)
    hint: str | None = None
    """What to do next, where a target was missed because nothing was known; otherwise null."""
    unreadable: list[str] = Field(default_factory=list)
    """Ids of jobs and decisions that are stored, but left out, because this version cannot read them."""
