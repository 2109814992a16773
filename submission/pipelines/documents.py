"""Runs of pipelines, as they are stored."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from common.mongo.document import Document, UtcTime, utc_now


class StepState(StrEnum):
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    REUSED = "REUSED"
    """Nothing that it is made of has changed since an earlier run, whose output counts."""
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    """What it needs has not ended well."""
    CANCELLED = "CANCELLED"

    @property
    def is_done(self) -> bool:
        """Whether others may go on with what it has left."""
        return self in (self.SUCCEEDED, self.REUSED)

    @property
    def is_final(self) -> bool:
        return self not in (self.WAITING, self.RUNNING)


class PipelineState(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self is not self.RUNNING


class PipelineStep(BaseModel):
    """One step of a run."""

    name: str
    needs: list[str] = Field(default_factory=list)
    said: dict[str, Any]
    """What the file says of it."""
    snapshot_id: str
    """Of the files that it is given."""
    key: str | None = None
    """Of all that it is made of, once that is known: the same key, the same output."""
    state: StepState = StepState.WAITING
    application_execution_id: str | None = None
    """The run whose output it is; of an earlier pipeline's run, where it was reused."""
    planned_execution_id: str | None = None
    """Under which it is submitted; whether it was, the field above says."""
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None
    reason: str = ""


_CALLED = ("file", "arguments", "model", "output")
"""Of what is said of a step: what its output depends on. More executors or another target change nothing."""


class PipelineRun(Document):
    """One run of a pipeline."""

    unknown_values: ClassVar[Mapping[str, str]] = {"state": PipelineState.RUNNING.value}

    id: str = Field(alias="_id", serialization_alias="id")
    said: dict[str, Any] = Field(default_factory=dict)
    """The request."""
    workspace: str
    folder: str
    file: str
    result_step: str
    anew: bool = False
    """Whether every step runs, also where nothing has changed."""
    steps: list[PipelineStep]
    state: PipelineState = PipelineState.RUNNING
    created_at: UtcTime = Field(default_factory=utc_now)
    submitted_by: str | None = None
    ended_at: UtcTime | None = None
    cancel_requested_by: str | None = None
    revision: int = 0
    """Counts changes: of two services that go on with it at once, one begins its turn anew."""

    def to_mongo(self) -> dict[str, Any]:
        document = self.model_dump(by_alias=False)
        document["_id"] = document.pop("id")
        return document

    def step(self, name: str) -> PipelineStep:
        """The step of this name, which there is."""
        return next(step for step in self.steps if step.name == name)


def step_key(step: PipelineStep, workspace: str, inputs: Mapping[str, str]) -> str:
    """What a step is made of, as SHA-256: its files, how it is called, and what it is given.

    Args:
        inputs: Digests of outputs by the name of the step that has left them.
    """
    called = {name: step.said.get(name) for name in _CALLED}
    made_of = [workspace, step.name, called, step.snapshot_id, inputs]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def output_digest(files: list[Any]) -> str:
    """Of all paths and contents of an output, as SHA-256."""
    listing = sorted((file.path, file.sha256) for file in files)
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
