"""The part of a service that publishes, with doubles for what is not asked about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.instruments import Instruments
from common.models.artifacts import StoreUnavailable
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, NewVersion
from common.processes.guarded import service_identity
from tests.support.publishing.fixed_gate import FixedGate
from tests.support.registered import FILES, NAME
from training.promotion.gate import Gate
from training.runs.documents import TrainingRun
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher, new_version
from training.runs.repository import TrainingRunRepository

HEARTBEAT_SECONDS = 0.1


class SometimesAway(FolderStore):
    """A store that cannot be changed while it is `away`."""

    away = False

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        self._must_be_there()
        await super().write(key, files)

    async def delete(self, key: str) -> None:
        self._must_be_there()
        await super().delete(key)

    def _must_be_there(self) -> None:
        if self.away:
            raise StoreUnavailable("The store is away, for a test.")


@dataclass
class Service:
    """Everything a publisher needs; each `publisher` is that of one more start."""

    runs: TrainingRunRepository
    registry: ModelRegistry
    data_dir: Path
    instruments: Instruments = field(default_factory=Instruments)
    store: SometimesAway = field(init=False)
    gate: FixedGate = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.store = SometimesAway(self.data_dir / "store")
        self.gate = FixedGate(self.registry)
        self.outbox = Outbox(self.data_dir)

    def publisher(self, gate: Gate | None = None) -> Publisher:
        return Publisher(
            self.runs,
            self.registry,
            self.store,
            gate or self.gate,
            self.outbox,
            HEARTBEAT_SECONDS,
            self.instruments,
        )

    async def queue_training(self) -> str:
        run = await self.runs.enqueue(
            system_name="spark",
            algorithm_name="KMeans",
            model_name="onlinepredictor",
            experiment_name="tests",
            trials=1,
        )
        return run.id

    async def train(self) -> tuple[TrainingRun, NewVersion]:
        """A training that has come to its end; its model is in the outbox."""
        await self.queue_training()
        run = await self.runs.claim(service_identity())
        assert run is not None
        new = new_version(run, FILES, schema_version=1, training_data={"runs": 1, "jobs": 6})
        await self.outbox.put(new, FILES)
        return run, new

    async def publish(self) -> ModelVersion:
        """Train and publish without any disturbance."""
        _, new = await self.train()
        assert await self.publisher().publish_all() == 0
        version = await self.registry.find_by_artifact(new.artifact_key)
        assert version is not None
        return version

    async def champion(self) -> int | None:
        champion = await self.registry.find_champion(NAME)
        return champion.version if champion else None

    async def numbers(self) -> list[int]:
        """Of all versions there are."""
        return sorted(version.version for version in await self.registry.versions(NAME))

    async def stored(self) -> list[str]:
        """Keys of all artifacts there are, complete or not."""
        return await self.store.keys("pretrained_models/spark/KMeans/onlinepredictor", incomplete=True)
