"""What the service answers, as far as clients here read it; `/docs` of a running service has every field."""

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Json = dict[str, Any]
Item = TypeVar("Item")

FINAL_APPLICATION_STATES = frozenset({"COMPLETED", "FAILED", "SUBMISSION_FAILED", "KILLED"})
FINAL_TRAINING_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


class Page(TypedDict, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


class StateChange(TypedDict):
    state: str
    at: str
    reason: str


class Application(TypedDict):
    """Times are ISO 8601."""

    _id: str
    name: str | None
    state: str
    state_reason: str
    state_changes: list[StateChange]
    created_at: str
    submitted_by: str | None
    schedule_name: str | None
    application_id: str | None
    initial_scale_out: int | None
    initial_scale_out_reason: str
    start_time: str | None
    """Of the driver in charge."""
    first_start_time: NotRequired[str | None]
    """Of the first driver, from which the runtime counts."""
    drivers_without_start: NotRequired[list[Json]]
    """Drivers that have reported jobs and no start, with the `start_time` of their first job: where it comes
    first, the runtime counts from there."""
    driver_start_count: NotRequired[int]
    end_time: str | None
    end_time_inferred: NotRequired[bool]
    """Whether the end of the last reported job stands for it."""
    platform_end_time: NotRequired[str | None]
    reported_end_time: NotRequired[str | None]
    ended_jobs: NotRequired[int | None]
    refused_reports: NotRequired[int]
    dropped_reports: NotRequired[int]
    refusals: NotRequired[list[Json]]
    """Reports that the service has refused, each with `at`, `update_event`, `job_id` and `reason`."""
    end_noticed_at: NotRequired[str | None]
    reported_after_end_at: NotRequired[str | None]
    outcome_unknown: NotRequired[bool]
    """Whether it is FAILED only because it is gone, and nobody saw how it ended."""
    driver_reports: NotRequired[bool]
    """Whether it has ended by the platform's word, and a driver of it reports all the same."""
    runtime_seconds: float | None
    target_met: bool | None
    global_specs: Json


class JobSummary(TypedDict):
    job_id: int
    start_time: str | None
    end_time: str
    start_scale_out: int | None
    end_scale_out: int | None
    runtime_seconds: float | None
    stages: int
    job_result: NotRequired[str | None]


class Candidate(TypedDict):
    scale_out: int
    remaining_seconds: float
    executor_seconds: float
    lower_seconds: float | None
    upper_seconds: float | None
    probability: float | None


class Decision(TypedDict):
    """`job_id` is -1 for the choice before the run."""

    _id: str
    application_id: NotRequired[str | None]
    """The driver that it is for."""
    job_id: int
    elapsed_seconds: float
    budget_seconds: float
    current_scale_out: int
    chosen_scale_out: int | None
    candidates: list[Candidate]
    reason: str
    fine_tune_seconds: float | None
    predict_seconds: float | None
    total_seconds: float | None
    outcome: Json


class DriverAttempt(TypedDict):
    """`state` is `in_charge`, `last`, `replaced`, or `beside`: not in charge, and still reports."""

    application_id: str
    state: str
    attempt_id: int | None
    start_time: str | None
    end_time: NotRequired[str | None]
    """Of its context, by its own report."""
    start_scale_out: int | None
    jobs: int
    failed_jobs: int
    first_job_at: str | None
    last_job_at: str | None


class ApplicationDetails(Application):
    jobs: list[JobSummary]
    all_jobs_succeeded: NotRequired[bool | None]
    attempts: NotRequired[list[DriverAttempt]]
    notes: NotRequired[list[str]]
    """What is not as it looks at first, in words."""
    decisions: list[Decision]
    hint: NotRequired[str | None]
    """What to do next, where something is missing."""


class Job(TypedDict):
    """A job with its stages; those that Spark skipped are null."""

    job_id: int
    start_time: str | None
    end_time: str
    start_scale_out: int | None
    end_scale_out: int | None
    stages: dict[str, Json | None]


class JobPage(TypedDict):
    items: list[Job]
    next_after_job_id: int | None


class Submission(TypedDict):
    id: str
    state: str
    links: dict[str, str]
    db_entry: Application
    template_code: list[Json]
    k8s_api_response: Json
    prediction: Json | None


class Recommendation(TypedDict):
    """Pairs of job and scale-out or seconds left, one per remaining job; none: leave the scale-out alone."""

    best_predicted_scale_out_per_job: list[tuple[int, int]]
    best_predicted_runtime_per_job: list[tuple[int, float]]
    reason: str
    decision_id: str | None


class Training(TypedDict):
    id: str
    algorithm_name: str
    state: str
    detail: str
    started_at: str | None
    finished_at: str | None
    attempts: int
    trigger: str
    requested_by: str | None
    history_runs: int | None
    history_jobs: int | None
    trials_total: int
    trials_done: int
    best_loss: float | None
    log: list[str]
    result: Json | None


class StartedTraining(Training):
    training_id: str
    message: str


class Preloaded(TypedDict):
    algorithm_name: str
    model: str
    version: int
    training_id: str | None


class Model(TypedDict):
    name: str
    algorithm_name: str
    latest_version: int
    champion: int | None
    """The version that serves."""
    aliases: dict[str, Json]


class ModelDetails(Model):
    alias_changes: list[Json]


class ModelVersion(TypedDict):
    version: int
    state: str
    created_at: str
    aliases: list[str]
    validation: Json
    promotion: Json | None
    training_data: Json


class Schedule(TypedDict):
    """A recurring submission."""

    name: str
    cron: str
    time_zone: str
    paused: bool
    concurrency_policy: str
    starting_deadline_seconds: float | None
    submission: Json
    next_fire_at: str
    last_fired_at: str | None
    last_outcome: str
    last_error: str | None
    fired: int
    created_by: str | None
    recurs: NotRequired[str]
    """Of one schedule: its expression in words."""
    next_due_times: NotRequired[list[str]]
    """Of one schedule: the next five, the soonest first; empty where it is paused."""
    active: NotRequired[list[str]]
    """Of one schedule: ids of its application executions that have not ended."""
    warnings: NotRequired[list[str]]
    """Of one that was just made or changed: fields of the request that are ignored."""


class Environment(TypedDict):
    """Packages that programs need beside Spark, built once for all who ask for the same."""

    id: str
    state: str
    state_reason: str
    requirements: list[str]
    packages: list[str]
    python_version: str
    platform: str
    size_bytes: int | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    last_used_at: str
    log_tail: str


class Token(TypedDict):
    """Who may do what; its text is not stored."""

    id: str
    name: str
    role: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewToken(Token):
    token: str
    """Its text, which is shown this once."""


class Quota(TypedDict):
    files: int
    size_bytes: int
    file_bytes: int
    archive_bytes: int


class Workspace(TypedDict):
    name: str
    owner: str | None
    runners: list[str]
    readers: list[str]
    files: int
    size_bytes: int
    revision: int
    created_at: str
    changed_at: str
    quota: Quota
    can_change: bool
    can_run: bool


class StoredFile(TypedDict):
    path: str
    sha256: str
    size_bytes: int


class File(StoredFile):
    changed_at: str
    changed_by: str | None


class Snapshot(TypedDict):
    id: str
    workspace: str
    folder: str
    files: list[StoredFile]
    created_at: str
    created_by: str | None
    total_bytes: int


class TrainingMessage(TypedDict):
    """A request that came from the broker; `id` is the one that it says it has."""

    id: str | None
    topic: str
    partition: int
    offset: int
    key: str | None
    received_at: str
    workspace: str | None
    state: str
    application_execution_id: str | None
    problem: str
    excerpt: str


class ProgramRun(TypedDict):
    """A run of a program of a workspace; its id is that of its application execution."""

    id: str
    workspace: str
    program: Json
    arguments: list[Any]
    state: str
    state_reason: str
    created_at: str
    submitted_by: str | None
    start_time: str | None
    end_time: str | None
    runtime_seconds: float | None
    runtime_target_seconds: float
    target_met: bool | None
    model: str
    version: int | None
    publishing_detail: str
    snapshot_id: str | None
    environment_id: str | None
    progress: float | None
    message: str
    metrics: dict[str, float]
    silent_seconds: float | None
    is_silent: bool
    exit_code: int | None
    end_reason: str


class ProgramFile(TypedDict):
    path: str
    size_bytes: int
    sha256: str


class ProgramRunDetails(ProgramRun):
    curve: list[Json]
    output: list[ProgramFile]
    """What it has left; empty until all of it has come."""


class PipelineStep(TypedDict):
    name: str
    state: str
    application_execution_id: str | None
    reason: str


class PipelineRun(TypedDict):
    id: str
    workspace: str
    folder: str
    file: str
    state: str
    steps: list[PipelineStep]
    result_step: str
    created_at: str
    ended_at: str | None
    submitted_by: str | None
