"""The view of one run: how far it is, what it says, what became of it."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from app.dashboard.rendering import render, see_other
from common.errors import NotFound, ServiceError
from common.executions.documents import ApplicationExecution, ApplicationState
from common.models.versions import ModelVersion
from common.wire.specs import SHORT_TEXT
from routers.dependencies import ExecutionsDep, ProgramsDep, StateDep, SubmissionsDep
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.programs.people import cancel_program_run, result_of
from routers.programs.views import ProgramRunDetails
from routers.state import ServiceState
from submission.environments.documents import Environment, EnvironmentState
from submission.programs.documents import CurvePoint, ProgramRun

router = APIRouter(prefix="/training/runs/{run_id}")

RunId = Annotated[str, Path(max_length=SHORT_TEXT)]

_SHOWN_CHARACTERS = 20_000
"""Of a result, and of an environment's log, that stand in a page."""

_CURVES = 12


@dataclass(frozen=True)
class Figure:
    """A figure of a run beside that of another version."""

    name: str
    own: float | None
    rival: float | None
    decides: bool
    """Whether the gate names it."""


@dataclass(frozen=True)
class RunPicture:
    """Everything that the page says of a run."""

    execution: ApplicationExecution
    run: ProgramRunDetails
    version: ModelVersion | None
    rival: ModelVersion | None
    """What it is compared with: the version that serves, or that it has replaced."""
    rival_serves: bool
    result: str
    """As JSON for people; empty: there is none."""
    result_is_cut: bool
    environment: Environment | None
    environment_log: str
    is_live: bool

    @property
    def figures(self) -> list[Figure]:
        """The one that the gate names first."""
        own = _figures_of(self.version) or self.run.metrics
        rival = _figures_of(self.rival)
        gate = self.run.program.gate
        names = sorted({*own, *rival}, key=lambda name: (gate is None or name != gate.metric, name))
        decides = "" if gate is None else gate.metric
        return [Figure(name, own.get(name), rival.get(name), name == decides) for name in names]


async def picture_of(run_id: str, state: ServiceState, principal: AdmittedDep) -> RunPicture:
    """Raises ApplicationExecutionNotFound, NotFound or Forbidden."""
    execution = await state.executions.get(run_id)
    if execution.program is None:
        raise NotFound(f"The application execution {execution.id} runs no program of a workspace.")
    await state.programs.rights.check_may_read(execution, principal)
    stored = await state.programs.runs.find(execution.id)
    run = ProgramRunDetails.of(execution, stored)
    is_live = not execution.state.is_final or _waits_for_its_version(run)
    version, rival, rival_serves = await _versions(run, state)
    result = await _result(run, state, principal)
    environment, log = await _environment(execution, state)
    return RunPicture(
        execution=execution,
        run=run,
        version=version,
        rival=rival,
        rival_serves=rival_serves,
        result=result[:_SHOWN_CHARACTERS],
        result_is_cut=len(result) > _SHOWN_CHARACTERS,
        environment=environment,
        environment_log=log,
        is_live=is_live,
    )


@router.get("", dependencies=READS)
async def run(request: Request, run_id: RunId, state: StateDep, principal: AdmittedDep) -> Response:
    """As a part of the page; for whoever opens the address, the page."""
    picture = await picture_of(run_id, state, principal)
    if "HX-Request" not in request.headers:
        return see_other(request, page_of(picture.run.workspace, run=run_id))
    return render(request, "training/run.html", picture=picture, run=picture.run)


@router.get("/plot", dependencies=READS)
async def plot(
    run_id: RunId, executions: ExecutionsDep, programs: ProgramsDep, principal: AdmittedDep
) -> JSONResponse:
    """What the page draws, see `curves_of`."""
    await programs.rights.check_may_read(await executions.get(run_id), principal)
    found: ProgramRun | None = await programs.runs.find(run_id)
    return JSONResponse(curves_of(found.curve if found else ()))


@router.post("/cancel", dependencies=SUBMITS)
async def cancel(
    request: Request,
    run_id: RunId,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    principal: PrincipalDep,
) -> Response:
    """End it, then show it again."""
    ended = await cancel_program_run(run_id, executions, programs, submissions, principal)
    return see_other(request, page_of(ended.workspace, run=run_id))


def page_of(workspace: str, **shown: str) -> str:
    """Address of the page, below the root of all pages."""
    return f"/training?{urlencode({'workspace': workspace, **shown})}"


def curves_of(points: Sequence[CurvePoint]) -> dict[str, Any]:
    """Figures that a program has reported so far.

    Returns:
        `by`: `step` where every point has one, otherwise `seconds` since the first; `metrics`: a name and
        its columns each, x and y, for at most 12 of them.
    """
    by_step = bool(points) and all(point.step is not None for point in points)
    names = list(dict.fromkeys(name for point in points for name in point.metrics))[:_CURVES]
    curves = []
    for name in names:
        of_it = [
            (_x(point, points[0], by_step), point.metrics[name]) for point in points if name in point.metrics
        ]
        of_it.sort(key=lambda each: each[0])
        curves.append({"name": name, "columns": [[x for x, _ in of_it], [y for _, y in of_it]]})
    return {"by": "step" if by_step else "seconds", "metrics": curves}


def _x(point: CurvePoint, first: CurvePoint, by_step: bool) -> float:
    if by_step and point.step is not None:
        return point.step
    return round((point.at - first.at).total_seconds(), 3)


def _waits_for_its_version(run: ProgramRunDetails) -> bool:
    is_awaited = run.state is ApplicationState.COMPLETED and run.program.output == "version"
    return is_awaited and bool(run.output) and run.version is None and not run.publishing_detail


def _figures_of(version: ModelVersion | None) -> dict[str, float]:
    return version.program.metrics if version is not None and version.program is not None else {}


async def _versions(
    run: ProgramRunDetails, state: ServiceState
) -> tuple[ModelVersion | None, ModelVersion | None, bool]:
    """What it has become, what that is compared with, and whether the latter serves."""
    own = await _version(run, run.version, state)
    champion = await state.models.registry.find_champion(run.model)
    if champion is not None and champion.version != run.version:
        return own, champion, True
    replaced = own.promotion.champion_version if own is not None and own.promotion is not None else None
    if replaced is None or replaced == run.version:
        return own, None, False
    return own, await _version(run, replaced, state), False


async def _version(run: ProgramRunDetails, number: int | None, state: ServiceState) -> ModelVersion | None:
    with contextlib.suppress(NotFound):
        return await state.models.registry.get_version(run.model, number) if number else None
    return None


async def _result(run: ProgramRunDetails, state: ServiceState, principal: AdmittedDep) -> str:
    if not run.output:
        return ""
    try:
        found = await result_of(run.id, state.executions, state.programs, principal)
        return json.dumps(found, indent=2, ensure_ascii=False)
    except (ServiceError, RecursionError):
        return ""  # its files are there to be fetched


async def _environment(
    execution: ApplicationExecution, state: ServiceState
) -> tuple[Environment | None, str]:
    if execution.environment_id is None:
        return None, ""
    try:
        environment = await state.environments.get(execution.environment_id)
        if environment.state is EnvironmentState.READY:
            return environment, ""
        log = await state.environments.read_log(environment.id)
    except NotFound:
        return None, ""
    return environment, log[-_SHOWN_CHARACTERS:]
