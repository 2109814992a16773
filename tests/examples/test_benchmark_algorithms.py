"""The benchmark algorithms: their data, their submissions, and a run of each with the plugin."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import pytest_asyncio

from app.client.answers import Job
from app.client.client import AsyncClient
from common.settings.group import PROJECT_ROOT
from common.wire.specs import ApplicationSpecs
from submission.local.runner import LOCAL
from submission.manifest.build import build_manifest
from submission.manifest.options import ManifestOptions, bundled_examples
from tests.support.services import on_mongodb, started_service
from tests.support.spark.spark_cluster import QUICK_START
from training.event_logs.files import files_of
from training.event_logs.logs import logs_below
from training.event_logs.recorded import read_log

EXAMPLES = PROJECT_ROOT / "examples"
SUBMISSIONS = EXAMPLES / "submissions"
JAR = PROJECT_ROOT / "listener" / "build" / "enel-listener.jar"
ALGORITHMS = ("KMeans", "LogisticRegression", "MPC", "GradientBoostedTrees")
SIZE_MB, DIMENSIONS, FILES = 1, 6, 3

GENERATE = """
import json, sys, generate_data
for arguments in json.loads(sys.argv[1]):
    generate_data.main(arguments)
"""


RUN = """
import importlib, json, sys
module, *arguments = json.loads(sys.argv[1])
sys.argv = [module, *map(str, arguments)]
importlib.import_module(module).main()
"""


def in_one_driver(code: str, argument: object, *options: str) -> str:
    """What Python code prints; where it starts one Spark after another, their JVM is the same.

    Args:
        argument: Of the code, as JSON.
        options: Of `spark-submit`.
    """
    usual = "--master local[2] --driver-memory 512m --conf spark.ui.enabled=false"
    quick = f"--driver-java-options '{QUICK_START}'"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(argument)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(EXAMPLES),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": " ".join((usual, quick, *options, "pyspark-shell")),
        },
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data for every algorithm."""
    folder = tmp_path_factory.mktemp("data")
    size = ["--size-mb", str(SIZE_MB), "--dimensions", str(DIMENSIONS), "--partitions", str(FILES)]
    runs = [[name, *size, "--output", (folder / name).as_uri()] for name in ALGORITHMS]
    again = ["MPC", *size, "--output", (folder / "again").as_uri()]
    in_one_driver(GENERATE, [*runs, [*again, "--seed", "1"], [*again, "--overwrite"]])
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*"))


def rows(folder: Path) -> np.ndarray:
    return np.concatenate([np.loadtxt(file, delimiter=",") for file in files(folder)])


@pytest.mark.spark
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_data_has_the_size_and_shape_asked_for(data: Path, algorithm: str) -> None:
    written = files(data / algorithm)
    assert len(written) == FILES
    assert sum(file.stat().st_size for file in written) == pytest.approx(SIZE_MB * 1e6, rel=0.03)
    table = rows(data / algorithm)
    assert table.shape[1] == DIMENSIONS + (algorithm != "KMeans")
    assert np.isfinite(table).all()
    assert len(np.unique(table, axis=0)) == len(table)
    if algorithm in ("LogisticRegression", "MPC"):
        labels, counts = np.unique(table[:, 0], return_counts=True)
        assert labels.tolist() == [0, 1, 2]
        assert counts.min() > 0.9 * counts.max()


@pytest.mark.spark
def test_columns_do_not_repeat_each_other(data: Path) -> None:
    """Spark seeds partition p of a column with the column's seed plus p."""
    first, second = (np.loadtxt(file, delimiter=",") for file in files(data / "GradientBoostedTrees")[:2])
    assert not np.isin(first[:, 1:], second[:, 1:]).mean() > 0.1


@pytest.mark.spark
def test_the_same_seed_gives_the_same_data(data: Path) -> None:
    """And with `--overwrite` it takes the place of what another seed gave."""
    contents = [[file.read_text() for file in files(data / name)] for name in ("MPC", "again")]
    assert contents[0] == contents[1]


# --- submissions --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SUBMISSIONS.rglob("*.json")), ids=lambda path: path.stem)
def test_submissions_and_their_arguments_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = ApplicationSpecs.model_validate_json(path.read_text())
    options = ManifestOptions(
        "127.0.0.1", 5000, str(JAR), examples=bundled_examples(EXAMPLES), platform=LOCAL
    )
    spec = build_manifest(specs, "execution", 2, options)["spec"]
    program = EXAMPLES / Path(urlsplit(spec["mainApplicationFile"]).path).name
    assert program.is_file()
    monkeypatch.syspath_prepend(str(EXAMPLES))
    parsed = importlib.import_module(program.stem).parse_arguments(spec["arguments"])
    assert parsed.partitions > 1


# --- runs ---------------------------------------------------------------------------------------

