"""How long frames and loads may take: said once, for the gateway and for the service that waits for it."""

_WAITS = 2.0
_MARGIN_SECONDS = 5.0
_TELLING_SECONDS = 5.0
"""For a gateway to say that there is no answer: it looks once a second, and at the replicas before."""


def gateway_seconds(compute_seconds: float) -> float:
    """Until the gateway gives up a frame: longer than it may compute, since while it waits for another frame,
    or for a model that is loaded again, it is not the one that takes too long."""
    return _WAITS * compute_seconds + _MARGIN_SECONDS


def service_seconds(compute_seconds: float) -> float:
    """Until the service gives up a gateway that says nothing of a frame."""
    return gateway_seconds(compute_seconds) + _TELLING_SECONDS


ACTOR_SECONDS = 60.0
"""Until an actor runs at all, beside what the model itself needs to load."""

END_SECONDS = 30.0
"""For an application to be gone."""

BRING_SECONDS = 300.0
"""For files to be brought to a cluster, and an application to be known to it."""

_LOAD_MARGIN_SECONDS = ACTOR_SECONDS + BRING_SECONDS + 2 * END_SECONDS + _TELLING_SECONDS
"""Of a load: what was there before ends first, and what does not load ends again."""


def load_seconds(model_seconds: float) -> float:
    """Until the service gives up a load of which its gateway says nothing.

    Args:
        model_seconds: How long the model itself may take.
    """
    return model_seconds + _LOAD_MARGIN_SECONDS
