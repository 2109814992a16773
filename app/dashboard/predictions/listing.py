"""Models that are served, or could be, with how their versions do."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.auth import Principal
from common.models.versions import PROGRAM_KIND, ModelVersion, RegisteredModel, version_id
from prediction.inference.records.documents import Role, VersionFigures
from prediction.inference.served.documents import ServedModel, ServingOptions, VersionOrAlias
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.readiness import ServerState
from routers.serving.views import FiguresView
from submission.serving.opened import OpenServing

PAGE = 25

_MOST_READ = 40
"""Pages of models that are others', for one of one's own."""


@dataclass(frozen=True)
class Answering:
    """A version that answers, or would."""

    role: Role
    version: int
    share: float | None
    """Of the requests, where it is not asked all of them."""
    live: FiguresView
    trained_with: dict[str, float]


@dataclass(frozen=True)
class Row:
    """A model on the list."""

    name: str
    is_served: bool
    state: ServerState
    notes: Sequence[str]
    answering: Sequence[Answering]
    may_serve: bool


async def rows_of(
    serving: OpenServing, principal: Principal, after: str | None
) -> tuple[list[Row], str, Sequence[str]]:
    """A page of models by name, without those that one may not ask.

    Returns:
        The rows, the name after which there are more (empty: there are none), and what cannot be read.
    """
    registry = serving.models.registry
    models, more, unreadable = await _to_ask(serving, principal, after)
    served = await serving.models.repository.many([each.name for each in models])
    roles = {
        each.name: answering(each, served.get(each.name), serving.models.known(each.name)) for each in models
    }
    versions = await registry.several(
        version_id(name, number) for name, found in roles.items() for number in found.values()
    )
    figures = await serving.records.figures_of(roles)
    rows = []
    for model in models:
        server = serving.models.known(model.name)
        present = served.get(model.name)
        options = present.options if present is not None else ServingOptions()
        own = [each for each in figures if each.model == model.name]
        rows.append(
            Row(
                model.name,
                present is not None,
                server.state if server is not None else ServerState.ASLEEP,
                server.notes if server is not None else [],
                [
                    _answering(role, number, options, own, versions.get(version_id(model.name, number)))
                    for role, number in roles[model.name].items()
                ],
                await serving.may_serve(model.name, principal),
            )
        )
    return rows, more, unreadable


async def _to_ask(
    serving: OpenServing, principal: Principal, after: str | None
) -> tuple[list[RegisteredModel], str, list[str]]:
    """Models that one may ask, as many as fill a page; the name after which there may be more (empty: there
    are none); and ids of such that cannot be read."""
    models: list[RegisteredModel] = []
    unreadable: list[str] = []
    for _ in range(_MOST_READ):
        found = await serving.models.registry.models(kind=PROGRAM_KIND, after=after, limit=PAGE + 1)
        models += [each for each in found if await serving.may_ask(each.name, principal)]
        unreadable += [name for name in found.unreadable if await serving.may_ask(name, principal)]
        if len(models) > PAGE:
            return models[:PAGE], models[PAGE - 1].name, unreadable
        if len(found) <= PAGE:
            return models, "", unreadable
        after = found[-1].name
    return models, after or "", unreadable


def answering(
    model: RegisteredModel, served: ServedModel | None, server: ModelServer | None
) -> dict[Role, int]:
    """Which version answers as what in this service; where none is loaded, which would."""
    options = served.options if served is not None else ServingOptions()
    wanted: dict[Role, VersionOrAlias | None] = {
        Role.PRIMARY: options.version,
        Role.CANARY: options.canary.version if options.canary is not None else None,
        Role.SHADOW: options.shadow.version if options.shadow is not None else None,
    }
    numbers = {role: _number(each, model) for role, each in wanted.items()}
    if server is not None:
        numbers |= {role: loaded.version.version for role, loaded in server.roles.items()}
    return {role: number for role, number in numbers.items() if number is not None}


def _answering(
    role: Role,
    number: int,
    options: ServingOptions,
    figures: Sequence[VersionFigures],
    version: ModelVersion | None,
) -> Answering:
    beside = {Role.CANARY: options.canary, Role.SHADOW: options.shadow}.get(role)
    live = next((each for each in figures if (each.version, each.role) == (number, role)), None)
    return Answering(
        role,
        number,
        beside.share if beside is not None else None,
        FiguresView.of(live) if live is not None else FiguresView(role=role),
        version.program.metrics if version is not None and version.program is not None else {},
    )


def _number(wanted: VersionOrAlias | None, model: RegisteredModel) -> int | None:
    if isinstance(wanted, str):
        alias = model.aliases.get(wanted)
        return alias.version if alias is not None else None
    return wanted
