"""The specs of a submission: what is run, on what, and by when (wire names, see the contract).

The same models validate requests and describe the stored documents.
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import bson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from common.attribute_docs import describe
from common.forms import Form
from common.wire.unknown import UnknownField, UnknownNames

SHORT_TEXT = 256
"""Characters. Longest name anywhere; a Kubernetes label value is shorter still."""

LONG_TEXT = 4096
"""Characters. Longest free text, such as a failure reason or a stage name."""

INT64_MAX = 2**63 - 1

FREE_OBJECT_BYTES = 1 << 20
"""Encoded size of a free object; a stored document may hold 16 MiB, and there is more in it."""

FREE_OBJECT_DEPTH = 64
"""Levels of nesting; MongoDB refuses more than about 180 in a document."""

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=SHORT_TEXT, strip_whitespace=True),
    Form(
        r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$",
        "a name of letters, digits, spaces and . _ + - that begins with a letter or digit, such as KMeans",
    ),
]
"""A name that ends up in a path, a label or a file name: no slash, no leading dot."""


def _no_boolean(value: object) -> object:
    """JSON's true is not the number one, whatever Python says."""
    if isinstance(value, bool):
        raise ValueError("a boolean is not a number")
    return value


NoBoolean = BeforeValidator(_no_boolean)

ScaleOut = Annotated[int, Field(gt=0, le=100_000), NoBoolean]
"""Number of executors."""


def _size_as_text(value: object) -> object:
    """A JSON number is the size that it is as a text: mebibytes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


MemorySize = Annotated[
    str,
    BeforeValidator(_size_as_text),
    Form(r"^[1-9][0-9]{0,9}([bB]|[kmgtpKMGTP]([iI]?[bB]|i)?)?$", "a whole size such as 512m, 2g or 1Gi"),
]
"""A JVM or Kubernetes size, such as `512m`, `2g` or `1Gi`; without a unit it is MiB, as for Spark."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, le=10 * 365 * 86_400), NoBoolean]


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    if _depth(value) > FREE_OBJECT_DEPTH:
        raise ValueError(f"is nested deeper than {FREE_OBJECT_DEPTH} levels")
    try:
        size = len(bson.encode(value))
    except Exception as error:  # bson raises a different type for every kind of misfit
        raise ValueError(f"cannot be stored: {type(error).__name__}") from error
    if size > FREE_OBJECT_BYTES:
        raise ValueError(f"is larger than {FREE_OBJECT_BYTES} bytes when stored")
    return value


def _depth(value: Any) -> int:
    """Levels of nesting, counted only as far as the limit reaches."""
    depth, level = 0, [value]
    while level and depth <= FREE_OBJECT_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth


FreeObject = Annotated[dict[str, Any], AfterValidator(_storable)]
"""Any JSON object that MongoDB can hold (64-bit integers, no NUL in keys)."""


class WireModel(BaseModel):
    """What is said over HTTP: unknown fields are ignored, as the contract says."""

    # The texts below attributes are shown in the API's own documentation, too.
    model_config = ConfigDict(extra="ignore", json_schema_extra=describe)


@functools.cache
def _names_of(model: type[BaseModel]) -> frozenset[str]:
    """Of its fields, as they may be given."""
    return frozenset(model.model_fields) | {
        field.alias for field in model.model_fields.values() if field.alias
    }


