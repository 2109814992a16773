"""What the registry keeps: models, their versions, and which version an alias names."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, computed_field

from common.models.artifacts import (
    ArtifactDamaged,
    ArtifactNotFound,
    ArtifactStore,
    FileInfo,
    StoreUnavailable,
    describe,
    verify,
)
from common.mongo.document import Document, UtcTime, utc_now

CHAMPION = "champion"
"""The alias of the version that serves."""

PROGRAM_KIND = "program"
"""Kind of models whose versions teams' programs have left, or lie in their workspaces."""

PROGRAM_SYSTEM = "spark"
"""What runs such programs."""

ALIAS_CHANGES_KEPT = 100

ARTIFACTS = "pretrained_models"
"""What the keys of all models' artifacts begin with."""


class VersionElsewhere(StoreUnavailable):
    """The version lies in another model store than this service uses: waiting brings it no nearer."""


class VersionState(StrEnum):
    READY = "READY"
    DAMAGED = "DAMAGED"
    """Its files are not those that were published; it is not served."""
    DELETED = "DELETED"
    """Its files are gone; the entry remains, and so does its number."""


class PublishedFile(FileInfo):
    name: str
    """In the artifact."""
    path: str | None = None
    """Where a program had left it, in folders; null: it is called as it was."""


class TrainingData(BaseModel):
    """What a version has learned from."""

    runs: int
    """Application executions."""
    jobs: int
    first_run_at: UtcTime | None = None
    """When the earliest of the runs began."""
    last_run_at: UtcTime | None = None
    last_job_end_time: UtcTime | None = None
    run_ids: list[str] = Field(default_factory=list)
    held_out_run_ids: list[str] = Field(default_factory=list)
    """Kept back from the training, to compare the version with the champion on."""


class ProgramOrigin(BaseModel):
    """Which run of which program has made a version, and of what."""

    application_execution_id: str | None = None
    """Null: no program has made it, but somebody a version of a folder."""
    workspace: str
    folder: str
    file: str = ""
    """The program."""
    arguments: list[Any] = Field(default_factory=list)
    snapshot_id: str
    environment_id: str | None = None
    runtime_seconds: float | None = None
    executor_hours: float | None = None
    """Null where no Spark job was reported."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Of its metrics.json."""
    signature: dict[str, Any] | None = None
    """What the version is asked with, as its signature.json says."""
    parent_version: int | None = None
    """The version that served when it was trained, and whose files it was given."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Runs of programs whose outputs it was given, by the folder's name."""
    data: list[str] = Field(default_factory=list)
    """What it says it has learned from."""


class Promotion(BaseModel):
    """Whether a new version came to serve, and why."""

    promoted: bool
    reason: str
    method: str
    """`unseen_runs`, `cross_validation`, `first_version`, … (see training/promotion/policy.py)."""
    champion_version: int | None = None
    """What it was compared with."""
    champion_error: float | None = None
    """Mean relative error of the remaining runtime; the same for the new version."""
    version_error: float | None = None
    runs: int = 0
    """Held-out runs that both were judged on."""
    moments: int = 0
    """Predictions that were compared."""
    at: UtcTime = Field(default_factory=utc_now)


class Alias(BaseModel):
    version: int
    since: UtcTime
    reason: str = ""


class AliasChange(BaseModel):
    alias: str
    version: int | None
    """None: the alias was removed."""
    previous: int | None
    at: UtcTime
    reason: str = ""
    by: str | None = None
    """Who asked for it; null where the service did so by itself."""


class RegisteredModel(Document):
    """A model by name: a sequence of versions, and aliases for some of them."""

    name: str = Field(alias="_id", serialization_alias="name")
    kind: str
    """`onlinepredictor`; other kinds of models may come."""
    system_name: str
    algorithm_name: str
    created_at: UtcTime = Field(default_factory=utc_now)
    latest_version: int = 0
    aliases: dict[str, Alias] = Field(default_factory=dict)
    alias_changes: list[AliasChange] = Field(default_factory=list)
    """Newest last."""

    @property
    def champion(self) -> int | None:
        return self.number_of(CHAMPION)

    def number_of(self, wanted: int | str) -> int | None:
        """The version that is meant by its number, or by an alias; None: no version has that one."""
        if isinstance(wanted, int):
            return wanted
        alias = self.aliases.get(wanted)
        return alias.version if alias else None


