"""All that there is about serving, for whoever asks."""

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError
from pymongo.errors import PyMongoError

from common.auth import Permission, Principal
from common.errors import Conflict, Forbidden, InvalidRequest, ServiceError, Unavailable
from common.instruments import Instruments
from common.models.registry import ModelVersionNotFound, RegisteredModelNotFound
from common.models.versions import RegisteredModel, VersionState
from prediction.inference.records.repository import PredictionRepository
from prediction.inference.served.documents import ServedModel, ServingOptions, VersionOrAlias
from prediction.inference.served.models import ServedModels
from prediction.inference.served.repository import ModelEnded
from prediction.inference.serving import Serving
from submission.serving.bulk.answers import BulkAnswers
from submission.serving.folders import FolderPublisher
from submission.serving.remembered import Remembered
from submission.serving.rights import ServingRights


@dataclass(frozen=True)
class ServingLimits:
    """Of requests."""

    upload_bytes: int
    """Of one body."""
    default_model: str = ""
    """That is asked where none is named; empty: the only one that is served."""


class ServingIsOff(Conflict):
    title = "This service serves no models"


class OpenServing:
    """Asking, what is remembered of it, and how models are served."""

    def __init__(
        self,
        story: Serving,
        models: ServedModels,
        records: PredictionRepository,
        rights: ServingRights,
        folders: FolderPublisher,
        bulk: BulkAnswers,
        limits: ServingLimits,
        instruments: Instruments,
        *,
        is_on: bool,
    ) -> None:
        self.story = story
        self.models = models
        self.records = records
        self.rights = rights
        self.folders = folders
        self.bulk = bulk
        self.limits = limits
        self.instruments = instruments
        self.is_on = is_on
        self._names: dict[str, RegisteredModel] = {}
        self._latest: Remembered[str] = Remembered()
        self._only_one: Remembered[str] = Remembered()

    async def named(self, name: str, principal: Principal) -> RegisteredModel:
        """A model by its name, of which somebody may know and which they may ask.

        Raises:
            RegisteredModelNotFound: There is none.
            Forbidden: They may not.
            Unavailable: The database does not answer, and the model is not known here.
        """
        try:
            found = await self._named(name)
        except PyMongoError as error:
            if name not in self._names:
                raise Unavailable("The registry does not answer.") from error
            found = self._names[name]
        await self.rights.check_may_ask(found.name, principal)
        return found

    async def latest_of(self, workspace: str, principal: Principal) -> RegisteredModel:
        """The model of which a workspace has made the latest version.

        Raises:
            RegisteredModelNotFound: It has made none.
            Forbidden, Unavailable: As `named` does.
        """

        async def look() -> str:
            latest = await self.models.registry.find_latest_of_workspace(workspace)
            if latest is None:
                raise RegisteredModelNotFound(f"The workspace {workspace!r} has made no model (yet).")
            return latest.name

        try:
            name = await self._latest.get(workspace, look)
        except PyMongoError as error:
            raise Unavailable("The registry does not answer.") from error
        return await self.named(name, principal)

    async def default(self, principal: Principal) -> RegisteredModel:
        """The model that is asked where none is named.

        Raises:
            Conflict: None is, or several are served.
            And what `named` does.
        """
        if self.limits.default_model:
            return await self.named(self.limits.default_model, principal)
        try:
            name = await self._only_one.get("", self._look_for_only_one)
        except PyMongoError as error:
            raise Unavailable("The database does not answer.") from error
        return await self.named(name, principal)

    async def ensure_served(self, model: RegisteredModel, principal: Principal) -> None:
        """Serve a model with defaults where it never was served.

        Raises:
            ServingIsOff: By SERVING.
            ModelEnded: Somebody has ended it.
            Conflict: It is not, and whoever asks may not have it served.
        """
        if not self.is_on:
            raise ServingIsOff("SERVING is off here.")
        if self.models.known(model.name) is not None:
            return
        if await self.models.repository.find(model.name) is not None:
            return
        if (ended := await self.models.repository.find_ended(model.name)) is not None:
            raise ModelEnded(ended)
        try:
            principal.check(Permission.SUBMIT)
            await self.rights.check_may_serve(model.name, principal)
        except Forbidden as error:
            raise Conflict(
                f"{model.name} is not served (PUT /serving/{model.name} serves it): {error}"
            ) from error
        await self.models.put_defaults(model.name, principal.name)

    async def may_ask(self, model: str, principal: Principal) -> bool:
        """Whether somebody may; no, too, where that cannot be known now."""
        return await _may(self.rights.check_may_ask(model, principal))

    async def may_serve(self, model: str, principal: Principal) -> bool:
        """Whether somebody may say how it is served; no, too, where that cannot be known now."""
        return await _may(self.rights.check_may_serve(model, principal))

    async def serve(self, model: str, options: ServingOptions, principal: Principal) -> ServedModel:
        """Serve a model so from now on; one that was ended as before it was, but for what is said now.

        Raises:
            Forbidden: They may not.
            InvalidRequest: A version that is named by its number is not there.
        """
        await self.rights.check_may_serve(model, principal)
        if (ended := await self.models.repository.find_ended(model)) is not None:
            options = _again(ended.options, options)
        for field, wanted in _wanted_by(options):
            if isinstance(wanted, int):
                await self._check_version(model, wanted, field)
        return await self.models.put(model, options, principal.name)

    async def end(self, model: str, principal: Principal) -> None:
        """Serve a model no more; what is loaded ends meanwhile.

        Raises:
            Forbidden: They may not.
            ModelNotServed: It is not.
        """
        await self.rights.check_may_serve(model, principal)
        await self.models.repository.get(model)
        await self.models.end(model, principal.name)

    async def _check_version(self, model: str, number: int, field: str) -> None:
        try:
            version = await self.models.registry.get_version(model, number)
        except ModelVersionNotFound as error:
            raise InvalidRequest(f"{field}: {error}") from error
        if version.state is VersionState.DELETED:
            raise InvalidRequest(f"{field}: version {number} is deleted.")

    async def _look_for_only_one(self) -> str:
        served = await self.models.repository.all(after=None, limit=2)
        if len(served) != 1:
            many = "Several models are" if served else "No model is"
            raise Conflict(
                f"{many} served: ask one by its name, POST /serving/MODEL/predict, or set"
                " SERVING_DEFAULT_MODEL."
            )
        return served[0].model

    async def _named(self, name: str) -> RegisteredModel:
        known = self._names.get(name)
        if known is not None and self.models.known(known.name) is not None:
            return known  # it is being asked: its name and kind do not change
        found = await self.models.named(name)
        self._names[name] = found
        return found


async def _may(check: Awaitable[None]) -> bool:
    try:
        await check
    except ServiceError:
        return False
    return True


def _again(former: ServingOptions, said: ServingOptions) -> ServingOptions:
    try:
        return former.changed_by(said)
    except ValidationError as error:
        what = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise InvalidRequest(f"With the options that it was served with: {what}.") from error


def _wanted_by(options: ServingOptions) -> Iterator[tuple[str, VersionOrAlias]]:
    """Fields that name versions."""
    yield "version", options.version
    if options.canary is not None:
        yield "canary.version", options.canary.version
    if options.shadow is not None:
        yield "shadow.version", options.shadow.version
