"""Stored documents: application executions and their jobs (wire names, see the contract)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from common.executions.candidate import Candidate
from common.executions.drivers import EVENT_LOG, DriverEnd, DriverStart, RefusedReport
from common.mongo.document import Document, UtcTime, utc_now
from common.wire.specs import ApplicationSpecs, GlobalSpecs, OptionalSpecs


class ApplicationState(StrEnum):
    """The spark-operator's names, as far as both runners know them."""

    NEW = "NEW"
    """Stored, not yet handed to a runner."""
    PENDING = "PENDING"
    """Waits for its turn, or for the spark-operator."""
    NOT_PICKED_UP = "NOT_PICKED_UP"
    """Created, but the spark-operator has not submitted it for suspiciously long."""
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    """Somebody, or a queue manager, has told the spark-operator to wait."""
    UNKNOWN = "UNKNOWN"
    """The spark-operator has lost sight of the driver."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SUBMISSION_FAILED = "SUBMISSION_FAILED"
    KILLED = "KILLED"

    @property
    def is_final(self) -> bool:
        return self in (self.COMPLETED, self.FAILED, self.SUBMISSION_FAILED, self.KILLED)

    @property
    def is_failure(self) -> bool:
        return self in (self.FAILED, self.SUBMISSION_FAILED)

    @property
    def may_be_contradicted(self) -> bool:
        """Whether a driver that goes on says that it is not so: what was killed takes a while to end."""
        return self.is_failure or self is self.COMPLETED


WHOLE_SECONDS = timedelta(seconds=1)
"""As platforms say when something ended."""

DRIVER_SILENCE = timedelta(hours=1)
"""After so long without a report, a driver that a final state rules out is taken to have ended: not all
report their end, and between two reports lies a whole job."""


class StateChange(BaseModel):
    state: ApplicationState
    at: UtcTime
    reason: str = ""


class ApplicationExecution(Document, ApplicationSpecs):
    """One run of a Spark application."""

    unknown_values: ClassVar[Mapping[str, str]] = {"state": ApplicationState.UNKNOWN.value}

    id: str = Field(alias="_id")
    """The application execution id."""
    created_at: UtcTime = Field(default_factory=utc_now)
    state: ApplicationState = ApplicationState.NEW
    state_reason: str = ""
    state_changes: list[StateChange] = Field(default_factory=list)
    state_changes_left_out: int = 0
    """Changes between the first one and the others here that are kept no more."""
    name: str | None = None
    """Given by the request; of those that have not ended, only one has it."""
    held_name: str | None = None
    """The name, as long as the execution has not ended, or its driver reports all the same."""
    released_name: str | None = None
    """What it held when it failed."""
    schedule_name: str | None = None
    """The recurring submission that it belongs to."""
    scheduled_for: UtcTime | None = None
    """The due time that it was started for; null where somebody asked for it."""
    submitted_by: str | None = None
    """Who submitted it; of a recurring submission that came due, who created the schedule."""
    kill_requested_by: str | None = None
    """Who asked first for its end, where somebody did."""
    kill_requested_at: UtcTime | None = None
    runner: str = ""
    """`local`, with the service's name where several share a MongoDB, or `kubernetes`."""
    resource_version: int | None = None
    """Of the SparkApplication, when its state was last recorded."""
    spark_application_id: str | None = None
    """As the spark-operator reports it; `application_id` is the driver's own word."""
    driver_pod: str | None = None
    stop_reason: str | None = None
    """Why it is to end; stored before the platform is told, so that whoever sees it end knows."""
    manifests: list[dict[str, Any]] = Field(default_factory=list)
    initial_scale_out: int | None = None
    """Executors that the application was submitted with."""
    initial_scale_out_reason: str = ""
    accuracy_measured: bool = False
    """Whether it was looked at how right forecasts of it were, see `submission.accuracy`."""
    shadow: bool = False
    """Whether decisions about it are recorded only, and change nothing."""
    max_scale_out_in_effect: int | None = None
    """Where the platform holds fewer executors than `max_scale_out`."""
    snapshot_id: str | None = None
    """Of the program's files, where a program of a workspace runs."""
    environment_id: str | None = None
    """What its requirements.txt became; null where it has none."""

    application_id: str | None = None
    """Spark's, of the driver in charge: the one that started last; unknown until the first event."""
    application_signature: str | None = None
    """The Spark application's name."""
    attempt_id: int | None = None
    start_time: UtcTime | None = None
    """When the driver in charge started, by its own report."""
    start_scale_out: int | None = None
    first_start_time: UtcTime | None = None
    """When the first driver started; where it is null, only one is known."""
    drivers_without_start: list[DriverStart] = Field(default_factory=list)
    """Drivers that have reported jobs and no start, each from its first job on; a hundred at most."""
    driver_starts: list[DriverStart] = Field(default_factory=list)
    """Of all drivers, oldest first: of more than a hundred the first and the latest."""
    driver_start_count: int = 0
    """How many drivers have reported their start."""
    driver_ends: list[DriverEnd] = Field(default_factory=list)
    """Of all drivers that have reported one, in the order of the ends; of more than a hundred the latest."""
    end_time: UtcTime | None = None
    """When the application ended, which is not before its last reported job did; null also where nobody
    knows."""
    end_time_inferred: bool = False
    """Whether the end of the last reported job stands for it, because nobody said when it was."""
    platform_end_time: UtcTime | None = None
    """When it ended by the word of who ran it, or ended it."""
    reported_end_time: UtcTime | None = None
    """When it ended by the word of the driver in charge."""
    ended_jobs: int | None = None
    """Jobs that the driver in charge has ended, by its own count; null: it has not told."""
    refused_reports: int = 0
    """Reports of the driver in charge that the service has refused, as far as it has told."""
    dropped_reports: int = 0
    """Reports that the driver in charge has given up, as far as it has told."""
    refusals: list[RefusedReport] = Field(default_factory=list)
    """Reports that the service has refused, and not stored since; the first hundred."""
    end_noticed_at: UtcTime | None = None
    """When the service learned of an end without a time."""
    reported_after_end_at: UtcTime | None = None
    """When the latest report of a driver came after the end: as long as more come, it still runs."""
    outcome_unknown: bool = False
    """Whether it counts as ended because it is gone, and nobody saw how it ended: it is FAILED, and no more
    is meant by that."""
    contradicted_at: UtcTime | None = None
    """When a driver last reported what a final state rules out: it started, or ended a job, after that."""
    contradicted_by: str | None = None
    """Spark's application id of that driver."""
    contradiction_over: bool = False
    """Whether that driver has reported its end since."""
    end_scale_out: int | None = None
    """Executors at the end of the latest job."""
    last_job_id: int | None = None
    last_job_end_time: UtcTime | None = None

    @property
    def started_at(self) -> datetime | None:
        """When the first of its drivers started, or the first job of one whose start was never reported; None
        where no start is known."""
        said = [at for at in (self.first_start_time, self.start_time) if at is not None]
        return min([*said, *(driver.start_time for driver in self.drivers_without_start)]) if said else None

    @property
    def has_unknown_driver(self) -> bool:
        """Whether another driver than the one in charge has reported jobs, and no start."""
        return any(each.application_id != self.application_id for each in self.drivers_without_start)

    @property
    def earlier_seconds(self) -> float:
        """From the first driver's start to that of the driver in charge; 0 where there is only one."""
        if self.started_at is None or self.start_time is None:
            return 0.0
        return max(0.0, (self.start_time - self.started_at).total_seconds())

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended. A run that its log alone tells of has, however little the log says."""
        return not self.state.is_final and self.runner != EVENT_LOG

    @property
    def runtime_seconds(self) -> float | None:
        """Of the whole: from the first driver's start to the end of the application."""
        return _seconds_between(self.started_at, self.end_time)

    @property
    def attempt_seconds(self) -> float | None:
        """Of the driver in charge alone, from its own start to the end of the application."""
        return _seconds_between(self.start_time, self.end_time)

    def missing_reports(self, jobs: int) -> int:
        """How many reports of the driver in charge never came, as far as it has told.

        Args:
            jobs: Of that driver, as many as are stored.
        """
        never_stored = 0 if self.ended_jobs is None else max(0, self.ended_jobs - jobs)
        return max(never_stored, self.refused_jobs + self.dropped_reports)

    @property
    def refused_jobs(self) -> int:
        """Of the driver in charge, or of one that nobody knows: as it has told, or as they were seen here."""
        of_driver = (each for each in self.refusals if each.application_id in (None, self.application_id))
        return max(self.refused_reports, sum(each.update_event == "JOB_END" for each in of_driver))

    @property
    def tail_is_known(self) -> bool:
        """Whether its end says how long something went on after its last job."""
        said = self.platform_end_time
        is_earlier = said is not None and self.end_time is not None and self.end_time - said > WHOLE_SECONDS
        return not (self.end_time_inferred or is_earlier)

    @property
    def ended_or_noticed_at(self) -> datetime | None:
        """When it ended, or else when that was noticed: until then at least it was there."""
        return self.end_noticed_at or self.end_time

    @property
    def driver_reports(self) -> bool:
        """Whether it has ended by the platform's word, and a driver of it has reported all the same.

        Until that one reports its own end, or nothing for DRIVER_SILENCE.
        """
        at = self.contradicted_at
        if at is None or not self.state.may_be_contradicted or self.stop_reason is not None:
            return False
        # Versions before this one did not say which driver it was.
        is_over = self.contradiction_over if self.contradicted_by else self.reported_end_time is not None
        return not is_over and utc_now() - at < DRIVER_SILENCE

    @property
    def target_met(self) -> bool | None:
        """Whether a completed application kept its runtime target; None for all others."""
        runtime = self.runtime_seconds
        if self.state != ApplicationState.COMPLETED or runtime is None:
            return None
        return runtime <= self.global_specs.max_runtime


