"""What Apache's operator does to a SparkApplication's status, without running anything."""

from typing import Any

from benchmarks.support.kubernetes_api import KubernetesApi, now
from submission.kubernetes.apache.attempts import application_id
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.client import MERGE_PATCH, Kubernetes
from tests.support.spark_operator import FakeOperator

Json = dict[str, Any]


class FakeApacheOperator(FakeOperator):
    """Drives applications through its states, with their history, by the API only."""

    def __init__(
        self, kubernetes: Kubernetes, namespace: str = "default", api: KubernetesApi | None = None
    ) -> None:
        super().__init__(kubernetes, namespace, api, APACHE)
        self._histories: dict[str, list[Json]] = {}
        self._attempts: dict[str, int] = {}

    async def report(self, name: str, state: str, error: str = "", **driver: Any) -> Json:
        """Go to a state; `driver` is what was seen of its pod."""
        history = self._histories.setdefault(name, [])
        seen = {"lastObservedDriverStatus": driver} if driver else {}
        entry = {"currentStateSummary": state, "message": error, "lastTransitionTime": now(), **seen}
        history.append(entry)
        if state == "ScheduledToRestart":
            self._attempts[name] = self._attempts.get(name, 0) + 1
        attempt = self._attempts.get(name, 0)
        counters = dict.fromkeys(("id", "restartCounter", "failureRestartCounter"), attempt)
        status = {
            "currentState": entry,
            "stateTransitionHistory": {str(number): each for number, each in enumerate(history)},
            "currentAttemptSummary": {"attemptInfo": counters},
        }
        answer = await self._kubernetes.request(
            "PATCH",
            f"{self._path}/{name}/status",
            self._access,
            body={"status": status},
            content_type=MERGE_PATCH,
        )
        return answer.json()

    async def submit(self, name: str) -> None:
        await self.report(name, "Submitted")
        if self._api is not None:
            self._api.logs.setdefault((self._namespace, self._pod(name)), [])
        await self.report(name, "DriverRequested")

    async def run(self, name: str) -> None:
        await self.submit(name)
        self.write(name, "awake")
        for state in ("DriverStarted", "DriverReady", "RunningHealthy"):
            await self.report(name, state)

    async def end(
        self, name: str, state: str = "Succeeded", error: str = "", *, is_last: bool = True
    ) -> None:
        """The end of an attempt; of the last one, what follows, too."""
        self.write(name, "done")
        if self._api is not None:
            self._api.ended_pods.add((self._namespace, self._pod(name)))
        code, reason = (0, "Completed") if state == "Succeeded" else (1, "Error")
        ended = {"exitCode": code, "reason": reason, "finishedAt": now()}
        container = {"name": "spark-kubernetes-driver", "state": {"terminated": ended}}
        await self.report(name, state, error, containerStatuses=[container])
        if is_last:
            await self.report(name, "TerminatedWithoutReleaseResources")

    def _pod(self, name: str) -> str:
        metadata = {"name": name, "namespace": self._namespace}
        return f"{application_id({'metadata': metadata}, self._attempts.get(name, 0))}-driver"

    def _program(self, resource: Json) -> str:
        spec = resource["spec"]
        return str(spec.get("pyFiles") or spec["jars"])
