"""What every runner does and says: on this machine with a real Spark, on Kubernetes with its API.

On Kubernetes nothing runs: somebody plays the spark-operator. Without TEST_KUBECONFIG the API server
is a double as well.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import pytest_asyncio
from bson import ObjectId

from app.wiring.manifest_options import manifest_options
from app.wiring.platform import DIALECTS, PLATFORMS
from common.errors import InvalidRequest
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.settings import Settings
from submission.kubernetes.dialect import Dialect
from submission.local.runner import LocalSparkRunner
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions
from submission.manifest.template_values import RescalingMode, as_uri
from submission.runners import Runner
from tests.support.manifests import request_specs, runnable_manifest
from tests.support.on_kubernetes import FINAL, cluster, manifest_of
from tests.support.samples import specs, unique_name

SHORT = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("awake", flush=True)
spark.stop()
print("done", flush=True)
"""
SLEEPING = SHORT.replace("spark.stop()", "import time; time.sleep(600)")


@dataclass
class Place:
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

    async def numbered(self, execution_id: str, offset: int) -> list[str]:
        """Lines of one that has ended."""
        found = await self.runner.read_lines(execution_id, offset, ended=True)
        assert found is not None
        assert (found.next, found.finished) == (offset + len(found.lines), True)
        return found.lines


Open = Callable[[AsyncExitStack, Client, str, ExecutionRepository, Path], Awaitable[Place]]


async def _local(
    stack: AsyncExitStack, mongo: Client, database: str, executions: ExecutionRepository, folder: Path
) -> Place:
    # The cluster only knows how to wait for states.
    here = await stack.enter_async_context(cluster(mongo, database, executions, may_be_real=False))
    programs = {"short": SHORT, "sleeping": SLEEPING}
    for name, source in programs.items():
        (folder / f"{name}.py").write_text(source)
    runner = LocalSparkRunner(folder / "data", executions.record_state, cores=2, memory="2g")
    stack.push_async_callback(runner.aclose)
    return Place(
        runner=runner,
        executions=executions,
        render=lambda execution_id, program: runnable_manifest(execution_id, folder / f"{program}.py"),
        spoil=lambda manifest: manifest["spec"]["driver"].update(memory="64m"),
        until=here.until,
        has_logs=True,
    )


async def _kubernetes(
    stack: AsyncExitStack,
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    _: Path,
    *,
    dialect: Dialect,
) -> Place:
    here = await stack.enter_async_context(cluster(mongo, database, executions, dialect=dialect))
    await stack.enter_async_context(here.operator.carrying_out())
    return Place(
        runner=here.runner(),
        executions=executions,
        render=lambda execution_id, program: manifest_of(
            execution_id, f"local:///{program}.py", dialect=dialect
        ),
        spoil=lambda manifest: manifest["metadata"].update(name="no name"),
        until=here.until,
        has_logs=here.double is not None,
    )


