"""How files become a version, whether a program has left them or they lie in a folder of a workspace."""

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from common.models.artifacts import ArtifactExists, ArtifactStore, describe, verify
from common.models.registry import ModelRegistry
from common.models.versions import PROGRAM_KIND, ModelVersion, NewVersion, PublishedFile, TrainingData
from common.wire.specs import MetricGate
from submission.programs.figures import judge
from submission.programs.told import stored_names

_SCHEMA_VERSION = 1


def new_version(content: Mapping[str, bytes], **facts: Any) -> NewVersion:
    """A version that is to be registered.

    Args:
        content: Of its files, by path.
        facts: What else a `NewVersion` says: its names, its origin, the store, the artifact's id.
    """
    names = stored_names(list(content))
    files = [
        PublishedFile(name=names[path], path=path if names[path] != path else None, **info.model_dump())
        for path, info in describe(content).items()
    ]
    return NewVersion(
        kind=PROGRAM_KIND,
        schema_version=_SCHEMA_VERSION,
        files=files,
        training_data=TrainingData(runs=0, jobs=0),
        **facts,
    )


async def registered(
    registry: ModelRegistry, store: ArtifactStore, new: NewVersion, content: Mapping[str, bytes]
) -> ModelVersion:
    """The version, whose files are written before it is there.

    Raises:
        ArtifactDamaged: Other files lie there under its key.
        StoreUnavailable: Not now.
    """
    files = {name: content[path] for path, name in stored_names(list(content)).items()}
    try:
        await store.write(new.artifact_key, files)
    except ArtifactExists:  # from an attempt that was cut short, or that is made at the same time
        verify(new.artifact_key, await store.read(new.artifact_key), describe(files))
    return await registry.register(new, _nothing_to_check)


async def judged(
    registry: ModelRegistry,
    version: ModelVersion,
    gate: MetricGate | None,
    count: Callable[[bool], None] = lambda promoted: None,
) -> ModelVersion:
    """The version with the gate's verdict, which is passed once, on the champion that there is then.

    Args:
        count: Told the verdict where it is passed here.
    """
    while version.promotion is None:
        promotion = judge(await registry.find_champion(version.name), version, gate)
        if await registry.record_promotion(version.name, version.version, promotion):
            count(promotion.promoted)
            version = version.model_copy(update={"promotion": promotion})
    return version


async def _nothing_to_check(_: AsyncClientSession) -> None:
    """Nobody else makes a version of the same files."""
