"""What is asked about a run: specs whose policy is known."""

from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from common.wire.specs import ApplicationSpecs, GlobalSpecs
from prediction.policies.registry import POLICIES, unknown_solution


def _known(solution_name: str) -> str:
    if solution_name not in POLICIES:
        raise ValueError(unknown_solution(solution_name))
    return solution_name


_SCHEMA: dict[str, Any] = {"type": "string", "enum": list(POLICIES)}


class RunSpecs(GlobalSpecs):
    """Specs of a run that one of the policies decides on."""

    solution_name: Annotated[str, AfterValidator(_known), WithJsonSchema(_SCHEMA)] = "enel"
    """Who decides on scale-outs: the service's own policy (`enel`), or a baseline; `static` and
    `static_margin` decide once, before the run."""


class RunRequest(ApplicationSpecs):
    """Everything that a request fixes about a run."""

    global_specs: RunSpecs
