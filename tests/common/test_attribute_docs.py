"""Texts below attributes are those that pydantic reads itself, and those of the class that says most."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from common.attribute_docs import describe, docs_of


class Base(BaseModel):
    model_config = ConfigDict(json_schema_extra=describe)

    first: int
    """Of the base."""
    second: Annotated[int, Field(description="Its own.")] = 0
    """Not this one."""
    third: str = Field(default="", alias="thirdName")
    """Over
    two lines."""
    silent: int = 0


class Child(Base):
    first: int = 1
    fourth: list[Base] = []
    """Of several."""


class Read(Base):
    """As pydantic reads it."""

    model_config = ConfigDict(json_schema_extra={}, use_attribute_docstrings=True)

    third: str = Field(default="", alias="thirdName")
    """Over
    two lines."""


def test_schemas_have_them() -> None:
    properties = Child.model_json_schema()["properties"]
    assert Base.model_json_schema()["properties"]["first"]["description"] == "Of the base."
    assert "description" not in properties["first"], "declared anew, and nothing is said of it"
    assert properties["second"]["description"] == "Its own."
    assert properties["fourth"]["description"] == "Of several."
    assert "description" not in properties["silent"]
    ours = properties["thirdName"]["description"]
    assert ours == Read.model_json_schema()["properties"]["thirdName"]["description"] == "Over\ntwo lines."


def test_classes_inside_functions_have_theirs() -> None:
    class Inside(Base):
        inner: int = 0
        """Inside."""

    assert docs_of(Inside)["inner"] == "Inside."
    assert Inside.model_json_schema()["properties"]["inner"]["description"] == "Inside."


def test_without_source_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = type("Made", (), {"__annotations__": {"x": int}, "__module__": "nowhere"})
    assert docs_of(made) == {}
