"""What a submission may say."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from common.wire.specs import FREE_OBJECT_BYTES, FREE_OBJECT_DEPTH, ApplicationSpecs
from tests.support.samples import specs


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_the_deepest_and_the_ordinary_are_accepted() -> None:
    body = specs()
    body["spark_template_values"] = {
        "image": "x",
        "$odd.key": [1, None],
        "deep": nested(FREE_OBJECT_DEPTH - 1),
    }
    assert ApplicationSpecs.model_validate(body).spark_template_values["image"] == "x"


@pytest.mark.parametrize(
    "values",
    [
        nested(FREE_OBJECT_DEPTH + 1),
        nested(5_000),
        {"a": "x" * FREE_OBJECT_BYTES},
        {"a": [[]] * 500_000},
        {"a": 2**64},
        {"a\0": 1},
        {"a": "\ud800"},
    ],
    ids=["deep", "very deep", "large", "many", "huge number", "NUL", "half a character"],
)
def test_objects_that_cannot_be_stored_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="spark_template_values"):
        ApplicationSpecs.model_validate({**specs(), "spark_template_values": values})


@pytest.mark.parametrize("argument", ["0" * 5000, "0." + "0" * 5000 + "1", "1e-5" + " " * 4097, "x" * 5000])
def test_arguments_that_are_too_long_are_refused_and_never_another_value(argument: str) -> None:
    with pytest.raises(ValidationError, match="characters; 4096 are allowed"):
        with_specs(algorithm_args=[argument])


@pytest.mark.parametrize("argument", [2**63, 2**70, -(2**63), 10**400])
def test_integers_beyond_64_bits_are_refused_and_never_rounded(argument: int) -> None:
    with pytest.raises(ValidationError, match="64 bits"):
        with_specs(algorithm_args=[argument])


@pytest.mark.parametrize("argument", ["0" * 4096, "1", "true", True, 1, 1.5, 2**63 - 1, "", "1e400"])
def test_arguments_stay_what_they_are(argument: object) -> None:
    [kept] = with_specs(algorithm_args=[argument]).global_specs.algorithm_args
    assert (kept, type(kept)) == (argument, type(argument))


def with_specs(**values: Any) -> ApplicationSpecs:
    body = specs()
    return ApplicationSpecs.model_validate({**body, "global_specs": {**body["global_specs"], **values}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_scale_out": 5, "max_scale_out": 4},
        {"min_scale_out": 0},
        {"min_scale_out": True},
        {"max_scale_out": 10**30},
        {"max_runtime": math.nan},
        {"max_runtime": math.inf},
        {"max_runtime": -1},
        {"max_runtime": "soon"},
        {"data_size_MB": 0},
        {"data_size_MB": 2**70},
        {"algorithm_name": "../../etc"},
        {"algorithm_name": ""},
        {"experiment_name": "a/b"},
        {"solution_name": "a/b"},
        {"system_name": "flink"},
        {"algorithm_args": [{}]},
        {"algorithm_args": [math.nan]},
    ],
    ids=str,
)
def test_impossible_specs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApplicationSpecs.model_validate(specs(**wrong))


@pytest.mark.parametrize(
    "memory",
    ["0g", "-1g", "1e3g", "lots", "", "1.5g", 0, -1, 1.5, 1e300, math.nan, math.inf, True, None, [512]],
    ids=str,
)
def test_impossible_sizes_are_refused(memory: object) -> None:
    body = specs()
    body["worker_specs"]["memory"] = memory
    with pytest.raises(ValidationError):
        ApplicationSpecs.model_validate(body)


@pytest.mark.parametrize(
    ("memory", "text"), [(512, "512"), (512.0, "512"), ("2g", "2g"), ("2GB", "2GB"), ("2GiB", "2GiB")]
)
def test_a_number_is_a_size(memory: object, text: str) -> None:
    body = specs()
    body["worker_specs"]["memory"] = memory
    assert ApplicationSpecs.model_validate(body).worker_specs.memory == text
