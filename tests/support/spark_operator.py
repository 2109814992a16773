"""What the spark-operator does to a SparkApplication's status, without running anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.support.kubernetes_api import KubernetesApi, now
from submission.kubernetes.client import MERGE_PATCH, Kubernetes
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.errors import Access, KubernetesNotFound
from submission.kubernetes.kubeflow import KUBEFLOW
from submission.kubernetes.resources import MANAGED_BY_US

Json = dict[str, Any]

_SHOWS_UP_SECONDS = 10.0


class FakeOperator:
    """Drives applications through their states, by the API only: against a real API server, too.

    Args:
        api: The double, whose pods it gives logs to; None: there are no pods.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        namespace: str = "default",
        api: KubernetesApi | None = None,
        dialect: Dialect = KUBEFLOW,
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._api = api
        self._dialect = dialect
        self._path = dialect.path(namespace)
        self._access = Access("patch", "sparkapplications/status", namespace)

    async def report(self, name: str, state: str, error: str = "", **status: Any) -> Json:
        """Set the state and further fields of the status."""
        pod = self._pod(name)
        application = {"state": state, "errorMessage": error or None}
        body = {"status": {"applicationState": application, "driverInfo": {"podName": pod}, **status}}
        answer = await self._kubernetes.request(
            "PATCH", f"{self._path}/{name}/status", self._access, body=body, content_type=MERGE_PATCH
        )
        return answer.json()

    async def annotate(self, name: str) -> None:
        """Change something that is not the operator's."""
        body = {"metadata": {"annotations": {"tests": "changed"}}}
        await self._kubernetes.request(
            "PATCH", f"{self._path}/{name}", self._access, body=body, content_type=MERGE_PATCH
        )

    async def label(self, name: str, **labels: str) -> None:
        """Change labels, as another program does that takes a resource for its own."""
        body = {"metadata": {"labels": labels}}
        await self._kubernetes.request(
            "PATCH", f"{self._path}/{name}", self._access, body=body, content_type=MERGE_PATCH
        )

    async def submit(self, name: str) -> None:
        if self._api is not None:
            self._api.logs.setdefault((self._namespace, self._pod(name)), [])
        await self.report(name, "SUBMITTED", lastSubmissionAttemptTime=now(), submissionAttempts=1)

    async def run(self, name: str) -> None:
        await self.submit(name)
        self.write(name, "awake")
        await self.report(name, "RUNNING", sparkApplicationId=f"spark-{name}")

    async def end(self, name: str, state: str = "COMPLETED", error: str = "") -> None:
        self.write(name, "done")
        passing = "SUCCEEDING" if state == "COMPLETED" else "FAILING"
        await self.report(name, passing, error, terminationTime=now())
        if self._api is not None:
            self._api.ended_pods.add((self._namespace, self._pod(name)))
        await self.report(name, state, error)

    def write(self, name: str, line: str) -> None:
        """Let the driver say something."""
        if self._api is not None:
            self._api.logs[(self._namespace, self._pod(name))].append(line)

    def remove_pod(self, name: str) -> None:
        if self._api is not None:
            del self._api.logs[(self._namespace, self._pod(name))]

    def _pod(self, name: str) -> str:
        return f"{name}-driver"

    def _program(self, resource: Json) -> str:
        return str(resource["spec"]["mainApplicationFile"])

    async def all(self) -> list[Json]:
        access = Access("list", self._dialect.resource, self._namespace)
        query = {"labelSelector": MANAGED_BY_US}
        answer = await self._kubernetes.request("GET", self._path, access, query=query)
        return list(answer.json()["items"])

    @asynccontextmanager
    async def carrying_out(self, *, ends: bool = True) -> AsyncIterator[None]:
        """Runs whatever shows up, and where `ends`, completes it; but not what is called `sleeping`."""
        task = asyncio.create_task(self._carry_out(ends))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _carry_out(self, ends: bool) -> None:
        while True:
            for resource in await self.all():
                if resource.get("status"):
                    continue
                name = resource["metadata"]["name"]
                try:
                    await self.run(name)
                    if ends and "sleeping" not in self._program(resource):
                        await self.end(name)
                except KubernetesNotFound:
                    pass  # deleted meanwhile
            await asyncio.sleep(0.05)
