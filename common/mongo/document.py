"""What every stored document is made of."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from common.attribute_docs import describe


def utc_now() -> datetime:
    """Now, as precise as MongoDB stores it (milliseconds)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


UtcTime = Annotated[
    datetime, AfterValidator(lambda value: value if value.tzinfo else value.replace(tzinfo=UTC))
]
"""MongoDB returns times in UTC without saying so."""


class Document(BaseModel):
    """A stored document; fields that a newer version wrote are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        populate_by_name=True,
        json_schema_extra=describe,
        allow_inf_nan=False,  # JSON has neither
    )

    unknown_values: ClassVar[Mapping[str, str]] = {}
    """By field: what a value stands for that only another version knows; see `common.mongo.stored`."""

    @classmethod
    def from_mongo(cls, document: dict[str, Any]) -> Self:
        return cls.model_validate(document)

    def to_mongo(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_computed_fields=True)