PROGRAMS = {
    # File, whose data is read, jobs at least, and what most stages begin with. Reading takes no simulated
    # time; the runs of other tests generate their points.
    "KMeans": ("kmeans", True, 12, "reduceByKey at "),
    "LogisticRegression": ("logistic_regression", False, 15, "treeAggregate at RDDLossFunction"),
    "MPC": ("mpc", False, 20, "treeAggregate at LBFGS"),
    "GradientBoostedTrees": ("gradient_boosted_trees", True, 20, "collectAsMap at RandomForest"),
    "Sales": ("sales", False, 16, "collect at "),
}


def submission(algorithm: str, data: Path) -> dict[str, Any]:
    file, reads, *_ = PROGRAMS[algorithm]
    body: dict[str, Any] = json.loads((SUBMISSIONS / f"{file}.json").read_text())
    if reads:
        body["global_specs"]["algorithm_args"] += ["--input", (data / algorithm).as_uri()]
    return body


def ran(algorithm: str, data: Path, events: Path) -> tuple[list[Any], str]:
    """Jobs, by Spark's own log, and output of a program with the arguments of its submission.

    Args:
        events: An empty folder.
    """
    file, *_ = PROGRAMS[algorithm]
    # Neither many small tasks nor simulated latency is what is looked at.
    quicker = {"kmeans": ["--partitions", 4], "sales": ["--read-seconds-per-partition", 0]}
    arguments = submission(algorithm, data)["global_specs"]["algorithm_args"] + quicker.get(file, [])
    kept = {"enabled": "true", "dir": events.as_uri(), "rolling.enabled": "false", "compress": "false"}
    options = [f"--conf spark.eventLog.{name}={value}" for name, value in kept.items()]
    printed = in_one_driver(RUN, [file, *arguments], *options)
    files = files_of(str(events))
    [log] = logs_below(files, str(events))
    attempt = read_log(files, log)
    jobs = sorted(attempt.job_updates(), key=lambda job: job["job_id"])
    attempt.close()
    return jobs, printed


@pytest.mark.spark
@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    "algorithm",
    [
        # One of those that Spark's own library computes stands for the others.
        pytest.param(each, marks=pytest.mark.long if each in ("LogisticRegression", "MPC") else ())
        for each in PROGRAMS
    ],
)
def test_it_runs(data: Path, tmp_path: Path, algorithm: str) -> None:
    check_run(algorithm, data, *ran(algorithm, data, tmp_path))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncClient]:
    assert JAR.is_file(), "`make listener` builds the plugin"
    async with (
        started_service(tmp_path_factory.mktemp("service"), **on_mongodb(mongo_uri)) as service,
        AsyncClient(service.url) as client,
    ):
        yield client


async def ended(client: AsyncClient, execution_id: str) -> tuple[list[Job], str]:
    """Jobs and log of an application that completed."""
    application = await client.ended_application(execution_id)
    log = await client.log(execution_id)
    assert application["state"] == "COMPLETED", log
    return (await client.jobs(execution_id))["items"], log


def measured(log: str, name: str) -> float:
    return float(re.findall(rf"^{name} ([-.0-9]+)", log, flags=re.MULTILINE)[-1])


@pytest.mark.spark
@pytest.mark.service
@pytest.mark.long  # what a service knows of a program is tested with others
@pytest.mark.timeout(480)
@pytest.mark.parametrize("algorithm", PROGRAMS)
async def test_it_is_reported(client: AsyncClient, data: Path, algorithm: str) -> None:
    jobs, log = await ended(client, (await client.submit(submission(algorithm, data)))["db_entry"]["_id"])
    stages = check_run(algorithm, data, jobs, log)
    assert all(stage["start_scale_out"] == 2 for stage in stages)


def check_run(algorithm: str, data: Path, jobs: Sequence[Any], log: str) -> list[Any]:
    """That it did what it is for; returns the stages that ran."""
    _, _, least_jobs, iterative_stage = PROGRAMS[algorithm]
    assert [job["job_id"] for job in jobs] == list(range(len(jobs)))
    assert len(jobs) >= least_jobs
    stages = [stage for job in jobs for stage in job["stages"].values() if stage is not None]
    assert all(stage["metrics"]["cpu_utilization"] > 0 for stage in stages)
    assert sum(stage["stage_name"].startswith(iterative_stage) for stage in stages) >= 0.5 * len(jobs)

    if algorithm == "KMeans":
        points = len(rows(data / algorithm))
        # Around its own centre a point lies at distance 1 in every dimension.
        assert measured(log, "final cost") / points / DIMENSIONS == pytest.approx(1.0, abs=0.05)
    elif algorithm == "GradientBoostedTrees":
        assert measured(log, "test r2") > 0.7
    elif algorithm == "Sales":
        sales, mean_quantity, mean_price = 2 * 40_000, 3.0, 50.5
        assert measured(log, "total revenue") / sales == pytest.approx(mean_quantity * mean_price, rel=0.02)
    else:
        # One in twenty labels is wrong, and by chance a third of all would be right.
        assert 0.85 < measured(log, "test accuracy") < 0.98
    return stages
