"""What a submission says."""

from typing import Annotated

from pydantic import Field

from common.wire.specs import Name
from prediction.requests import RunRequest
from submission.planning import InitialScaleOutPolicy


class SubmitRequest(RunRequest):
    """What to run, on what, and by when."""

    initial_scale_out_policy: InitialScaleOutPolicy = "predicted"
    """`requested` starts with `worker_specs.scale_out` even where history suggests another one."""
    shadow: bool = False
    """Predict and record, but change nothing: the application starts with `worker_specs.scale_out` and keeps
    what it has; its decisions say what would have been done. `SHADOW_ALGORITHMS` does this for all."""
    name: Annotated[Name | None, Field(examples=["nightly-report"])] = None
    """Of the application. Sent again while an application of that name has not ended, the request creates
    no second one: the answer is the first one's."""
