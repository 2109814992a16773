"""What a request says that starts a program, and the submission that it stands for."""

import posixpath
import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from common.wire.specs import (
    INT64_MAX,
    FreeObject,
    MasterSpecs,
    MetricGate,
    Name,
    NoBoolean,
    OptionalSpecs,
    ProgramOutput,
    RequestModel,
    ScaleOut,
    Seconds,
    WorkerSpecs,
)
from submission.requests import SubmitRequest

_Path = Annotated[str, StringConstraints(min_length=1, max_length=512)]

DEFAULT_TARGET_SECONDS = 3600.0


class StartProgram(RequestModel):
    """A program of a workspace; everything has a default."""

    file: Annotated[_Path, Field(examples=["train.py"])] = "train.py"
    """Of the folder."""
    folder: _Path = "."
    """Of the workspace; all that lies in it is there when the program runs."""
    arguments: Annotated[list[Any], Field(max_length=256)] = Field(default_factory=list)
    """Texts, numbers and booleans."""
    runtime_target_seconds: Seconds = DEFAULT_TARGET_SECONDS
    """For the whole run."""
    min_scale_out: ScaleOut = 1
    """Fewest executors, where the program makes a Spark session."""
    max_scale_out: ScaleOut | None = None
    """Most executors; null: as many as at least."""
    data_size_MB: Annotated[int, Field(gt=0, le=INT64_MAX), NoBoolean] = 1
    model: Name | None = None
    """Of which the run makes a version, and whose history tells how many executors it takes; null: made of
    workspace, folder and file."""
    experiment_name: Name = "default"
    output: ProgramOutput = "version"
    """What becomes of ENEL_OUTPUT_DIR: a version of the model; files that are kept; the same, and it may be
    empty."""
    gate: MetricGate | None = None
    """Which figure decides whether the new version serves; null: it does."""
    inputs: dict[Name, Annotated[str, StringConstraints(max_length=64)]] = Field(default_factory=dict)
    """Runs of programs whose outputs it finds in ENEL_INPUT_DIR, by the folder's name."""
    snapshot_id: str | None = None
    """Run these files, rather than those that are there now."""
    time_limit_seconds: Seconds = 86_400.0
    silence_limit_seconds: Seconds = 600.0
    name: Name | None = None
    """As long as a run of this name has not ended, the same request starts no second one."""
    driver: MasterSpecs = Field(default_factory=MasterSpecs)
    executor: WorkerSpecs | None = None
    optional_specs: OptionalSpecs = Field(default_factory=OptionalSpecs)
    spark_template_values: FreeObject = Field(default_factory=dict)

    def submission(self, workspace: str) -> SubmitRequest:
        """The submission that this stands for. Raises ValidationError where a part of it is not valid."""
        said: dict[str, Any] = {
            "global_specs": {
                "experiment_name": self.experiment_name,
                "algorithm_name": self.model or default_model(workspace, self.folder, self.file),
                "algorithm_args": self.arguments,
                "data_size_MB": self.data_size_MB,
                "min_scale_out": self.min_scale_out,
                "max_scale_out": self.max_scale_out or self.min_scale_out,
                "max_runtime": self.runtime_target_seconds,
            },
            "program": {
                "workspace": workspace,
                **self.model_dump(
                    include={
                        "file",
                        "folder",
                        "snapshot_id",
                        "output",
                        "gate",
                        "inputs",
                        "time_limit_seconds",
                        "silence_limit_seconds",
                    }
                ),
            },
            "name": self.name,
            "master_specs": self.driver.model_dump(exclude_unset=True),
            "optional_specs": self.optional_specs.model_dump(exclude_unset=True),
            "spark_template_values": self.spark_template_values,
        }
        if self.executor is not None:
            said["worker_specs"] = self.executor.model_dump(exclude_unset=True)
        return SubmitRequest.model_validate(said)


def default_model(workspace: str, folder: str, file: str) -> str:
    """A name for the model that a program trains, such as `team-a.digits.train`: none of two workspaces."""
    stem = posixpath.splitext(file)[0]
    parts = [workspace, *([folder] if folder not in (".", "./") else []), stem]
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", ".".join(parts)).strip("-.")[:200]
