"""Which version answers while aliases change and others load: a real registry, an engine at hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ProgramOrigin, RegisteredModel
from common.mongo.types import Client
from prediction.inference.engine.deployment import Deployment, Loaded
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Answer, decode_request, encode_answers
from prediction.inference.model_process.words import ModelDied
from prediction.inference.questions import Prediction, Question, QuestionList
from prediction.inference.queue.admission import Admission
from prediction.inference.queue.breaker import Breaker
from prediction.inference.records.documents import Role
from prediction.inference.records.repository import PredictionRepository
from prediction.inference.records.writer import RecordWriter
from prediction.inference.served.documents import ServedModel, ServingOptions
from prediction.inference.served.files import LocalFiles
from prediction.inference.served.loading import Loading
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.readiness import NotReady, StillLoading
from prediction.inference.serving import Serving
from tests.support.registered import publish
from tests.support.samples import unique_name
from tests.support.served_versions import Environments


@dataclass
class EngineAtHand:
    """Loads at once, unless told to hang, and answers with what it is asked."""

    hanging: set[int] = field(default_factory=set)
    """Numbers of versions."""
    loaded: set[int] = field(default_factory=set)
    dying: set[int] = field(default_factory=set)
    asked: list[tuple[int, int]] = field(default_factory=list)
    """Version and number of rows, of each batch."""

    async def load(self, deployment: Deployment) -> Loaded:
        if _number_of(deployment.name) in self.hanging:
            await asyncio.Event().wait()
        self.loaded.add(_number_of(deployment.name))
        return Loaded(deployment.name, 1, {"kind": "python"})

    async def ask(self, name: str, frame: bytes, seconds: float) -> bytes:
        number, rows = _number_of(name), decode_request(frame)
        self.asked.append((number, len(rows)))
        if number in self.dying:
            raise ModelDied("exit code 3")
        return encode_answers([Answer({**row.values, "said_by": number}) for row in rows], 0.001)

    async def unload(self, name: str) -> None:
        self.loaded.discard(_number_of(name))


def _number_of(deployment: str) -> int:
    return int(deployment.split("-")[-2])


@dataclass
class Model:
    registry: ModelRegistry
    store: FolderStore
    name: str = ""

    async def publish(self) -> None:
        origin = ProgramOrigin(workspace="team", folder=".", snapshot_id="s")
        files = {"predict.py": b"def predict(inputs): return inputs"}
        version = await publish(
            self.registry, self.store, files, kind="program", program=origin, champion=False
        )
        self.name = version.name

    async def name_champion(self, number: int) -> RegisteredModel:
        return await self.registry.set_alias(self.name, "champion", number, "for a test")


@pytest_asyncio.fixture
async def model(mongo: Client, tmp_path: Path) -> Model:
    found = Model(ModelRegistry(mongo, unique_name("served")), FolderStore(tmp_path / "store"))
    for _ in range(3):
        await found.publish()
    await found.name_champion(1)
    return found


@pytest.fixture
def engine() -> EngineAtHand:
    return EngineAtHand()


Serve = Callable[..., ModelServer]


@pytest_asyncio.fixture
async def serve(model: Model, engine: EngineAtHand, tmp_path: Path) -> AsyncIterator[Serve]:
    """A server of the model with these options."""
    files = LocalFiles(tmp_path / "files", model.store, Environments(), 1)
    loading = Loading(engine, files, None, python_is_allowed=True)  # type: ignore[arg-type]
    servers: list[ModelServer] = []

    @asynccontextmanager
    async def room(_: str) -> AsyncIterator[None]:
        yield

    async def note_good(_: str, number: int) -> None:
        pass

    def made(**options: Any) -> ModelServer:
        served = ServedModel(model=model.name, options=ServingOptions.model_validate(options))
        servers.append(ModelServer(model.name, served, model.registry, loading, room, note_good))
        return servers[-1]

    yield made
    for each in servers:
        await each.sleep(for_good=True)
    await loading.close()


async def answering(server: ModelServer) -> int:
    async with server.asking(10) as (_, loaded):
        return loaded.version.version


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_model_whose_champion_is_taken_away_answers_no_more(
    model: Model, engine: EngineAtHand, serve: Serve
) -> None:
    server = serve(canary={"version": 2, "share": 0})
    assert await answering(server) == 1
    await until(lambda: engine.loaded == {1, 2})
    await model.registry.remove_alias(model.name, "champion", "out of service")
    await server.start_turn()
    with pytest.raises(NotReady, match=r"No version of .* is its champion"):
        await answering(server)
    await until(lambda: not engine.loaded)
    await model.name_champion(3)
    assert await answering(server) == 3


@pytest.mark.parametrize("role", ["canary", "shadow"])
async def test_what_hangs_beside_holds_up_no_roll_back(
    model: Model, engine: EngineAtHand, serve: Serve, role: str
) -> None:
    await model.name_champion(2)
    engine.hanging = {3}
    server = serve(**{role: {"version": 3, "share": 1}})
    assert await answering(server) == 2
    assert server.is_changing
    await model.name_champion(1)
    await server.start_turn()
    assert await answering(server) == 1
    await model.name_champion(3)  # which hangs as well, and then does not
    turn = server.start_turn()
    await asyncio.sleep(0)
    engine.hanging = set()
    turn.cancel()
    await asyncio.wait({turn})
    await server.start_turn()
    assert await answering(server) == 3
    await until(lambda: engine.loaded == {3} and not server.is_changing)


async def test_what_is_loaded_beside_is_given_up_where_others_are_wanted(
    engine: EngineAtHand, serve: Serve
) -> None:
    engine.hanging = {2}
    server = serve(version=1, canary={"version": 2, "share": 0})
    assert await answering(server) == 1
    with pytest.raises(StillLoading):
        async with server.asking(0.05, 2):
            pass
    server.served.options = ServingOptions.model_validate(
        {"version": 1, "canary": {"version": 3, "share": 0}}
    )
    async with server.asking(10, 3) as (role, loaded):
        assert (role, loaded.version.version) == (Role.CANARY, 3)
    assert engine.loaded == {1, 3}
    server.served.options = ServingOptions(version=1)
    await server.start_turn()
    await until(lambda: engine.loaded == {1})


class OneModel:
    """Of the models of a service, the only one."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    async def server(self, name: str) -> ModelServer:
        return self._server


