"""Settings out of their range: every one stops the start, and is named."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from app.start import reasons
from common.errors import StartError
from common.settings.environments import EnvironmentSettings
from common.settings.group import SettingsGroup
from common.settings.prediction import PredictionSettings
from common.settings.settings import Settings

GROUPS = {type(getattr(Settings(), name)): name for name in Settings.model_fields}


def numbers() -> Iterator[tuple[type[SettingsGroup], str]]:
    """All numeric settings: a number as a text is read as one, a text that is none refused."""
    for group in GROUPS:
        for name in group.model_fields:
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv(name.upper(), "no number")
                try:
                    group()
                except ValidationError as error:
                    kinds = {problem["type"] for problem in error.errors()}
                    if kinds & {"int_parsing", "float_parsing"}:
                        yield group, name
                except Exception:
                    continue


NUMBERS = list(numbers())


def test_there_are_numeric_settings() -> None:
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("value", ["-1", "1e300", str(10**30), "nan", "inf"])
@pytest.mark.parametrize(("group", "name"), NUMBERS, ids=[name for _, name in NUMBERS])
def test_a_number_out_of_its_range_stops_the_start(
    group: type[SettingsGroup], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ValidationError) as failure:
        group()
    [reason] = reasons(failure.value)
    assert reason.startswith(f"{name.upper()}: ")


@pytest.mark.parametrize(
    ("group", "values", "named"),
    [
        (PredictionSettings, {"TARGET_CONFIDENCE": "0.9", "STAY_CONFIDENCE": "0.95"}, "STAY_CONFIDENCE"),
        (PredictionSettings, {"STAY_CONFIDENCE": "0.99"}, "STAY_CONFIDENCE"),
        (PredictionSettings, {"SCALE_IN_CONFIDENCE": "0.9"}, "SCALE_IN_CONFIDENCE"),
        (EnvironmentSettings, {"ENVIRONMENT_MAX_BYTES": str(8 << 30)}, "ENVIRONMENT_MAX_BYTES"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(
    group: type[SettingsGroup], values: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartError) as failure:
        group()
    assert [reason.partition(":")[0] for reason in reasons(failure.value)] == [named]


@pytest.mark.parametrize("target", ["0.5", "0.9", "0.99"])
def test_what_was_not_set_follows_the_target(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGET_CONFIDENCE", target)
    assert PredictionSettings().target_confidence == float(target)
