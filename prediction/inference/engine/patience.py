"""How long a frame may be on its way: said once, for the gateway and for the service that waits for it."""

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
