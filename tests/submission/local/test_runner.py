"""Real applications on a real standalone cluster, and what is left of them: nothing."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from common.errors import InvalidRequest, Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState, StateChange
from common.settings.group import PROJECT_ROOT
from common.wire.specs import WorkerSpecs
from submission.local.runner import LocalSparkRunner
from tests.support.doubles import Recorder
from tests.support.manifests import runnable_manifest
from tests.support.samples import specs

TOKEN = "hunter2-for-callbacks"
SLEEPING = """
import hashlib, os, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
token = os.environ["ENEL_CALLBACK_TOKEN"]
there = spark.sparkContext.parallelize([0], 1).map(lambda _: "ENEL_CALLBACK_TOKEN" in os.environ).collect()
print("awake", hashlib.sha256(token.encode()).hexdigest(), *there, flush=True)
spark.sparkContext.parallelize(range(1), 1).foreach(lambda _: time.sleep(600))
"""
FAILING = "raise ValueError('the input is missing, password=hunter2')\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def runner(folder: Path, recorder: Recorder) -> AsyncIterator[LocalSparkRunner]:
    async def token_for(execution_id: str) -> str:
        return TOKEN

    runner = LocalSparkRunner(folder, recorder, cores=2, memory="2g", max_applications=1, token_for=token_for)
    yield runner
    await runner.aclose()


def program(folder: Path, source: str) -> Path:
    path = folder / f"program{abs(hash(source))}.py"
    path.write_text(source)
    return path


def processes(folder: Path, containing: str = "") -> list[str]:
    """Command lines of processes that belong to a runner's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and containing in line:
            found.append(line)
    return found


async def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)


async def ended(recorder: Recorder, execution_id: str) -> None:
    await until(lambda: recorder.latest(execution_id)[0].is_final)


@pytest.mark.spark
async def test_the_example_completes(runner: LocalSparkRunner, recorder: Recorder) -> None:
    arguments = ["--iterations", 2, "--partitions", 2, "--points", 600, "--read-seconds-per-partition", 0.01]
    manifest = runnable_manifest("example", algorithm_args=arguments)
    answer = await runner.start(manifest, "example")
    assert answer["metadata"] == manifest["metadata"]
    assert answer["status"] == {"applicationState": {"state": "PENDING"}}
    await ended(recorder, "example")
    written = await runner.read_log("example", 10_000)
    assert recorder.states("example") == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"], written
    assert recorder.fields["example"]["end_time"].tzinfo == UTC
    assert written is not None
    final = next(line for line in written.splitlines() if line.startswith("final cost")).replace(",", "")
    assert float(final.split()[2]) < 0.9 * float(final.split()[-1])
    assert len((await runner.read_log("example", 2) or "").splitlines()) == 2
    assert await runner.read_log("none", 2) is None
    assert await runner.read_log("../example", 2) is None


@pytest.mark.spark
async def test_one_after_the_other_killed_and_failed(
    runner: LocalSparkRunner, recorder: Recorder, folder: Path
) -> None:
    sleeping, failing = program(folder, SLEEPING), program(folder, FAILING)
    await runner.start(runnable_manifest("first", sleeping), "first")
    await runner.start(runnable_manifest("second", sleeping), "second")
    await runner.start(runnable_manifest("third", failing), "third")
    assert recorder.latest("third") == (ApplicationState.PENDING, "Waits for its turn, 2 before it.")

    await until(lambda: "RUNNING" in recorder.states("first"))
    assert await runner.stop("second") is True
    assert recorder.states("second") == ["PENDING", "KILLED"]
    assert recorder.states("third") == ["PENDING"]
    assert processes(folder, "spark.properties")
    await until(lambda: b"awake" in (folder / "applications" / "first" / "driver.log").read_bytes())
    written = await runner.read_log("first", 10_000) or ""
    assert f"awake {hashlib.sha256(TOKEN.encode()).hexdigest()} False" in written
    assert not processes(folder, TOKEN)
    assert not [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]

    assert await runner.stop("first") is True
    assert recorder.states("first") == ["PENDING", "SUBMITTED", "RUNNING", "KILLED"]
    assert recorder.fields["first"]["end_time"] is not None
    assert not processes(folder, "applications/first")
    assert await runner.stop("first") is False

    await ended(recorder, "third")
    state, reason = recorder.latest("third")
    assert state is ApplicationState.FAILED
    assert reason == "exit code 1: ValueError: the input is missing, password=***"
    await until(lambda: not processes(folder, "CoarseGrainedExecutorBackend"))


@pytest.mark.spark
async def test_a_dead_master_fails_what_runs_and_is_replaced(
    runner: LocalSparkRunner, recorder: Recorder, folder: Path
) -> None:
    await runner.start(runnable_manifest("orphan", program(folder, SLEEPING)), "orphan")
    await until(lambda: "RUNNING" in recorder.states("orphan"))
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and "deploy.master.Master" in line and "guard.py" not in line:
            process.kill()
    await ended(recorder, "orphan")
    assert recorder.latest("orphan") == (
        ApplicationState.FAILED,
        "The local Spark's Master ended with exit code 137.",
    )
    await runner.start(runnable_manifest("next", program(folder, SLEEPING)), "next")
    await until(lambda: "RUNNING" in recorder.states("next"))


