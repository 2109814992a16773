"""What every runner does: on this machine with a real Spark, on Kubernetes with its API.

On Kubernetes nothing runs: somebody plays the spark-operator. Without TEST_KUBECONFIG the API server
is a double as well.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from bson import ObjectId

from common.errors import InvalidRequest
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.local.runner import LocalSparkRunner
from submission.manifest.build import Manifest
from submission.runners import Runner
from tests.on_kubernetes import FINAL, Cluster, cluster, manifest_of
from tests.samples import specs, unique_name
from tests.submission.conftest import runnable_manifest

pytestmark = pytest.mark.parametrize(
    "platform", [pytest.param("local", marks=pytest.mark.spark), "kubernetes"], indirect=True
)

SHORT = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("awake", flush=True)
spark.stop()
print("done", flush=True)
"""
SLEEPING = SHORT.replace("spark.stop()", "import time; time.sleep(600)")


@dataclass
class Platform:
    runner: Runner
    executions: ExecutionRepository
    render: Callable[[str, str], Manifest]
    """Execution id and program, `short` or `sleeping`, to manifest."""
    spoil: Callable[[Manifest], None]
    """Makes a manifest one that the platform cannot carry out."""
    until: Callable[..., Awaitable[ApplicationExecution]]
    has_logs: bool

    async def store(self, program: str) -> ApplicationExecution:
        execution_id = str(ObjectId())
        execution = ApplicationExecution(
            id=execution_id,
            runner=self.runner.name,
            manifests=[self.render(execution_id, program)],
            **specs(),
        )
        await self.executions.insert(execution)
        return execution

    async def submit(self, program: str) -> str:
        execution = await self.store(program)
        answer = await self.runner.start(execution.manifests[0], execution.id)
        assert answer["metadata"]["name"] == execution.manifests[0]["metadata"]["name"]
        return execution.id

    async def lines(self, execution_id: str) -> list[str]:
        return [line async for line in self.runner.follow_log(execution_id, 10_000)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def platform(
    request: pytest.FixtureRequest, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    database = unique_name("runners")
    executions = ExecutionRepository(mongo, database)
    await executions.create_indexes()
    async with AsyncExitStack() as stack:
        is_local = request.param == "local"  # then the cluster only knows how to wait for states
        here = await stack.enter_async_context(cluster(mongo, database, executions, may_be_real=not is_local))
        if is_local:
            yield await _local(stack, here, tmp_path_factory.mktemp("spark"))
        else:
            await stack.enter_async_context(here.operator.carrying_out())
            yield Platform(
                runner=here.runner(),
                executions=executions,
                render=lambda execution_id, program: manifest_of(execution_id, f"local:///{program}.py"),
                spoil=lambda manifest: manifest["spec"]["driver"].update(cores="many"),
                until=here.until,
                has_logs=here.double is not None,
            )
    await mongo.drop_database(database)


async def _local(stack: AsyncExitStack, here: Cluster, folder: Path) -> Platform:
    programs = {"short": SHORT, "sleeping": SLEEPING}
    for name, source in programs.items():
        (folder / f"{name}.py").write_text(source)
    runner = LocalSparkRunner(folder / "data", here.executions.record_state, cores=2, memory="2g")
    stack.push_async_callback(runner.aclose)
    return Platform(
        runner=runner,
        executions=here.executions,
        render=lambda execution_id, program: runnable_manifest(execution_id, folder / f"{program}.py"),
        spoil=lambda manifest: manifest["spec"]["driver"].update(memory="64m"),
        until=here.until,
        has_logs=True,
    )


async def test_an_application_runs_to_its_end(platform: Platform) -> None:
    execution_id = await platform.submit("short")
    lines = await platform.lines(execution_id)
    ended = await platform.until(execution_id, *FINAL)
    states = [change.state for change in ended.state_changes]
    assert states == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"], ended.state_reason
    assert [change.at for change in ended.state_changes] == sorted(c.at for c in ended.state_changes)
    assert ended.end_time is not None
    if platform.has_logs:
        assert lines.count("awake") == 1
        assert "done" in lines
        log = await platform.runner.read_log(execution_id, 10_000)
        assert log is not None
        assert set(lines) <= set(log.splitlines())
        assert len((await platform.runner.read_log(execution_id, 1) or "").splitlines()) == 1
        assert await platform.lines(execution_id) == log.splitlines()


async def test_an_application_is_stopped(platform: Platform) -> None:
    execution_id = await platform.submit("sleeping")
    await platform.until(execution_id, "RUNNING")
    assert await platform.runner.stop(execution_id, "Killed on request of Ada.") is True
    ended = await platform.until(execution_id, *FINAL)
    assert (ended.state, ended.state_reason) == ("KILLED", "Killed on request of Ada.")
    assert ended.end_time is not None
    assert await platform.runner.stop(execution_id) is False


async def test_what_was_stored_but_never_started_is_started_by_resume(platform: Platform) -> None:
    execution = await platform.store("sleeping")
    await platform.runner.resume([execution])
    await platform.until(execution.id, "PENDING", "SUBMITTED", "RUNNING")
    assert await platform.runner.stop(execution.id) is True
    assert (await platform.until(execution.id, *FINAL)).state == "KILLED"


async def test_nothing_is_known_of_an_unknown_one(platform: Platform) -> None:
    assert await platform.runner.stop("none") is False
    assert await platform.runner.read_log("none", 10) is None
    assert await platform.lines("none") == []


async def test_a_verdict_before_anything_is_started(platform: Platform) -> None:
    execution_id = str(ObjectId())
    manifest = platform.render(execution_id, "short")
    await platform.runner.check(manifest)
    verdict = await platform.runner.dry_run(manifest)
    assert verdict["accepted"] is True
    assert verdict["checked_by"] == platform.runner.name

    platform.spoil(manifest)
    with pytest.raises(InvalidRequest):
        await platform.runner.check(manifest)
    verdict = await platform.runner.dry_run(manifest)
    assert verdict["accepted"] is False
    assert verdict["reason"]