class VersionFacts(BaseModel):
    """What is known of a version before it has a number."""

    kind: str
    system_name: str
    algorithm_name: str
    experiment_name: str
    created_at: UtcTime = Field(default_factory=utc_now)
    training_run_id: str | None = None
    store: str = ""
    """Identity of the store that has the files."""
    schema_version: int
    """Of the files' content."""
    files: list[PublishedFile]
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    validation: dict[str, Any] = Field(default_factory=dict)
    training_data: TrainingData
    program: ProgramOrigin | None = None
    """Of kind `program`: where it comes from."""

    def expected_files(self) -> dict[str, FileInfo]:
        return {file.name: FileInfo(size_bytes=file.size_bytes, sha256=file.sha256) for file in self.files}


class ModelVersion(VersionFacts, Document):
    """One trained model; its files never change."""

    id: str = Field(alias="_id", serialization_alias="id")
    """Name and number: `spark.KMeans.onlinepredictor/3`."""
    name: str
    version: int
    state: VersionState = VersionState.READY
    state_reason: str = ""
    artifact_key: str
    promotion: Promotion | None = None
    """None until the version has been compared with the champion."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def to_mongo(self) -> dict[str, Any]:
        document = self.model_dump(by_alias=False)
        document["_id"] = document.pop("id")
        return document


class NewVersion(VersionFacts):
    """A version that is to be registered; its number is not known yet."""

    artifact_id: str

    @property
    def name(self) -> str:
        return model_name(self.system_name, self.algorithm_name, self.kind)

    @property
    def artifact_key(self) -> str:
        return artifact_key(self.system_name, self.algorithm_name, self.kind, self.artifact_id)

    def numbered(self, version: int) -> ModelVersion:
        fields = self.model_dump(exclude={"artifact_id"})
        return ModelVersion(
            id=version_id(self.name, version),
            name=self.name,
            version=version,
            artifact_key=self.artifact_key,
            **fields,
        )


def published_files(files: Mapping[str, bytes]) -> list[PublishedFile]:
    """What files look like, for the registry."""
    return [PublishedFile(name=name, **info.model_dump()) for name, info in describe(files).items()]


def model_name(system_name: str, algorithm_name: str, kind: str) -> str:
    """One segment of a path; neither the system nor the kind contains a dot."""
    return f"{system_name}.{algorithm_name}.{kind}"


def version_id(name: str, version: int) -> str:
    return f"{name}/{version}"


def artifact_key(system_name: str, algorithm_name: str, kind: str, artifact_id: str) -> str:
    return f"{ARTIFACTS}/{system_name}/{algorithm_name}/{kind}/{artifact_id}"


def new_artifact_id(random_hex: str, at: datetime | None = None) -> str:
    """A name that sorts by time and is used once, such as `20261121T101500Z-3f9a1c07`."""
    return f"{at or utc_now():%Y%m%dT%H%M%SZ}-{random_hex}"


async def read_version(store: ArtifactStore, version: ModelVersion) -> dict[str, bytes]:
    """The version's files as they were published.

    Raises:
        ArtifactDamaged: They are missing or differ, also when read again.
        VersionElsewhere: It lies in another store.
        StoreUnavailable: Nothing can be said now.
    """
    if version.store and store.identity and version.store != store.identity:
        raise VersionElsewhere(
            f"{version.id} lies in another model store than this service uses: services that share a "
            "MongoDB have to share HDFS_ENDPOINT and HDFS_OUTPUT_DIR, or DATA_DIR/models, too."
        )
    for attempt in (1, 2):
        try:
            files = await store.read(version.artifact_key)
            verify(version.artifact_key, files, version.expected_files())
            return files
        except (ArtifactDamaged, ArtifactNotFound) as error:
            if attempt == 2:
                raise ArtifactDamaged(str(error)) from error
    raise AssertionError("the second attempt returns or raises")
