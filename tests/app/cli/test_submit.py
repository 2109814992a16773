"""`enel submit` and `enel what-if`: from files and options to what the service says."""

import json
from pathlib import Path

import pytest
import yaml

from common.processes.guarded import free_port
from tests.support.command_line import LEARNED, Enel
from tests.support.samples import specs

ENOUGH = (
    *("--algorithm", "KMeans", "--data-size-mb", 1, "--target", 60, "--min", 1, "--max", 4),
    *("--scale-out", 2, "--arg", "--iterations", "--arg", "3"),
)


def written(folder: Path, text: str, name: str = "submission.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_dry_run_says_what_would_be(enel: Enel) -> None:
    ran = enel("submit", *ENOUGH, "--dry-run")
    assert ran.code == 0, ran.err
    assert "nothing is stored or started" in ran.out
    assert "2 executors" in ran.out
    assert enel("applications", "list", "--algorithm", "KMeans", "--json").out == "[]\n"


def test_what_the_platform_refuses_ends_a_dry_run_with_1(enel: Enel) -> None:
    refused = (*ENOUGH, "--main-file", "local:///nowhere/report.py", "--dry-run")
    ran = enel("submit", *refused)
    assert ran.code == 1
    assert "nothing is stored or started" in ran.out
    assert ran.err.startswith("Error: The platform refuses it: ")
    assert "/nowhere/report.py" in ran.err
    ran = enel("submit", *refused, "--json")
    assert (ran.code, json.loads(ran.out)["k8s_api_response"]["accepted"]) == (1, False)
    assert "The platform refuses it" in ran.err


def test_lines_for_a_pipe_end_without_blanks(enel: Enel) -> None:
    for arguments in (
        ("submit", *ENOUGH, "--dry-run"),
        ("applications", "list"),
        ("models", "show", LEARNED),
    ):
        lines = enel(*arguments).out.splitlines()
        assert len(lines) > 1
        assert [line for line in lines if line != line.rstrip()] == []


def test_options_replace_what_the_file_says_and_set_replaces_both(enel: Enel, tmp_path: Path) -> None:
    file = written(tmp_path, yaml.safe_dump(specs(max_runtime=99.0, max_scale_out=3)))
    values = ("--set", "global_specs.max_runtime=77", "--set", "spark_template_values.labels.team=data")
    ran = enel("submit", file, "--max", 5, "--target", 88, *values, "--dry-run", "--json")
    entry = json.loads(ran.out)["db_entry"]
    assert (entry["global_specs"]["max_runtime"], entry["global_specs"]["max_scale_out"]) == (77, 5)
    assert entry["spark_template_values"] == {"labels": {"team": "data"}}


def test_json_is_yaml_too(enel: Enel, tmp_path: Path) -> None:
    assert enel("submit", written(tmp_path, json.dumps(specs())), "--dry-run").code == 0


def test_a_printed_manifest_is_one(enel: Enel) -> None:
    [manifest] = yaml.safe_load_all(enel("submit", *ENOUGH, "--print-manifest").out)
    assert manifest["kind"] == "SparkApplication"
    assert manifest["spec"]["arguments"] == ["--iterations", "3"]


def test_numbers_among_arguments_are_texts_to_kubectl_too(enel: Enel) -> None:
    printed = enel("submit", *ENOUGH, "--arg", "1e-3", "--print-manifest").out
    assert "- '1e-3'\n" in printed


def test_what_the_service_refuses_is_said_in_its_words(enel: Enel) -> None:
    ran = enel("submit", *ENOUGH, "--max", 0.5)
    assert (ran.code, ran.out) == (2, "")
    ran = enel("submit", *ENOUGH, "--scale-out", 9)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: The request is not valid: worker_specs.scale_out is 9")


@pytest.mark.parametrize(
    ("arguments", "what", "advice"),
    [
        (["none.yaml"], "none.yaml cannot be read: No such file", "Name a file"),
        ([], "nothing to submit", "enel submit --help"),
        (["--set", "max_runtime"], "no assignment", "--set global_specs.max_runtime=60"),
        (["--set", "a=1", "--set", "a.b=1"], "a is no object", "Set a itself"),
        (["--algorithm", "K", "--require-target"], "needs --wait", "both"),
        (["--target", "soon"], "--target", "enel submit --help"),
    ],
)
def test_what_makes_no_sense_says_what_to_write(
    enel: Enel, arguments: list[str], what: str, advice: str
) -> None:
    ran = enel("submit", *arguments)
    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first.startswith("Error: ")
    assert what in first
    assert advice in second


def test_a_file_that_is_no_yaml_names_the_line(enel: Enel, tmp_path: Path) -> None:
    ran = enel("submit", written(tmp_path, "a: 1\nb: [\n"))
    assert ran.code == 2
    assert "submission.yaml, line 3: neither YAML nor JSON" in ran.err


def test_without_a_service_it_says_how_to_get_one(enel: Enel) -> None:
    ran = enel("--url", f"http://127.0.0.1:{free_port()}", "submit", *ENOUGH)
    assert (ran.code, ran.out) == (3, "")
    assert "cannot be reached: no connection." in ran.err
    assert "enel serve" in ran.err


def test_what_if_shows_every_scale_out(enel: Enel, tmp_path: Path) -> None:
    file = written(tmp_path, yaml.safe_dump(specs(algorithm_name=LEARNED, max_scale_out=6, max_runtime=16)))
    ran = enel("what-if", file)
    assert ran.code == 0, ran.err
    lines = [line.split() for line in ran.out.splitlines()]
    scale_outs = [line[1] if line[0] == "→" else line[0] for line in lines if "%" in "".join(line)]
    assert [number for number in scale_outs if number.isdecimal()] == ["1", "2", "3", "4", "5", "6"]
    assert "Executor-hours" in ran.out
    assert json.loads(enel("what-if", file, "--json").out)["runs"] == 4


def test_what_if_without_history_says_what_would_help(enel: Enel) -> None:
    ran = enel("what-if", *ENOUGH)
    assert ran.code == 0
    assert "enel train" in ran.out