def _seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """None also where the end comes first: it is by another clock, and nobody knows how long it was."""
    if start is None or end is None or end < start - WHOLE_SECONDS:
        return None
    return max(0.0, (end - start).total_seconds())


class StoredMetrics(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    cpu_utilization: float = 0.0
    gc_time_ratio: float = 0.0
    shuffle_rw_ratio: float = 0.0
    data_io_ratio: float = 0.0
    memory_spill_ratio: float = 0.0


StageNumber = Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]

ReportedScaleOut = Annotated[int, Field(ge=0)]


class StageExecution(Document):
    stage_id: StageNumber
    stage_name: str = ""
    attempt_id: int = 0
    """Of the latest attempt."""
    num_attempts: int = 1
    """How many were reported: the stage is one, from the first start to the last end."""
    num_tasks: int = 0
    """Of the attempt with most tasks: later ones only make up for what was lost."""
    parent_stage_ids: list[StageNumber] = Field(default_factory=list)
    parents_left_out: int = 0
    """Parents that it has beside these."""
    failure_reason: str = ""
    start_time: UtcTime | None = None
    end_time: UtcTime | None = None
    start_scale_out: ReportedScaleOut | None = None
    end_scale_out: ReportedScaleOut | None = None
    rescaling_time_ratio: float | None = None
    rdd_num_partitions: int = 0
    rdd_num_cached_partitions: int | None = 0
    """Null, as with the sizes: nothing is known of what was cached."""
    rdd_mem_size: int | None = 0
    rdd_disk_size: int | None = 0
    metrics: StoredMetrics | None = None


