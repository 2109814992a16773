"""How a model is served: what people say, and defaults for the rest."""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from common.attribute_docs import describe
from common.forms import Form
from common.models.versions import CHAMPION
from common.mongo.document import Document, UtcTime, utc_now

_WRITE = "a version's number, or an alias such as champion"


def _checked(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One refusal for both kinds; true is no number. Raises ValueError."""
    try:
        if not isinstance(value, bool):
            return handler(value)
    except ValidationError:
        pass
    raise ValueError(f"write {_WRITE}")


VersionOrAlias = Annotated[
    Annotated[int, Field(ge=1, le=2**31)] | Annotated[str, Form(r"^[a-z][a-z0-9_-]{0,63}$", _WRITE)],
    WrapValidator(_checked),
]
"""A version's number, or an alias that names one."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra=describe, allow_inf_nan=False)


class Canary(_Options):
    """A second version that answers some of the requests."""

    version: VersionOrAlias
    share: Annotated[float, Field(ge=0, le=1)]
    """Of the requests, from 0 to 1; 0: it answers only who asks for it by number or alias."""


class Shadow(_Options):
    """A second version that is asked the same; nobody is given its answers, which are recorded."""

    version: VersionOrAlias
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the requests, from 0 to 1; none while the model has more to do than it can."""


class ServingOptions(_Options):
    """Of one model; whatever is left out has a default."""

    version: VersionOrAlias = CHAMPION
    """Which version answers."""
    canary: Canary | None = None
    shadow: Shadow | None = None
    replicas: Annotated[int, Field(ge=1, le=64)] = 1
    """Of each version that is loaded; each has the model in memory."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """That one replica of an ONNX model computes with; null: the machine's cores, divided by the replicas."""
    max_batch_rows: Annotated[int, Field(ge=1, le=4096)] = 16
    """Rows that are computed together at most."""
    batch_wait_milliseconds: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """How long a row waits for others while a replica is free. 0: rows go together when they have to wait."""
    max_queue_rows: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Rows that wait at most; who asks for more is told to come again (429)."""
    time_limit_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """From a request to its answer; a computation that takes longer is ended."""
    load_limit_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """For a version to get ready to answer."""
    memory_limit_bytes: Annotated[int, Field(ge=32 << 20, le=1 << 50)] = 2 << 30
    """Of one replica's process; one that holds more is ended."""
    idle_seconds: Annotated[float, Field(ge=0)] | None = 900.0
    """Without a request, after which its replicas end; the next request brings them back. Null: never."""
    keep_inputs: bool = True
    """Whether what was asked is kept with the prediction, so that feedback teaches the next version."""

    def changed_by(self, others: Self) -> Self:
        """These, with whatever others say. Raises ValidationError where both do not fit together."""
        said = others.model_dump(include=others.model_fields_set)
        return type(self).model_validate({**self.model_dump(), **said})

    @model_validator(mode="after")
    def _one_version_each(self) -> Self:
        if self.canary is not None and self.canary.version == self.version:
            raise ValueError("canary.version is the version that answers anyhow")
        if self.shadow is not None and self.shadow.version == self.version:
            raise ValueError("shadow.version is the version that answers anyhow")
        return self


class ServedModel(Document):
    """A model that is served, or was, by all services that share the database."""

    model: str = Field(alias="_id")
    options: ServingOptions = Field(default_factory=ServingOptions)
    created_at: UtcTime = Field(default_factory=utc_now)
    updated_at: UtcTime = Field(default_factory=utc_now)
    by: str | None = None
    """Who said so last."""
    last_good: int | None = None
    """The version that answered last, which does so again where the one that is to answer does not load."""
    revision: int = 1
    ended_at: UtcTime | None = None
    """Since when it is served no more; its options stay for who serves it again. Null: it is served."""
    ended_by: str | None = None
