"""Recorded runs in all formats, from tiny files."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.recorded_runs import DataMissing, load_bell, load_c3o, load_dataproc, load_folder
from common.settings.group import PROJECT_ROOT

C3O = """\
instance_count\tmachine_type\tslots\tdata_size_MB\tk\tgross_runtime
2\tm4.xlarge\t8\t1000\t3\t100
2\tm4.xlarge\t8\t1000\t3\t104
4\tm4.xlarge\t16\t1000\t3\t60
6\tm4.xlarge\t24\t1000\t3\t50
2\tc4.xlarge\t8\t2000\t3\t150
"""
DATAPROC = """\
algorithm,dataset_size_bytes,cpu_cores_per_node,memory_gb_per_node,scaleout,runtime
sort,2000000000,4,16,8,120.5
sort,4000000000,8,64,2,300
join,2000000000,4,16,8,77
"""
BELL = "Nodes,Runtime[ms]\n4,600000\n8,350500\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("c3o/sort.tsv", C3O), ("bell/grep.csv", BELL), ("dataproc/runs.csv", DATAPROC)):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text)
    return tmp_path


def test_totals_become_resources_of_an_instance(folder: Path) -> None:
    job = load_c3o(folder / "c3o" / "sort.tsv")
    assert (job.name, job.resources, job.sizes, job.machine) == (
        "sort",
        ("slots",),
        ("data_size_MB",),
        "machine_type",
    )
    assert {dict(run.context)["slots"] for run in job.runs} == {4.0}
    assert [run.columns["slots"] for run in job.runs] == [8.0, 8.0, 16.0, 24.0, 8.0]
    assert [run.runtime_seconds for run in job.runs] == [100.0, 104.0, 60.0, 50.0, 150.0]
    first, second = job.contexts.values()
    assert first == {2.0: [0, 1], 4.0: [2], 6.0: [3]}
    assert second == {2.0: [4]}


@pytest.mark.parametrize("header", ["Nodes,Runtime", "Nodes,Runtime[ms]", "nodes , runtime [ms]"])
def test_bells_milliseconds_become_seconds(tmp_path: Path, header: str) -> None:
    path = tmp_path / "grep.csv"
    path.write_text(BELL.replace("Nodes,Runtime[ms]", header))
    job = load_bell(path)
    assert [(run.scale_out, run.runtime_seconds) for run in job.runs] == [(4.0, 600.0), (8.0, 350.5)]
    assert list(job.contexts) == [()]


def test_a_file_of_dataproc_holds_several_jobs_on_machines_named_by_what_they_have(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(DATAPROC)
    join, sort = load_dataproc(path)
    assert (join.name, len(join.runs), sort.name, len(sort.runs)) == ("join", 1, "sort", 2)
    assert (sort.resources, sort.sizes, sort.machine) == (
        ("slots", "memory"),
        ("data_size_MB",),
        "machine_type",
    )
    first, second = sort.runs
    assert dict(first.context) == {
        "machine_type": "4 cores, 16 GB",
        "slots": 4.0,
        "memory": 16_000.0,
        "data_size_MB": 2000.0,
    }
    assert (first.scale_out, first.runtime_seconds) == (8.0, 120.5)
    assert dict(second.context)["memory"] == 64_000.0
    assert second.columns == {"slots": 8.0, "memory": 64.0, "data_size_MB": 4e9}


def test_a_folder_is_read_whole_or_by_name(folder: Path) -> None:
    def names(*wanted: str) -> list[list[str]]:
        return [[job.name for job in jobs] for jobs in load_folder(folder, wanted)]

    assert names() == [["sort"], ["grep"], ["join", "sort"]]
    assert names("c3o/sort.tsv") == [["sort"], [], []]
    assert names("runs") == [[], [], ["join", "sort"]]
    assert load_folder(folder / "bell").bell[0].name == "grep"


def test_tables_of_both_formats_in_one_folder_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "grep.csv").write_text(BELL)
    (tmp_path / "runs.csv").write_text(DATAPROC)
    found = load_folder(tmp_path)
    assert [job.name for job in found.bell] == ["grep"]
    assert [job.name for job in found.dataproc] == ["join", "sort"]


def test_files_elsewhere_are_read_by_their_path_and_missing_ones_named(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.tsv"
    kept.write_text(C3O)
    found = load_folder(folder, ["grep", str(kept)])
    assert [job.name for job in (*found.c3o, *found.bell)] == ["kept", "grep"]
    with pytest.raises(DataMissing, match="nothing"):
        load_folder(folder, ["grep", "nothing"])


@pytest.mark.parametrize(
    "text", ["", "a\tb\n1\t2\n", C3O.replace("104", "-1"), C3O.replace("104", "none"), C3O + "2\tm4\n"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.tsv"
    path.write_text(text)
    with pytest.raises(DataMissing, match=r"broken\.tsv"):
        load_c3o(path)


@pytest.mark.parametrize(
    "text",
    [DATAPROC.replace(",runtime", ",seconds"), DATAPROC.replace("120.5", "0"), DATAPROC + "sort,1\n"],
)
def test_other_files_of_several_jobs_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with pytest.raises(DataMissing, match=r"broken\.csv"):
        load_dataproc(path)


def test_a_missing_folder_is_told_with_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/initial_prediction.py", "--data", str(tmp_path / "none")]
    ended = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "there is no folder" in " ".join(ended.stdout.split())
    with pytest.raises(DataMissing):
        load_folder(tmp_path)
