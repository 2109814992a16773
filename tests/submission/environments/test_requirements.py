"""What requirements may say, and when two say the same."""

import pytest

from submission.environments.requirements import (
    InvalidRequirements,
    NoRequirements,
    environment_id,
    normalized,
)

HASH = "a" * 64


def test_comments_and_blanks_say_nothing_and_the_order_stays() -> None:
    content = b"\xef\xbb\xbf# ours\n\nzipp >= 3  # for paths\r\nhumanize[x]==4.*; python_version > '3'\n\n"
    assert normalized(content) == ["zipp >= 3", "humanize[x]==4.*; python_version > '3'"]
    assert normalized(b"a\nb\n") != normalized(b"b\na\n")


def test_hashes_may_follow_on_further_lines() -> None:
    content = f"cowsay==6.1 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{HASH}\nzipp\n".encode()
    assert normalized(content) == [f"cowsay==6.1 --hash=sha256:{HASH} --hash=sha256:{HASH}", "zipp"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r other.txt", "is an option"),
        ("-e .", "is an option"),
        ("--index-url https://ada:hunter2@index.example/simple", "is an option"),
        ("humanize --global-option=x", "of options only"),
        ("humanize --hash=sha256:abc", "of options only"),
        ("humanize @ file:///tmp/humanize.whl", "names a place"),
        ("humanize @ https://index.example/humanize.whl", "names a place"),
        ("git+https://ada:hunter2@example.org/humanize", "names a place"),
        ("./humanize", "names a place"),
        ("/opt/humanize", "names a place"),
        ("humanize-4.10.0-py3-none-any.whl", "names a place"),
        ("humanize=4", "is no requirement"),
        ("two words", "is no requirement"),
        ("humanize; sys_platform == '${HOME}'", "variables"),
        ("humanize\x07", "variables"),
        ("pyspark[sql]==4.0.0", "Spark brings pyspark along"),
        ("Py4J", "Spark brings Py4J along"),
    ],
)
def test_what_is_refused_is_named_by_its_line(line: str, why: str) -> None:
    with pytest.raises(InvalidRequirements, match=r"^requirements, line 3: ") as refusal:
        normalized(f"# ours\nzipp\n{line}\n".encode())
    assert why in str(refusal.value)
    assert refusal.value.status == 422
    assert "hunter2" not in str(refusal.value)


def test_what_cannot_be_read_or_is_too_much() -> None:
    with pytest.raises(InvalidRequirements, match="not UTF-8"):
        normalized(b"caf\xe9")
    with pytest.raises(InvalidRequirements, match="201 lines, at most 200"):
        normalized(b"zipp\n" * 201)
    with pytest.raises(InvalidRequirements, match="bytes, at most 65536"):
        normalized(b"#" * 65_537)
    with pytest.raises(NoRequirements):
        normalized(b"# nothing\n\n")


def test_it_is_known_by_lines_python_and_platform() -> None:
    ids = {
        environment_id(["a", "b"], "3.11", "linux"),
        environment_id(["b", "a"], "3.11", "linux"),
        environment_id(["a", "b"], "3.12", "linux"),
        environment_id(["a", "b"], "3.11", "macosx"),
    }
    assert len(ids) == 4
    assert all(len(each) == 64 for each in ids)
