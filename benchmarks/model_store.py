"""How long it takes to publish a model and to load one, cold and from memory, for both stores.

    python benchmarks/model_store.py [--runs 30] [--jobs 18] [--repeat 30] [--hdfs URL]

The model is a real one, trained on a synthetic history of that many runs and jobs. Publishing is the
whole way from the outbox to the alias, without the comparison with the version before; loading is
what a prediction waits for: the registry's answer, then the files with their checksums. Without
`--hdfs` a NameNode and a DataNode of this machine are started (`make install-dev` fetches them).
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pymongo import AsyncMongoClient
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.reporting import open_console  # noqa: E402
from benchmarks.staged_application import make_runs  # noqa: E402
from benchmarks.support.hdfs_cluster import hdfs_cluster  # noqa: E402
from common.models.artifacts import ArtifactStore  # noqa: E402
from common.models.folder import FolderStore  # noqa: E402
from common.models.hdfs import HdfsStore  # noqa: E402
from common.models.registry import ModelRegistry  # noqa: E402
from common.models.versions import (  # noqa: E402
    ModelVersion,
    NewVersion,
    Promotion,
    TrainingData,
    model_name,
    published_files,
    read_version,
)
from common.mongo.embedded import embedded_mongod  # noqa: E402
from common.settings.hdfs import HdfsSettings  # noqa: E402
from prediction.serving.cache import ModelCache  # noqa: E402
from training.runs.documents import TrainingState  # noqa: E402
from training.runs.outbox import Outbox  # noqa: E402
from training.runs.publishing import Publisher  # noqa: E402
from training.runs.repository import TrainingRunRepository  # noqa: E402
from training.runtime_model.artifact import Hyperparameters  # noqa: E402
from training.runtime_model.loop import pretrain  # noqa: E402

KIND, SYSTEM, ALGORITHM = "onlinepredictor", "spark", "Synthetic"
console = open_console()


class AlwaysPromote:
    """Comparing versions takes seconds of computing and says nothing about a store."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
        champion = await self._registry.find_champion(candidate.name)
        return Promotion(
            promoted=True,
            reason="benchmark",
            method="none",
            champion_version=champion.version if champion else None,
        )


@asynccontextmanager
async def hdfs_store(endpoint: str | None, folder: Path) -> AsyncIterator[ArtifactStore]:
    if endpoint is None:
        async with hdfs_cluster(folder) as cluster, hdfs_store(cluster.endpoint, folder) as store:
            yield store
        return
    store = HdfsStore(HdfsSettings(hdfs_endpoint=endpoint, hdfs_output_dir="/enel_benchmark"))
    try:
        yield store
    finally:
        await store.aclose()


async def measure(
    name: str, store: ArtifactStore, uri: str, folder: Path, files: Mapping[str, bytes], repeat: int
) -> dict[str, list[float]]:
    """Milliseconds of every publication and load."""
    client: AsyncMongoClient = AsyncMongoClient(uri, tz_aware=True)
    database = f"benchmark_{name}"
    runs, registry = TrainingRunRepository(client, database), ModelRegistry(client, database)
    await runs.create_indexes()
    await registry.create_indexes()
    publisher = Publisher(runs, registry, store, AlwaysPromote(registry), Outbox(folder / name), 60.0)
    times: dict[str, list[float]] = {"publish": [], "load, cold": [], "load, cached": []}

    for _ in track(range(repeat), f"{name}", console=console):
        queued = await runs.enqueue(
            system_name=SYSTEM, algorithm_name=ALGORITHM, model_name=KIND, experiment_name="b", trials=1
        )
        run = await runs.claim("benchmark")
        assert run is not None
        assert run.artifact_id is not None
        new = NewVersion(
            kind=KIND,
            system_name=SYSTEM,
            algorithm_name=ALGORITHM,
            experiment_name="b",
            training_run_id=run.id,
            artifact_id=run.artifact_id,
            schema_version=1,
            files=published_files(files),
            training_data=TrainingData(runs=1, jobs=1),
        )
        began = time.perf_counter()
        await publisher.keep(new, files)
        await publisher.publish_all()
        times["publish"].append(1000 * (time.perf_counter() - began))
        assert (await runs.get(queued.id)).state is TrainingState.SUCCEEDED

        cache = ModelCache(partial(read_version, store), entries=1, size_bytes=1 << 30)
        for kind in ("load, cold", "load, cached"):
            began = time.perf_counter()
            version = await registry.find_champion(model_name(SYSTEM, ALGORITHM, KIND))
            assert version is not None
            assert set(await cache.get(version)) == set(files)
            times[kind].append(1000 * (time.perf_counter() - began))
    for key in await store.keys(f"pretrained_models/{SYSTEM}/{ALGORITHM}/{KIND}"):
        await store.delete(key)
    await client.close()
    return times


async def run(arguments: argparse.Namespace) -> None:
    console.print(f"Training a model of {arguments.runs} runs x {arguments.jobs} jobs")
    files = pretrain(
        make_runs(arguments.runs, jobs=arguments.jobs),
        Hyperparameters(),
        max_epochs=5,
    ).to_files()
    size = sum(map(len, files.values())) / 1e6
    results = {}
    with tempfile.TemporaryDirectory(prefix=f"enel-{secrets.token_hex(2)}-") as temporary:
        folder = Path(temporary)
        async with (
            embedded_mongod(folder / "mongodb") as uri,
            hdfs_store(arguments.hdfs, folder / "hdfs") as hdfs,
        ):
            for name, store in (("folder", FolderStore(folder / "models")), ("hdfs", hdfs)):
                results[name] = await measure(name, store, uri, folder, files, arguments.repeat)

    table = Table(title=f"A model of {size:.1f} MB in {len(files)} files, {arguments.repeat} times each")
    for column in ("", "folder: median", "p95", "HDFS: median", "p95", "HDFS / folder"):
        table.add_column(column, justify="left" if not column else "right")
    for what in results["folder"]:
        medians, cells = [], []
        for name in ("folder", "hdfs"):
            values = results[name][what]
            medians.append(statistics.median(values))
            p95 = statistics.quantiles(values, n=20)[-1]
            cells += [f"{medians[-1]:.1f} ms", f"{p95:.1f} ms"]
        table.add_row(what, *cells, f"{medians[1] / medians[0]:.1f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=18)
    parser.add_argument("--repeat", type=int, default=30, help="publications and loads of each kind")
    parser.add_argument("--hdfs", help="WebHDFS address to use instead of a HDFS on this machine")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