class RequestModel(WireModel):
    """What somebody asks for; names of its unknown fields are kept, so that the answer can tell of them."""

    _unknown: UnknownNames = PrivateAttr(default_factory=UnknownNames)

    @model_validator(mode="wrap")
    @classmethod
    def _remember_unknown(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(value)
        if isinstance(value, Mapping):
            known = _names_of(cls)
            if not value.keys() <= known:  # of stored documents, which are read all day, none is
                model._unknown = UnknownNames.among(value, known)
        return model

    def unknown_fields(self, place: str = "", elsewhere: Collection[str] = ()) -> Iterator[UnknownField]:
        """Of this and of all its parts.

        Args:
            elsewhere: Names that the same body may have for another route.
        """
        for name in self._unknown.names:
            if name not in elsewhere:
                yield UnknownField(place, name, type(self).model_fields)
        for name in type(self).model_fields:
            if isinstance(part := getattr(self, name), RequestModel):
                yield from part.unknown_fields(f"{place}{name}.")


class Spec(RequestModel):
    """A part of a submission."""


def _argument(value: object) -> object:
    """Refuses what the types below would take for another value: a long text of digits for a number, say."""
    if isinstance(value, str) and len(value) > LONG_TEXT:
        raise ValueError(f"a text of {len(value)} characters; {LONG_TEXT} are allowed")
    if isinstance(value, int) and abs(value) > INT64_MAX:
        raise ValueError("an integer that does not fit into 64 bits; as a text it does")
    return value


class GlobalSpecs(Spec):
    solution_name: Name = "enel"
    """Who decides on scale-outs: the service's own policy, or a baseline (`docs/baselines.md`)."""
    system_name: Literal["spark"] = "spark"
    template_version: Name = "v1"
    experiment_name: Name
    algorithm_name: Name
    algorithm_args: list[
        Annotated[
            Annotated[str, StringConstraints(max_length=LONG_TEXT)]
            | bool
            | Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]
            | Annotated[float, Field(allow_inf_nan=False)],
            BeforeValidator(_argument),
        ]
    ] = Field(default_factory=list, max_length=256)
    data_size_MB: Annotated[int, Field(gt=0, le=INT64_MAX), NoBoolean]
    data_characteristics: Annotated[str, StringConstraints(max_length=LONG_TEXT)] = ""
    machine_name: Name = "unknown"
    environment_name: Name = "unknown"
    min_scale_out: ScaleOut
    max_scale_out: ScaleOut
    max_runtime: Seconds
    """Runtime target in seconds for the whole application."""

    @model_validator(mode="after")
    def _ordered(self) -> "GlobalSpecs":
        if self.min_scale_out > self.max_scale_out:
            raise ValueError(
                f"min_scale_out ({self.min_scale_out}) is larger than max_scale_out ({self.max_scale_out})"
            )
        return self


class OptionalSpecs(Spec):
    hadoop_version: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None
    spark_version: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None
    scala_version: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None
    java_version: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None


class MasterSpecs(Spec):
    """The driver."""

    scale_out: ScaleOut = 1
    cores: Annotated[int, Field(gt=0, le=1024), NoBoolean] = 1
    memory: MemorySize = "512m"
    memory_overhead: MemorySize | None = None
    """Beside the heap; null: what Spark takes, a share of the memory that is larger for Python."""


class WorkerSpecs(MasterSpecs):
    """Each executor; `scale_out` is how many to start with when there is no history."""


WorkspaceName = Annotated[
    str,
    Form(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "up to 63 lower-case letters, digits and hyphens, such as team-a",
    ),
]
"""Of a workspace: it ends up in paths and keys."""

_ProgramPath = Annotated[str, StringConstraints(min_length=1, max_length=512)]


ProgramOutput = Literal["version", "kept", "optional"]
"""What becomes of what a program leaves."""


class MetricGate(Spec):
    """The figure of `metrics.json` by which a new version is compared with the one that serves."""

    metric: Annotated[str, StringConstraints(min_length=1, max_length=SHORT_TEXT)]
    better: Literal["higher", "lower"]


class ProgramSpec(Spec):
    """A program of a workspace, which runs in place of a main application file."""

    workspace: WorkspaceName
    folder: _ProgramPath = "."
    """Of the workspace; all that lies in it is there when the program runs."""
    file: _ProgramPath = "train.py"
    """Of the folder."""
    snapshot_id: Annotated[str, Form(r"^[0-9a-f]{64}$", "the id of a snapshot")] | None = None
    """Run these files, rather than those that are there at the submission."""
    output: ProgramOutput = "version"
    """What becomes of ENEL_OUTPUT_DIR: a version of the model; files that are kept; the same, and it may be
    empty."""
    gate: MetricGate | None = None
    """None: the latest version serves."""
    inputs: Annotated[dict[Name, Annotated[str, StringConstraints(max_length=64)]], Field(max_length=32)] = (
        Field(default_factory=dict)
    )
    """Runs of programs whose outputs it finds in ENEL_INPUT_DIR, by the folder's name."""
    time_limit_seconds: Seconds = 86_400.0
    """After which it is ended, whatever the runtime target says."""
    silence_limit_seconds: Seconds = 600.0
    """After which it is told that nothing is heard of it."""


class ApplicationSpecs(Spec):
    """Everything a submission fixes about a run."""

    global_specs: GlobalSpecs
    optional_specs: OptionalSpecs = Field(default_factory=OptionalSpecs)
    master_specs: MasterSpecs = Field(default_factory=MasterSpecs)
    worker_specs: WorkerSpecs = Field(default_factory=WorkerSpecs)
    spark_template_values: FreeObject = Field(default_factory=dict)
    program: ProgramSpec | None = None
    """What runs is a program of a workspace (docs/programs.md)."""
