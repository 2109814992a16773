"""The model registry in MongoDB: versions are added, aliases are moved, nothing else changes.

Every change of an alias or of a version's state also writes the model's own document, so that two
of them at once conflict: an alias never names a version that is deleted at the same moment.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from common.errors import Conflict, NotFound
from common.models.artifacts import ArtifactDamaged
from common.models.versions import (
    ALIAS_CHANGES_KEPT,
    CHAMPION,
    Alias,
    AliasChange,
    ModelVersion,
    NewVersion,
    Promotion,
    RegisteredModel,
    VersionState,
    version_id,
)
from common.mongo.collection import IS_TEXT, DocumentCollection, Index, text
from common.mongo.document import utc_now
from common.mongo.stored import Readable
from common.mongo.transactions import in_transaction

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_RUN_IDS = {"training_data.run_ids": 0, "training_data.held_out_run_ids": 0}


class RegisteredModelNotFound(NotFound):
    """No version of a model of this name was ever registered."""

    title = "Unknown model"


class ModelVersionNotFound(NotFound):
    """The model has no version of this number."""

    title = "Unknown model version"


_OF_MODELS = [Index("algorithm", ["algorithm_name", "_id"]), Index("kind", ["kind", "_id"])]

_OF_VERSIONS = [
    Index("number", ["name", "-version"], {"unique": True}),
    Index("artifact", ["artifact_key"], {"unique": True}),
    Index(
        "workspace",
        ["program.workspace", "-created_at"],
        {"partialFilterExpression": {"program.workspace": IS_TEXT}},
    ),
]


class ModelRegistry:
    """Models, versions and aliases; safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        self._client = client
        self._read_model = DocumentCollection(client, database, "model", RegisteredModel, _OF_MODELS)
        self._read_version = DocumentCollection(client, database, "model_version", ModelVersion, _OF_VERSIONS)
        self._models = self._read_model.stored
        self._versions = self._read_version.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read_version.create_indexes()
        await self._read_model.create_indexes()

    # --- reading --------------------------------------------------------------------------------

    async def find_model(
        self, name: str, session: AsyncClientSession | None = None
    ) -> RegisteredModel | None:
        return await self._read_model.find(name, session)

    async def get_model(self, name: str, session: AsyncClientSession | None = None) -> RegisteredModel:
        """Raises RegisteredModelNotFound."""
        model = await self.find_model(name, session)
        if model is None:
            raise RegisteredModelNotFound(f"There is no model {name[:300]!r}.")
        return model

    async def models(
        self,
        *,
        algorithm_name: str | None = None,
        kind: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Readable[RegisteredModel]:
        """By name; `after` is the last name already seen."""
        query: Json = {} if kind is None else {"kind": kind}
        if algorithm_name is not None:
            query["algorithm_name"] = algorithm_name
        if after is not None:
            query["_id"] = {"$gt": after}
        cursor = self._models.find(query, {"alias_changes": 0}).sort("_id", ASCENDING)
        return await self._read_model.page(cursor, limit)

    async def get_version(self, name: str, version: int) -> ModelVersion:
        """Raises ModelVersionNotFound."""
        found = await self._find_version({"_id": version_id(name, version)})
        if found is None:
            raise ModelVersionNotFound(f"There is no version {version} of {name[:300]!r}.")
        return found

    async def find_by_artifact(self, artifact_key: str) -> ModelVersion | None:
        return await self._find_version({"artifact_key": artifact_key})

    async def find_champion(self, name: str) -> ModelVersion | None:
        """The version that serves; None where there is none. Raises UnreadableDocument."""
        version = await self.find_champion_number(name)
        return await self._find_version({"_id": version_id(name, version)}) if version else None

    async def champions(self, models: Iterable[RegisteredModel]) -> dict[str, ModelVersion]:
        """The versions that serve, by model; those that cannot be read are left out."""
        ids = [version_id(each.name, each.champion) for each in models if each.champion]
        return {version.name: version for version in (await self.several(ids)).values()}

    async def several(self, ids: Iterable[str]) -> dict[str, ModelVersion]:
        """Versions of whatever models, by id; those that are not there or cannot be read are left out."""
        found = await self._read_version.many(self._versions.find({"_id": {"$in": list(ids)}}))
        return {version.id: version for version in found}

    async def find_champion_number(self, name: str) -> int | None:
        """Which version serves, whether it can be read or not."""
        model = await self._models.find_one({"_id": name}, {f"aliases.{CHAMPION}.version": 1})
        found: Any = model
        for key in ("aliases", CHAMPION, "version"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, int) else None

    async def find_latest(self, name: str) -> ModelVersion | None:
        """The newest version that can be read, in whatever state."""
        cursor = self._versions.find({"name": name}).sort("version", DESCENDING)
        return next(iter(await self._read_version.page(cursor, 1)), None)

    async def find_latest_of_workspace(self, workspace: str) -> ModelVersion | None:
        """The version that a workspace has made last, of whatever model. Raises UnreadableDocument."""
        cursor = self._versions.find({"program.workspace": text(workspace)}).sort("created_at", DESCENDING)
        found = await cursor.limit(1).to_list()
        return self._read_version.one(found[0]) if found else None

    async def versions(
        self,
        name: str,
        *,
        state: VersionState | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Readable[ModelVersion]:
        """Newest first, without the ids of runs; deleted ones only if asked for."""
        query: Json = {"name": name, "state": state or {"$ne": VersionState.DELETED}}
        if before is not None:
            query["version"] = {"$lt": before}
        cursor = self._versions.find(query, _RUN_IDS).sort("version", DESCENDING)
        return await self._read_version.page(cursor, limit)

    async def has_models_of(self, kind: str) -> bool:
        """Whether anything was ever registered of this kind."""
        return await self._models.find_one({"kind": kind}, {"_id": 1}) is not None

    async def artifact_keys(self, *, deleted: bool = False) -> set[str]:
        """Of all versions that have files; or of those that should have none any more."""
        query = {"state": VersionState.DELETED if deleted else {"$ne": VersionState.DELETED}}
        found = self._versions.find(query, {"artifact_key": 1})
        return {entry["artifact_key"] async for entry in found if "artifact_key" in entry}

    async def _find_version(self, query: Json) -> ModelVersion | None:
        document = await self._versions.find_one(query)
        return self._read_version.one(document) if document else None

    # --- changing -------------------------------------------------------------------------------

    async def register(
        self, new: NewVersion, fence: Callable[[AsyncClientSession], Awaitable[None]]
    ) -> ModelVersion:
        """Add a version with the next number; the same artifact is registered once.

        Args:
            fence: Raises, in the same transaction, where the caller may not publish any more.
        """

        async def store(session: AsyncClientSession) -> ModelVersion:
            await fence(session)
            found = await self._versions.find_one({"artifact_key": new.artifact_key}, session=session)
            if found is not None:
                return self._read_version.one(found)
            first = RegisteredModel(
                name=new.name,
                kind=new.kind,
                system_name=new.system_name,
                algorithm_name=new.algorithm_name,
            ).model_dump(by_alias=True, exclude={"name", "latest_version"})
            model = await self._models.find_one_and_update(
                {"_id": new.name},
                {"$inc": {"latest_version": 1}, "$setOnInsert": first},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            assert model is not None, "an upsert returns the document"
            version = new.numbered(model["latest_version"])
            await self._versions.insert_one(version.to_mongo(), session=session)
            return version

        return await in_transaction(self._client, store)

    async def record_promotion(self, name: str, version: int, promotion: Promotion) -> bool:
        """Store how a new version compares, and let it serve if it was promoted.

        Returns:
            False, with nothing stored: the champion is no longer the one it was compared with.
        Raises:
            RegisteredModelNotFound, ModelVersionNotFound: There is none.
            Conflict: It was promoted, but is damaged or deleted by now.
        """

        async def store(session: AsyncClientSession) -> bool:
            model = await self.get_model(name, session)
            if model.champion != promotion.champion_version:
                return False
            if promotion.promoted and model.champion != version:
                await self._must_be_ready(name, version, session)
                await self._point(model, CHAMPION, version, promotion.reason, session)
            await self._versions.update_one(
                {"_id": version_id(name, version)},
                {"$set": {"promotion": promotion.model_dump()}},
                session=session,
            )
            return True

        return await in_transaction(self._client, store)

    async def set_alias(
        self, name: str, alias: str, version: int, reason: str, *, by: str | None = None
    ) -> RegisteredModel:
        """Let an alias name a version.

        Args:
            by: Who asked for it; None: the service itself.
        Raises:
            RegisteredModelNotFound, ModelVersionNotFound: There is none.
            Conflict: The version is damaged or deleted.
        """

        async def store(session: AsyncClientSession) -> None:
            model = await self.get_model(name, session)
            await self._touch(name, session)
            await self._must_be_ready(name, version, session)
            if model.aliases.get(alias) is None or model.aliases[alias].version != version:
                await self._point(model, alias, version, reason, session, by)

        await in_transaction(self._client, store)
        return await self.get_model(name)

    async def remove_alias(
        self, name: str, alias: str, reason: str, *, by: str | None = None
    ) -> RegisteredModel:
        """Raises RegisteredModelNotFound."""

        async def store(session: AsyncClientSession) -> None:
            model = await self.get_model(name, session)
            if alias in model.aliases:
                await self._point(model, alias, None, reason, session, by)

        await in_transaction(self._client, store)
        return await self.get_model(name)

    async def delete_version(self, name: str, version: int) -> ModelVersion:
        """Mark a version as deleted, once; its files are the caller's to remove afterwards.

        Raises:
            RegisteredModelNotFound, ModelVersionNotFound: There is none.
            Conflict: An alias names it.
        """

        async def store(session: AsyncClientSession) -> None:
            model = await self.get_model(name, session)
            named = sorted(alias for alias, of in model.aliases.items() if of.version == version)
            if named:
                raise Conflict(f"Version {version} of {name!r} is the {named[0]}: name another one first.")
            await self._touch(name, session)
            await self._versions.update_one(
                {"_id": version_id(name, version), "state": {"$ne": VersionState.DELETED}},
                {"$set": {"state": VersionState.DELETED, "state_reason": f"deleted at {utc_now():%FT%TZ}"}},
                session=session,
            )

        await in_transaction(self._client, store)
        return await self.get_version(name, version)

    async def set_state(self, name: str, version: int, state: VersionState, reason: str) -> bool:
        """Mark a version as damaged, or as ready again; a damaged champion gives way to the one before.

        Returns:
            Whether anything changed (false: it is in that state already, deleted, or unknown).
        """

        async def store(session: AsyncClientSession) -> bool:
            model = await self.get_model(name, session)
            await self._touch(name, session)
            result = await self._versions.update_one(
                {"_id": version_id(name, version), "state": {"$nin": [state, VersionState.DELETED]}},
                {"$set": {"state": state, "state_reason": reason}},
                session=session,
            )
            if result.modified_count and state is VersionState.DAMAGED and model.champion == version:
                before = await self._former_champion(model, session)
                await self._point(model, CHAMPION, before, f"version {version}: {reason}", session)
            return result.modified_count == 1

        return await in_transaction(self._client, store)

    async def report_damage(self, version: ModelVersion, error: ArtifactDamaged) -> None:
        """Mark a version whose files were found damaged, and say so once."""
        if await self.set_state(version.name, version.version, VersionState.DAMAGED, str(error)):
            logger.error("Version %d of %s is not served: %s", version.version, version.name, error)

    async def _former_champion(self, model: RegisteredModel, session: AsyncClientSession) -> int | None:
        """The version that served before the present one and can serve; not one that was taken back."""
        former: list[int] = []
        for change in model.alias_changes:
            if change.alias != CHAMPION or change.version is None:
                continue
            if change.version in former:  # a roll-back: what came after it is no choice any more
                del former[former.index(change.version) :]
            former.append(change.version)
        for version in reversed(former):
            key = {"_id": version_id(model.name, version), "state": VersionState.READY}
            if await self._versions.find_one(key, {"_id": 1}, session=session):
                return version
        return None

    async def _must_be_ready(self, name: str, version: int, session: AsyncClientSession) -> None:
        """Raises ModelVersionNotFound or Conflict."""
        found = await self._versions.find_one({"_id": version_id(name, version)}, session=session)
        if found is None:
            raise ModelVersionNotFound(f"There is no version {version} of {name[:300]!r}.")
        if found["state"] != VersionState.READY:
            raise Conflict(f"Version {version} of {name[:300]!r} is {found['state'].lower()}.")

    async def _touch(self, name: str, session: AsyncClientSession) -> None:
        await self._models.update_one({"_id": name}, {"$inc": {"revision": 1}}, session=session)

    async def _point(
        self,
        model: RegisteredModel,
        alias: str,
        version: int | None,
        reason: str,
        session: AsyncClientSession,
        by: str | None = None,
    ) -> None:
        now = utc_now()
        previous = model.aliases.get(alias)
        change = AliasChange(
            alias=alias,
            version=version,
            previous=previous.version if previous else None,
            at=now,
            reason=reason,
            by=by,
        )
        update: Json = {
            "$inc": {"revision": 1},
            "$push": {"alias_changes": {"$each": [change.model_dump()], "$slice": -ALIAS_CHANGES_KEPT}},
        }
        if version is None:
            update["$unset"] = {f"aliases.{alias}": ""}
        else:
            entry = Alias(version=version, since=now, reason=reason)
            update["$set"] = {f"aliases.{alias}": entry.model_dump()}
        await self._models.update_one({"_id": model.name}, update, session=session)
