"""What a version of a served model is asked with, without loading it."""

import contextlib

from common.errors import ServiceError
from common.models.versions import CHAMPION, ModelVersion, RegisteredModel
from common.mongo.stored import UnreadableDocument
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.records.documents import Role
from prediction.inference.served.documents import ServedModel, VersionOrAlias
from prediction.inference.served.kinds import how_it_answers
from submission.serving.opened import OpenServing


async def declaration_of(model: RegisteredModel, wanted: VersionOrAlias, serving: OpenServing) -> Declaration:
    """What a version is asked with; anything, where none is there, or it is not known."""
    version = await _version(model, wanted, serving)
    if version is not None:
        with contextlib.suppress(ServiceError):
            return how_it_answers(version).declaration
    return Declaration.parse(None)


async def declaration_in_use(
    model: RegisteredModel, served: ServedModel, serving: OpenServing
) -> Declaration:
    """What a model is asked with, as the version says that answers here, or otherwise is to."""
    server = serving.models.known(model.name)
    if server is not None and (loaded := server.roles.get(Role.PRIMARY)) is not None:
        return loaded.answering.declaration
    return await declaration_of(model, served.options.version, serving)


async def declaration_asked(
    model: RegisteredModel, wanted: VersionOrAlias | None, serving: OpenServing
) -> Declaration:
    """What the version is asked with that is wanted, or otherwise answers."""
    server = serving.models.known(model.name)
    for role, loaded in (server.roles if server is not None else {}).items():
        if wanted == loaded.version.version or (wanted is None and role is Role.PRIMARY):
            return loaded.answering.declaration
    if wanted is None:
        served = server.served if server is not None else await serving.models.repository.find(model.name)
        wanted = served.options.version if served is not None else CHAMPION
    return await declaration_of(model, wanted, serving)


async def _version(
    model: RegisteredModel, wanted: VersionOrAlias, serving: OpenServing
) -> ModelVersion | None:
    try:
        if isinstance(wanted, str):
            # Looked up anew: `OpenServing.named` remembers the model, and aliases move.
            model = await serving.models.registry.get_model(model.name)
        number = model.number_of(wanted)
        if number is None:
            return None
        return await serving.models.registry.get_version(model.name, number)
    except (ServiceError, UnreadableDocument):
        return None
