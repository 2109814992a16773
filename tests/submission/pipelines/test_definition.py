"""Pipelines as YAML says them."""

import pytest

from common.workspaces.documents import StoredFile
from submission.pipelines.definition import InvalidPipeline, chosen, parse_pipeline

GOOD = b"""
parameters: {size: 10}
steps:
  first: {file: a.py, arguments: [--size, {parameter: size}], files: ["a.py", "lib/*"]}
  second: {file: b.py, needs: [first], output: version}
"""


def test_steps_are_read_with_their_defaults() -> None:
    pipeline = parse_pipeline(GOOD, "p.yaml").with_parameters({"size": 20})
    first, second = pipeline.steps.values()
    assert (first.arguments, first.output, second.output) == (["--size", 20], "kept", "version")
    assert pipeline.result_step == "second"
    files = [StoredFile(path=path, sha256="0", size_bytes=1) for path in ("a.py", "b.py", "lib/c/d.py")]
    assert [file.path for file in chosen(files, first)] == ["a.py", "lib/c/d.py"]
    assert len(chosen(files, second)) == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Input should be a valid dictionary"),
        (b"steps: {}", "steps"),
        (b"steps: [a]", "steps"),
        (b"\xff", "is no YAML"),
        (b"steps: {a: {needs: [b]}, b: {}}", "'b' is no step before it"),
        (b"steps: {a: {needs: [a]}}", "'a' is no step before it"),
        (b"steps: {a: {fiel: x.py}}", "steps.a.fiel is not known"),
        (b"steps: {a: {folder: x}}", "steps.a.folder: the pipeline decides that"),
        (b"steps: {a: {}}\nresult: b", "there is no step 'b'"),
        (b"steps: {a: {arguments: [{parameter: no}]}}", "neither a value nor"),
        (b"steps: {a: {arguments: [{parameter: []}]}}", "neither a value nor"),
        (b"steps: {a: &x {}, b: *x}", "anchors and aliases"),
        (b"steps: {a: {runtime_target_seconds: -1}}", "runtime_target_seconds"),
        (b"#" * 70_000, "is larger than"),
        (b"!!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_what_is_no_pipeline_says_why(content: bytes, told: str) -> None:
    with pytest.raises(InvalidPipeline, match=r"p\.yaml|steps") as refused:
        parse_pipeline(content, "p.yaml").with_parameters({})
    assert told in str(refused.value)


def test_a_parameter_that_the_pipeline_has_not_is_refused() -> None:
    with pytest.raises(InvalidPipeline, match="it has size"):
        parse_pipeline(GOOD, "p.yaml").with_parameters({"seize": 1})