class JobExecution(Document):
    """One Spark job with its stages; `None` stages were skipped by Spark."""

    application_execution_id: str
    application_id: str
    job_id: int
    global_specs: GlobalSpecs
    optional_specs: OptionalSpecs
    application_signature: str | None = None
    start_time: UtcTime | None = None
    end_time: UtcTime
    start_scale_out: ReportedScaleOut | None = None
    end_scale_out: ReportedScaleOut | None = None
    predicted_scale_out: int | None = None
    rescaling_time_ratio: float | None = None
    job_result: str | None = None
    stages: dict[str, StageExecution | None] = Field(default_factory=dict)
    stages_left_out: int = 0
    """Stages that it has beside these."""
    received_at: UtcTime = Field(default_factory=utc_now)


class StageSpan(BaseModel):
    """When a stage ran, and with how many executors."""

    start_time: UtcTime | None = None
    end_time: UtcTime | None = None
    start_scale_out: int | None = None
    end_scale_out: int | None = None


class JobSummary(Document):
    """A job without what was measured of its stages."""

    application_id: str | None = None
    """Of the driver that reported it."""
    job_id: int
    start_time: UtcTime | None = None
    end_time: UtcTime
    start_scale_out: int | None = None
    end_scale_out: int | None = None
    predicted_scale_out: int | None = None
    rescaling_time_ratio: float | None = None
    job_result: str | None = None
    stages: int = 0
    """How many it has, skipped ones included."""
    spans: list[StageSpan] = Field(default_factory=list)
    """Of the stages that ran."""


class ScalingDecision(Document):
    """Why a scale-out was recommended, or none."""

    id: str = Field(alias="_id")
    application_execution_id: str
    application_id: str | None = None
    """The driver that it is for; null for the choice before the run."""
    job_id: int
    """The job that had ended; -1 for the choice before the run."""
    decided_at: UtcTime = Field(default_factory=utc_now)
    elapsed_seconds: float
    """Since the first driver of the application started."""
    current_scale_out: int
    target_seconds: float
    model_key: str | None = None
    """Id of the model version that made the forecast, such as `spark.KMeans.onlinepredictor/3`; or
    `ernest`."""
    candidates: list[Candidate] = Field(default_factory=list)
    chosen_scale_out: int | None = None
    rescalings: int = 0
    """How many this driver was asked for, this one included."""
    shadow: bool = False
    """Whether it is what would have been done: the run was left alone."""
    policy_memory: dict[str, Any] = Field(default_factory=dict)
    """What the policy wants to know again when it chooses next; it is handed to no other."""
    meets_target: bool | None = None
    """Whether the choice was expected to."""
    reason: str
    remaining_jobs: list[int] = Field(default_factory=list)
    feasible: bool | None = None
    """Of the choice before the run: whether any candidate is expected to meet the target."""
    fastest_runtime_seconds: float | None = None
    nearest_feasible_target_seconds: float | None = None
    """Smallest target that a candidate meets with the confidence that is asked for."""
    runs: int | None = None
    """Earlier runs that the choice before the run was learned from."""
    seen_scale_out: int | None = None
    """Most executors of any run that was known."""
    fine_tune_seconds: float | None = None
    predict_seconds: float | None = None
    total_seconds: float | None = None
    """From the request's arrival to the answer, storing included."""

    @property
    def effective_scale_out(self) -> int | None:
        """Executors that it lets the run go on with: those that it has, where it is recorded only."""
        return self.current_scale_out if self.shadow else self.chosen_scale_out

    def find_candidate(self, scale_out: int | None) -> Candidate | None:
        """What was expected with so many executors; None: nothing was said of them."""
        return next((each for each in self.candidates if each.scale_out == scale_out), None)
