"""What is said of pods and volumes that are not ready."""

from typing import Any

from app.cluster.workload import workload_of

NAME = "enel-enel-service"


def sets(ready: int = 0) -> list[dict[str, Any]]:
    return [{"metadata": {"name": NAME}, "spec": {"replicas": 1}, "status": {"readyReplicas": ready}}]


def pod(ready: bool = False, **status: Any) -> dict[str, Any]:
    state = status.pop("state", None)
    containers = [{"ready": ready, "restartCount": 2, "state": state, **status.pop("container", {})}]
    return {
        "metadata": {"name": f"{NAME}-0"},
        "spec": {"containers": [{}]},
        "status": {"phase": "Running", "containerStatuses": containers if state else [], **status},
    }


def claim(phase: str) -> dict[str, Any]:
    spec = {"resources": {"requests": {"storage": "10Gi"}}}
    return {"metadata": {"name": f"data-{NAME}-0"}, "spec": spec, "status": {"phase": phase}}


def waits(*pods: dict[str, Any], claims: tuple[dict[str, Any], ...] = ()) -> str:
    return "; ".join(workload_of(sets(), pods, claims, []).waits_for())


def test_one_that_is_ready_waits_for_nothing() -> None:
    found = workload_of(sets(1), [pod(True, state={"running": {}})], [claim("Bound")], [])
    assert (found.is_ready, found.waits_for()) == (True, [])
    assert [(each.ready, each.restarts) for each in found.pods] == [("1/1", 2)]
    assert [(each.phase, each.size) for each in found.volumes] == [("Bound", "10Gi")]


def test_reasons_from_the_cluster_to_the_container() -> None:
    assert "does not know yet" in "".join(workload_of([], [], [], []).waits_for())
    assert "not created yet" in waits()
    assert f"volume data-{NAME}-0 is Pending" in waits(claims=(claim("Pending"),))
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}
    assert "no node takes it: 0/1 nodes: Insufficient memory" in waits(pod(conditions=[unscheduled]))
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": 'image "enel-service:0.1.0" not found'}}
    assert 'ImagePullBackOff image "enel-service:0.1.0" not found' in waits(pod(state=pulling))
    crashing = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
    ended = {"lastState": {"terminated": {"exitCode": 2}}}
    assert "CrashLoopBackOff, ended with 2" in waits(pod(state=crashing, container=ended))
    assert "being created" in waits(pod(state={"waiting": {"reason": "ContainerCreating"}}))
    assert "/readyz needs MongoDB" in waits(pod(state={"running": {}}))
    before = {"initContainerStatuses": [{"name": "wait-for-mongodb", "state": {"running": {}}}]}
    assert "wait-for-mongodb comes before it" in waits(pod(**before))
    mongodb = pod(state={"running": {}})
    mongodb["metadata"]["labels"] = {"app.kubernetes.io/component": "mongodb"}
    assert "becomes a replica set" in waits(mongodb)
    assert "next pod" in waits(pod(True, state={"running": {}})), "that of the other StatefulSet"


def test_jobs_that_are_done_are_not_waited_for() -> None:
    done = pod(state={"terminated": {"exitCode": 0}}, phase="Succeeded")
    assert [each.waits_for for each in workload_of([], [done], [], []).pods] == [""]


def test_warnings_about_others_are_left_out() -> None:
    events = [
        {
            "type": kind,
            "message": message,
            "involvedObject": {"name": name},
            "lastTimestamp": f"2026-11-28T14:00:0{second}Z",
        }
        for second, (kind, message, name) in enumerate(
            (
                ("Warning", "second", NAME),
                ("Warning", "other", "other"),
                ("Normal", "pulled", NAME),
                ("Warning", "third", NAME),
            )
        )
    ]
    assert workload_of(sets(), [], [], reversed(events)).warnings == [f"{NAME}: second", f"{NAME}: third"]