@pytest.mark.parametrize("recovers", [True, False])
async def test_rows_that_a_resting_canary_does_not_take_are_answered_by_the_version_that_serves(
    engine: EngineAtHand, serve: Serve, mongo: Client, recovers: bool
) -> None:
    server = serve(canary={"version": 2, "share": 1})
    writer = RecordWriter(PredictionRepository(mongo, unique_name("records")), 10.0)
    models: Any = OneModel(server)
    serving = Serving(
        models, Admission(1 << 20), writer, most_rows=100, keep_days=1, image_limits=ImageLimits()
    )
    assert await answering(server) == 1
    await until(lambda: Role.CANARY in server.roles)
    canary, now = server.roles[Role.CANARY], 0.0
    canary.batcher.breaker = Breaker(clock=lambda: now)
    for _ in range(5):
        canary.batcher.breaker.failed("exit code 3", None)
    now = 16.0
    engine.dying = set() if recovers else {2}
    rows = QuestionList([Question({"x": number}) for number in range(20)])
    outcomes = await serving.ask(server.name, rows, by="ada")
    assert [each.answer for each in outcomes if isinstance(each, Prediction)] == [
        {"x": number, "said_by": 1} for number in range(20)
    ]
    await until(lambda: (2, 1) in engine.asked)
    await until(lambda: canary.batcher.is_idle)
    assert sum(count for number, count in engine.asked if number == 2) == 1, "one row is the trial"
    assert canary.batcher.breaker.is_open is not recovers
    again = await serving.ask(server.name, rows, by="ada")
    assert {each.version for each in again if isinstance(each, Prediction)} == {2 if recovers else 1}
    assert len(again) == 20
    await serving.close()
