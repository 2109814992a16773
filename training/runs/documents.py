"""A training run as it is stored: the truth about a training."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from common.models.versions import Promotion
from common.mongo.document import Document, UtcTime, utc_now


class TrainingState(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PUBLISHING = "PUBLISHING"
    """The model is there and kept by its service; it is brought to the store and the registry."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self in (self.SUCCEEDED, self.FAILED, self.CANCELLED)


UNFINISHED = (TrainingState.QUEUED, TrainingState.RUNNING, TrainingState.PUBLISHING)


class TrainingResult(BaseModel):
    """The version that a training made."""

    artifact_key: str
    model: str = ""
    """Name in the registry, see `GET /models/{name}`."""
    version: int | None = None
    promotion: Promotion | None = None
    """Whether it serves, why, and how it compares with the version before."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    validation: dict[str, Any] = Field(default_factory=dict)


class TrialOutcome(BaseModel):
    """One trial of a search."""

    state: str
    """`TERMINATED`, `PRUNED` by the scheduler, or `ERROR`."""
    loss: float | None = None
    """Mean relative error of the remaining runtime on held-out runs, at the best epoch."""
    curve: list[tuple[int, float]] = Field(default_factory=list)
    """Epochs, and the loss at the best one so far."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class TrainingRun(Document):
    """One pretraining: its request, progress and outcome."""

    id: str = Field(alias="_id", serialization_alias="id")
    system_name: str
    algorithm_name: str
    model_name: str
    experiment_name: str
    state: TrainingState = TrainingState.QUEUED
    detail: str = ""
    """Why it failed, was cancelled or has to start over."""
    created_at: UtcTime = Field(default_factory=utc_now)
    started_at: UtcTime | None = None
    finished_at: UtcTime | None = None
    heartbeat_at: UtcTime | None = None
    owner: str | None = None
    """The service process that runs it: host, process id and start."""
    attempts: int = 0
    killed: list[str] = Field(default_factory=list)
    """Of attempts whose process was killed from outside, or lost its Ray cluster: what is known of each."""
    artifact_id: str | None = None
    """Of the present attempt; nobody publishes for the run under another one."""
    trigger: str = "request"
    """`request`, or the schedule that asked for it."""
    requested_by: str | None = None
    """Who asked for it, where somebody did."""
    cancel_requested: bool = False
    cancel_requested_by: str | None = None
    """Who asked last for its end, where somebody did."""
    history_runs: int | None = None
    history_jobs: int | None = None
    trials_total: int
    trials_done: int = 0
    best_loss: float | None = None
    """Mean relative error of the remaining runtime on held-out runs, of the best trial so far."""
    trials: list[TrialOutcome] = Field(default_factory=list)
    """In the order in which they ended."""
    log: list[str] = Field(default_factory=list)
    result: TrainingResult | None = None

    def to_mongo(self) -> dict[str, Any]:
        document = self.model_dump(by_alias=False)
        document["_id"] = document.pop("id")
        return document
