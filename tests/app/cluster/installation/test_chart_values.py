"""Values as Helm would read them."""

from pathlib import Path

import pytest

from app.cluster.failure import CannotBeDone
from app.cluster.installation.chart_values import given_values, value_at


def test_later_values_win_key_by_key(tmp_path: Path) -> None:
    for name, text in (("a", "image: {repository: x, tag: '1'}\nreplicas: 2"), ("b", "image: {tag: '2'}")):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / "a"), "https://example.org/values.yaml", str(tmp_path / "b")]
    assert given_values(files, ["replicas=1"]) == {
        "image": {"repository": "x", "tag": "2"},
        "replicas": "1",
    }


def test_assignments_as_helm_writes_them() -> None:
    values = given_values([], [r"a.b=x\,y,c={p, q},d=true", r"labels.example\.org/team=data"])
    assert values == {
        "a": {"b": "x,y"},
        "c": ["p", "q"],
        "d": True,
        "labels": {"example.org/team": "data"},
    }
    assert value_at(values, "a", "b", "c") is None


@pytest.mark.parametrize(("text", "reason"), [("{", "no YAML"), ("- a", "no values by name")])
def test_files_that_hold_no_values(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "values.yaml").write_text(text)
    with pytest.raises(CannotBeDone, match=reason):
        given_values([str(tmp_path / "values.yaml")], [])
    with pytest.raises(CannotBeDone, match="No such file"):
        given_values([str(tmp_path / "none.yaml")], [])
