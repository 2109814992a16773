"""Applications of Ray Serve: one per deployment. Every call blocks, though not for ever."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray._private.state import actors
from ray.serve.context import _get_global_client

from prediction.inference.engine.deployment import Deployment, DeploymentStatus
from prediction.inference.engine.replica import CAUSE, Replica

DEPLOYMENT = "model"
"""The name of the one deployment in each application."""

CALL_SECONDS = 10.0
_ONGOING_REQUESTS = 2
"""One that is computed, and one that waits in the replica, so that the model's process never does."""


def deploy(deployment: Deployment, brought: dict[str, Any] | None, doors: Path | None) -> None:
    """Have it started; returns at once.

    Args:
        brought: What `keeper.bring` says of its files, where the cluster is not this machine alone; Ray then
            places replicas by their threads.
        doors: See `Replica`.
    """
    replica = serve.deployment(Replica).options(
        name=DEPLOYMENT,
        num_replicas=deployment.replicas,
        ray_actor_options={"num_cpus": deployment.threads if brought else 0},
        max_ongoing_requests=_ONGOING_REQUESTS,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=2.0,
        health_check_period_s=1.0,
        health_check_timeout_s=10.0,
        max_constructor_retry_count=1,
    )
    target = serve.RunTarget(
        replica.bind(deployment.described(), brought, str(doors) if doors else None),
        name=deployment.name,
        route_prefix=None,
        logging_config={"enable_access_log": False},
    )
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)


def delete(name: str) -> None:
    """Have it ended; returns at once."""
    serve.delete(name, _blocking=False)


def statuses() -> dict[str, DeploymentStatus]:
    """Of all applications that are there."""
    details = ray.get(_controller().get_serve_instance_details.remote(), timeout=CALL_SECONDS)
    return {name: _status(name, each) for name, each in details["applications"].items()}


def _controller() -> Any:
    return _get_global_client()._controller


def _status(name: str, details: Mapping[str, Any]) -> DeploymentStatus:
    model = details["deployments"].get(DEPLOYMENT, {})
    running = [each for each in model.get("replicas", []) if each["state"] == "RUNNING"]
    return DeploymentStatus(
        name=name,
        status=str(getattr(details["status"], "value", details["status"])),
        replicas=model.get("target_num_replicas") or 0,
        up=sum(_lives(each["actor_id"]) for each in running),
        message=cause(model.get("message") or details.get("message") or ""),
    )


def _lives(actor_id: str) -> bool:
    """Whether an actor runs: Ray itself learns of a death at once, Ray Serve with the next health check."""
    return bool(actors(actor_id).get("State") == "ALIVE")


def cause(message: str) -> str:
    """What a replica gave as the reason, where the message holds it."""
    _, marker, rest = message.rpartition(CAUSE)
    if not marker:
        return message
    try:
        return str(json.JSONDecoder().raw_decode(rest)[0])
    except ValueError:  # it was cut off
        return rest
