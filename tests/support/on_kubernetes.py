"""A runner on Kubernetes for tests: on the double, or on a real API server (TEST_KUBECONFIG)."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId
from kubernetes.aio.utils.retry import Backoff

from benchmarks.support.kubernetes_api import KubernetesApi, kubernetes_api
from benchmarks.support.kubernetes_schema import APACHE_CRD, crd_schema
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import BackOff
from common.mongo.types import Client
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.client import Kubernetes, kubernetes_client
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.kept_logs import DriverLogRepository
from submission.kubernetes.kubeflow import KUBEFLOW
from submission.kubernetes.resources import SparkApplications, execution_id_of_resource
from submission.kubernetes.runner import SparkOperatorRunner
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions
from tests.support.apache_operator import FakeApacheOperator
from tests.support.manifests import request_specs
from tests.support.samples import specs
from tests.support.spark_operator import FakeOperator

REAL = os.environ.get("TEST_KUBECONFIG", "")
REAL_NAMESPACE = os.environ.get("TEST_KUBERNETES_NAMESPACE", "default")

SECONDS = 120.0
"""Nothing here takes that long; only what has gone wrong does."""


OFTEN = BackOff(0.02, 0.02)


class WatchingRunner(SparkOperatorRunner):
    """Runs its loops itself, until it is closed."""

    _watching: tuple[asyncio.Task[None], ...] = ()

    def watch(self) -> None:
        self._watching = tuple(asyncio.create_task(loop.run_forever()) for loop in self.loops())

    async def aclose(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await super().aclose()


@dataclass
class Cluster:
    """A runner, what it stores, and the other end of the API server."""

    kubernetes: Kubernetes
    executions: ExecutionRepository
    logs: DriverLogRepository
    namespace: str
    operator: FakeOperator
    double: KubernetesApi | None
    dialect: Dialect = KUBEFLOW
    runners: list[SparkOperatorRunner] = field(default_factory=list)

    @property
    def api(self) -> KubernetesApi:
        """The double. Skips a test that needs one where there is a real API server."""
        if self.double is None:
            pytest.skip("only on the double: a real API server does not fail when it is told to")
        return self.double

    @property
    def applications(self) -> SparkApplications:
        return SparkApplications(self.kubernetes, self.dialect)

    def runner(self, *, watches: bool = True, **options: Any) -> WatchingRunner:
        """A further one, as another replica, or as the same service after a restart."""
        options.setdefault("watching", {"back_off": OFTEN})
        runner = WatchingRunner(self.applications, self.executions, self.logs, (self.namespace,), **options)
        self.runners.append(runner)
        if watches:
            runner.watch()
        return runner

    async def store(self, program: str = "local:///short.py", **fields: Any) -> ApplicationExecution:
        """An execution that no runner has got yet."""
        execution_id = fields.pop("execution_id", str(ObjectId()))
        execution = ApplicationExecution(
            id=execution_id,
            runner=self.dialect.platform.name,
            manifests=[manifest_of(execution_id, program, dialect=self.dialect)],
            **{**specs(), **fields},
        )
        await self.executions.insert(execution)
        return execution

    async def start(self, runner: SparkOperatorRunner, program: str = "local:///short.py") -> tuple[str, str]:
        """Id and resource name of an execution that was handed over."""
        execution = await self.store(program)
        await runner.start(execution.manifests[0], execution.id)
        return execution.id, execution.manifests[0]["metadata"]["name"]

    async def names(self) -> list[str]:
        """Of the resources that there are of the stored executions."""
        ids = {execution.id for execution in await self.executions.newest(limit=200)}
        resources, _ = await self.applications.ours(self.namespace)
        return [each["metadata"]["name"] for each in resources if execution_id_of_resource(each) in ids]

    async def delete(self, name: str) -> None:
        """As somebody with kubectl would."""
        assert await self.applications.delete(name, self.namespace)

    async def until(self, execution_id: str, *states: str) -> ApplicationExecution:
        deadline = time.monotonic() + SECONDS
        while (execution := await self.executions.get(execution_id)).state not in states:
            assert time.monotonic() < deadline, f"is {execution.state}: {execution.state_reason}"
            await asyncio.sleep(0.02)
        return execution

    async def states(self, execution_id: str) -> list[str]:
        return [change.state.value for change in (await self.executions.get(execution_id)).state_changes]


def manifest_of(
    execution_id: str,
    program: str = "local:///short.py",
    *,
    has_own_token: bool = False,
    dialect: Dialect = KUBEFLOW,
    **changes: Any,
) -> Manifest:
    options = ManifestOptions(
        "127.0.0.1",
        5000,
        "local:///listener.jar",
        platform=dialect.platform,
        token_per_execution=has_own_token,
    )
    values = {"main_application_file": program}
    manifest = build_manifest(request_specs(spark_template_values=values), execution_id, 2, options)
    del manifest["metadata"]["namespace"]  # the runner's first one
    manifest["spec"] |= changes
    return manifest


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def connected(url: str, **settings: Any) -> AsyncIterator[Kubernetes]:
    options = {"kubernetes_timeout_seconds": 5.0, **settings}
    backoff = Backoff(steps=5, duration=0.01, factor=2.0)
    connection = KubernetesSettings(kubernetes_endpoint=url, **options)
    async with kubernetes_client(connection, backoff=backoff) as kubernetes:
        yield kubernetes


@asynccontextmanager
async def cluster(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    *,
    may_be_real: bool = True,
    dialect: Dialect = KUBEFLOW,
) -> AsyncIterator[Cluster]:
    """Closes the runners, and deletes what they have left in a real cluster."""
    async with AsyncExitStack() as stack:
        double: KubernetesApi | None = None
        if REAL and may_be_real:
            kubernetes = await stack.enter_async_context(
                kubernetes_client(KubernetesSettings(kubeconfig=REAL))
            )
            namespace = REAL_NAMESPACE
        else:
            schema = {"schema": crd_schema(APACHE_CRD)} if dialect is APACHE else {}
            double = stack.enter_context(
                kubernetes_api(group=dialect.group, version=dialect.version, **schema)
            )
            kubernetes = await stack.enter_async_context(connected(double.url))
            namespace = "default"
        fake = FakeApacheOperator if dialect is APACHE else FakeOperator
        operator = fake(kubernetes, namespace, double)
        logs = DriverLogRepository(mongo, database)
        here = Cluster(kubernetes, executions, logs, namespace, operator, double, dialect)
        try:
            yield here
        finally:
            for runner in here.runners:
                await runner.aclose()
            if double is None:
                for name in await here.names():
                    await here.applications.delete(name, namespace)


FINAL = tuple(state.value for state in ApplicationState if state.is_final)
