"""Texts stay texts, whoever reads the YAML."""

import helm_python
import pytest
import yaml

from common.yaml_text import yaml_of

TEXTS = (
    *("1e-3", "4711e21", "25921e05", "59E3", ".5e3", "-.5", "+.5", "08", "-09", "0o17", "1e400"),
    *("y", "N", "yes", "off", "~", "null", "1_000", "0x1F", "1:30", "2026-11-30", "1.10", "", " ", "=", "<<"),
    *("512m", "--rate", "1e-3s", "KMeans", "two\nlines"),
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_same_to_python_and_to_helm(text: str) -> None:
    document = {text or "empty": text, "arguments": ["--rate", text]}
    written = yaml_of([document])
    assert yaml.safe_load(written) == document
    assert helm_python.values_from_yaml(written) == document


def test_only_texts_that_need_it_are_quoted() -> None:
    document = {"b": "512m", "a": 1, "share": 0.25, "on": True, "rate": "1e-3"}
    assert yaml_of([document]) == "b: 512m\na: 1\nshare: 0.25\n'on': true\nrate: '1e-3'\n"
    assert list(yaml.safe_load_all(yaml_of([{"a": 1}, {"b": "2"}]))) == [{"a": 1}, {"b": "2"}]