PLACES: Mapping[str, Open] = {
    "local": _local,
    **{each.platform.name: partial(_kubernetes, dialect=each) for each in DIALECTS.values()},
}
NEEDS_SPARK = ("local",)


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="session",
    params=[pytest.param(name, marks=[pytest.mark.spark] * (name in NEEDS_SPARK)) for name in PLACES],
)
async def place(
    request: pytest.FixtureRequest, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    database = unique_name("runners")
    executions = ExecutionRepository(mongo, database)
    await executions.create_indexes()
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp(request.param)
        yield await PLACES[request.param](stack, mongo, database, executions, folder)
    await mongo.drop_database(database)


# --- what it says of its platform -------------------------------------------------------------------


def test_every_runner_that_can_be_chosen_is_held_to_this() -> None:
    assert {wiring.platform.name for wiring in PLATFORMS} == set(PLACES)


@pytest.fixture(params=PLATFORMS, ids=lambda wiring: wiring.platform.name)
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ManifestOptions:
    """Of a service that nothing is said to but a token."""
    monkeypatch.setenv("CALLBACK_TOKEN", "hunter2")
    monkeypatch.setenv("CALLBACK_TOKEN_SECRET", "enel-callback/token")
    return manifest_options(Settings(), request.param.platform)


def rendered(options: ManifestOptions, **values: Any) -> dict[str, Any]:
    """The spec of a manifest."""
    manifest = build_manifest(request_specs(spark_template_values=values), "66f0", 2, options)
    return dict(manifest["spec"])


def test_its_name_is_one_word(options: ManifestOptions) -> None:
    """What follows a slash in a runner's name says which of several it is."""
    assert re.fullmatch(r"[a-z][a-z0-9-]*", options.platform.name)
    assert options.platform.in_words


def test_it_has_its_default_rescaling_mode(options: ManifestOptions) -> None:
    default = options.platform.rescaling_modes[0]
    assert rendered(options) == rendered(options, rescaling_mode=default)


def test_every_other_mode_is_refused_with_a_way_out(options: ManifestOptions) -> None:
    for mode in get_args(RescalingMode):
        if mode in options.platform.rescaling_modes:
            assert rendered(options, rescaling_mode=mode)
            continue
        with pytest.raises(InvalidRequest, match=f"rescaling_mode '{mode}' is .* Leave it out"):
            rendered(options, rescaling_mode=mode)


def test_its_jar_is_named_where_nothing_loads_it_by_itself(options: ManifestOptions) -> None:
    in_image = options.platform.jars_in_image
    is_loaded = in_image is not None and options.listener_jar.startswith(in_image)
    named = rendered(options).get("deps", {}).get("jars", [])
    assert named == ([] if is_loaded else [as_uri(options.listener_jar, "LISTENER_JAR")])


def test_its_examples_are_found_without_a_setting(options: ManifestOptions) -> None:
    assert rendered(options)["mainApplicationFile"] == as_uri(options.examples["KMeans"], "examples")


def test_the_token_is_at_most_referred_to(options: ManifestOptions) -> None:
    spec = rendered(options)
    assert ("envSecretKeyRefs" in spec["driver"]) == options.platform.token_by_secret
    assert "hunter2" not in str(spec)


# --- what it does -----------------------------------------------------------------------------------


async def test_a_runner_is_called_after_its_platform(place: Place) -> None:
    assert place.runner.name.partition("/")[0] == place.runner.platform.name


async def test_an_application_runs_to_its_end(place: Place) -> None:
    execution_id = await place.submit("short")
    lines = await place.lines(execution_id)
    ended = await place.until(execution_id, *FINAL)
    states = [change.state for change in ended.state_changes]
    assert states == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"], ended.state_reason
    assert [change.at for change in ended.state_changes] == sorted(c.at for c in ended.state_changes)
    assert ended.end_time is not None
    if place.has_logs:
        assert lines.count("awake") == 1
        assert "done" in lines
        log = await place.runner.read_log(execution_id, 10_000)
        assert log is not None
        assert set(lines) <= set(log.splitlines())
        assert len((await place.runner.read_log(execution_id, 1) or "").splitlines()) == 1
        assert await place.lines(execution_id) == log.splitlines()
        assert await place.numbered(execution_id, 0) == log.removesuffix("\n").split("\n")
        from_the_second = [line async for line in place.runner.follow_lines(execution_id, 1)]
        assert from_the_second == await place.numbered(execution_id, 1)
        assert await place.numbered(execution_id, 1) == (await place.numbered(execution_id, 0))[1:]


async def test_an_application_is_stopped(place: Place) -> None:
    execution_id = await place.submit("sleeping")
    await place.until(execution_id, "RUNNING")
    assert await place.runner.stop(execution_id, "Killed on request of Ada.") is True
    ended = await place.until(execution_id, *FINAL)
    assert (ended.state, ended.state_reason) == ("KILLED", "Killed on request of Ada.")
    assert ended.end_time is not None
    assert await place.runner.stop(execution_id) is False


async def test_what_was_stored_but_never_started_is_started_by_resume(place: Place) -> None:
    execution = await place.store("sleeping")
    await place.runner.resume([execution])
    await place.until(execution.id, "PENDING", "SUBMITTED", "RUNNING")
    assert await place.runner.stop(execution.id) is True
    assert (await place.until(execution.id, *FINAL)).state == "KILLED"


async def test_nothing_is_known_of_an_unknown_one(place: Place) -> None:
    assert await place.runner.stop("none") is False
    assert await place.runner.read_log("none", 10) is None
    assert await place.runner.read_lines("none", 0, ended=True) is None
    assert await place.lines("none") == []
    assert [line async for line in place.runner.follow_lines("none", 0)] == []


async def test_a_verdict_before_anything_is_started(place: Place) -> None:
    execution_id = str(ObjectId())
    manifest = place.render(execution_id, "short")
    await place.runner.check(manifest)
    verdict = await place.runner.dry_run(manifest)
    assert verdict["accepted"] is True
    assert verdict["checked_by"] == place.runner.platform.name

    place.spoil(manifest)
    with pytest.raises(InvalidRequest):
        await place.runner.check(manifest)
    verdict = await place.runner.dry_run(manifest)
    assert verdict["accepted"] is False
    assert verdict["reason"]
