"""Versions of folders: what somebody has exported elsewhere, without a program that leaves it."""

import secrets
from collections.abc import Mapping

from common.auth import Principal
from common.errors import InvalidRequest
from common.instruments import Instruments, unscraped
from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import (
    PROGRAM_KIND,
    PROGRAM_SYSTEM,
    ModelVersion,
    NewVersion,
    ProgramOrigin,
    VersionState,
    model_name,
)
from common.wire.specs import MetricGate
from common.workspaces.documents import Snapshot
from common.workspaces.paths import check_path
from common.workspaces.workspaces import Workspaces
from prediction.inference.served.kinds import VersionNotServable, how_it_answers
from submission.programs.preparation import Programs
from submission.programs.told import told_by
from submission.programs.versions import judged, new_version, registered


class FolderPublisher:
    """Makes versions of what lies in workspaces; the same files are the same version."""

    def __init__(
        self,
        workspaces: Workspaces,
        programs: Programs,
        registry: ModelRegistry,
        store: ArtifactStore,
        most_bytes: int,
        instruments: Instruments | None = None,
    ) -> None:
        """Args:
        most_bytes: Of a version, which is in memory while it is made.
        """
        self._workspaces = workspaces
        self._programs = programs
        self._registry = registry
        self._store = store
        self._most_bytes = most_bytes
        self._instruments = instruments or unscraped()

    async def publish(
        self, workspace: str, folder: str, model: str, gate: MetricGate | None, principal: Principal
    ) -> ModelVersion:
        """A version of a folder, which serves unless the gate keeps it back.

        Args:
            model: Its name in the registry without system and kind.
        Raises:
            WorkspaceNotFound, Forbidden, InvalidRequest: It cannot be made, or not by whoever asks.
            VersionNotServable: It would answer no question; nothing is made.
            StoreUnavailable: Not now.
        """
        rights = self._programs.rights
        await rights.check_may_run_workspace(workspace, principal)
        name = model_name(PROGRAM_SYSTEM, model, PROGRAM_KIND)
        await rights.check_may_make_version(name, workspace, principal)
        inner = "" if folder in (".", "./", "") else check_path(folder)
        snapshot = await self._workspaces.take_snapshot(workspace, principal.name, folder=inner)
        if snapshot.size_bytes > self._most_bytes:
            raise InvalidRequest(
                f"folder: {snapshot.size_bytes:,} bytes are more than a version may have"
                f" ({self._most_bytes:,}, PROGRAM_OUTPUT_MAX_BYTES)."
            )
        content = {file.path: await self._workspaces.content(workspace, file) for file in snapshot.files}
        version = await self._registered(snapshot, model, content)
        return await judged(self._registry, version, gate, self._instruments.count_promotion)

    async def _registered(self, snapshot: Snapshot, model: str, content: Mapping[str, bytes]) -> ModelVersion:
        told = told_by(content)
        if told.complaint:
            raise InvalidRequest(told.complaint)
        origin = ProgramOrigin(
            workspace=snapshot.workspace,
            folder=snapshot.folder or ".",
            snapshot_id=snapshot.id,
            environment_id=await self._programs.environment_of(snapshot),
            metrics=told.metrics,
            signature=told.signature,
        )
        new = new_version(
            content,
            system_name=PROGRAM_SYSTEM,
            algorithm_name=model,
            experiment_name=model,
            store=self._store.identity,
            artifact_id=f"folder-{snapshot.id[:40]}",
            validation=dict(told.metrics),
            program=origin,
        )
        _check_answers(new)
        present = await self._registry.find_by_artifact(new.artifact_key)
        if present is not None and present.state is VersionState.READY:
            return present
        if present is not None:
            new = new.model_copy(update={"artifact_id": f"{new.artifact_id}-{secrets.token_hex(4)}"})
        return await registered(self._registry, self._store, new, content)


def _check_answers(new: NewVersion) -> None:
    try:
        how_it_answers(new.numbered(1))
    except VersionNotServable as error:
        raise InvalidRequest(str(error).replace(f"{new.name}/1", "the folder")) from error