@pytest.mark.spark
async def test_nothing_is_left_when_the_runner_closes(
    runner: LocalSparkRunner, recorder: Recorder, folder: Path
) -> None:
    """Closes the module's runner: the last test that uses it."""
    await runner.start(runnable_manifest("waiting", program(folder, SLEEPING)), "waiting")
    assert processes(folder)
    await runner.aclose()
    assert not processes(folder)
    assert recorder.latest("next")[0] is ApplicationState.FAILED
    assert recorder.states("waiting") == ["PENDING"]
    with pytest.raises(Unavailable):
        await runner.start(runnable_manifest("late"), "late")


@pytest.mark.spark
async def test_nothing_is_left_when_the_service_is_killed(tmp_path: Path) -> None:
    source = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from submission.local.cluster import LocalCluster\n"
        "async def main():\n"
        "    cluster = LocalCluster(Path(sys.argv[1]), 1, '1g')\n"
        "    print(await cluster.ensure_up(), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, str(tmp_path), cwd=PROJECT_ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert service.stdout is not None
        assert (await service.stdout.readline()).startswith(b"spark://127.0.0.1:")
        assert len([line for line in processes(tmp_path, "spark.deploy") if "guard.py" not in line]) == 2
    finally:
        service.kill()
        await service.wait()
    await until(lambda: not processes(tmp_path), 20)


# --- without a cluster ----------------------------------------------------------------------------


def test_how_many_executors_fit(tmp_path: Path, recorder: Recorder) -> None:
    runner = LocalSparkRunner(tmp_path, recorder, cores=6, memory="4g")
    assert runner.max_executors(WorkerSpecs(cores=1, memory="512m")) == 6
    assert runner.max_executors(WorkerSpecs(cores=2, memory="512m")) == 3
    assert runner.max_executors(WorkerSpecs(cores=1, memory="1Gi")) == 4
    with pytest.raises(InvalidRequest, match="LOCAL_SPARK_CORES=6"):
        runner.max_executors(WorkerSpecs(cores=7))


async def test_what_could_never_start_is_refused(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = LocalSparkRunner(tmp_path, recorder)
    await runner.check(runnable_manifest("one"))

    manifest = runnable_manifest("one", tmp_path / "none.py")
    with pytest.raises(InvalidRequest, match=r"none\.py does not exist"):
        await runner.check(manifest)

    manifest = runnable_manifest("one")
    manifest["spec"]["deps"]["jars"] = ["local:///none.jar"]
    with pytest.raises(Unavailable, match="make install"):
        await runner.check(manifest)

    manifest = runnable_manifest("one")
    manifest["spec"]["executor"]["memory"] = "100m"
    with pytest.raises(InvalidRequest, match="at least 450m"):
        await runner.check(manifest)

    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="Java is missing"):
        await runner.check(runnable_manifest("one"))
    await runner.start(runnable_manifest("unlucky"), "unlucky")
    await ended(recorder, "unlucky")
    assert recorder.latest("unlucky")[0] is ApplicationState.SUBMISSION_FAILED


async def test_a_cluster_that_does_not_start_is_told(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'Could not reserve enough space' >&2; exit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    runner = LocalSparkRunner(tmp_path / "data", recorder)
    await runner.start(runnable_manifest("unstarted"), "unstarted")
    await ended(recorder, "unstarted")
    state, reason = recorder.latest("unstarted")
    assert state is ApplicationState.SUBMISSION_FAILED
    assert reason.startswith("The local Spark's Master did not start. master.log ends with:")
    assert "Could not reserve enough space" in reason
    await runner.aclose()


async def test_after_a_restart(tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never started takes its turn again, what ran died with the service."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # so that its turn is a short one
    runner = LocalSparkRunner(tmp_path, recorder)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    folder = tmp_path / "applications" / "ran"
    (folder / "program" / "files").mkdir(parents=True)
    (folder / "driver.log").write_text("a line")

    def execution(execution_id: str, state: ApplicationState) -> ApplicationExecution:
        return ApplicationExecution(
            id=execution_id,
            created_at=at,
            state=state,
            state_changes=[StateChange(state=state, at=at)],
            manifests=[runnable_manifest(execution_id)],
            **specs(),
        )

    await runner.resume(
        [execution("ran", ApplicationState.RUNNING), execution("waited", ApplicationState.PENDING)]
    )
    assert recorder.latest("ran") == (
        ApplicationState.FAILED,
        "The service that ran it ended, and the application with it.",
    )
    assert "end_time" not in recorder.fields["ran"], "nobody saw when"
    assert [path.name for path in folder.iterdir()] == ["driver.log"]
    await ended(recorder, "waited")
    assert "Java is missing" in recorder.latest("waited")[1]
    await runner.aclose()
