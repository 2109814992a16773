"""Serving over the wire, by a service in a process of its own: other people's clients, kills, restarts."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.http.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from app.client.process import ServiceProcess
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel, bright_files, linear_onnx, tells

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

COLUMNS = {
    "inputs": {name: {"type": "number"} for name in ("long", "wide")},
    "output": {"scores": "scores", "labels": ["no", "yes"], "activation": "softmax"},
}


@pytest_asyncio.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with started_service(tmp_path_factory.mktemp("serving")) as process:
        yield process


@pytest.fixture(scope="module")
def url(service: ServiceProcess) -> str:
    return service.url


@pytest_asyncio.fixture(scope="module")
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        yield client


async def test_a_client_of_the_open_inference_protocol_is_answered(
    url: str, client: httpx.AsyncClient
) -> None:
    model = TeamsModel(client)
    await model.publish(
        {"model.onnx": linear_onnx([[1, 0], [0, 1]], [0, 0]), "signature.json": json.dumps(COLUMNS)}
    )
    async with InferenceServerClient(url.removeprefix("http://")) as triton:
        assert await triton.is_server_live()
        assert await triton.is_server_ready()
        assert await triton.is_model_ready(model.short_name)
        metadata = await triton.get_model_metadata(model.short_name)
        assert [each["name"] for each in metadata["inputs"]] == ["long", "wide"]
        for is_binary in (True, False):
            inputs = [
                _column("long", [0.0, 2.0, 0.0], is_binary),
                _column("wide", [3.0, 0.0, 0.5], is_binary),
            ]
            wanted = [InferRequestedOutput("scores", binary_data=is_binary)]
            found = await triton.infer(model.short_name, inputs, outputs=wanted, request_id="7")
            assert found.as_numpy("scores").tolist() == [[0.0, 3.0], [2.0, 0.0], [0.0, 0.5]]
            assert found.get_response()["id"] == "7"
            assert found.get_response()["model_version"] == "1"
        with pytest.raises(InferenceServerException, match="wide"):
            await triton.infer(model.short_name, [_column("long", [1.0], True)])
        with pytest.raises(InferenceServerException, match="no model 'none'"):
            await triton.infer("none", [_column("long", [1.0], True)])


async def test_images_are_tensors_of_the_protocol(url: str, client: httpx.AsyncClient) -> None:
    model = TeamsModel(client)
    await model.publish(bright_files())
    pixels = np.stack([np.full((8, 8), 250, np.uint8), np.full((8, 8), 3, np.uint8)])
    image = InferInput("image", pixels.shape, "UINT8").set_data_from_numpy(pixels)
    async with InferenceServerClient(url.removeprefix("http://")) as triton:
        found = await triton.infer(model.short_name, [image])
    assert found.as_numpy("scores").argmax(1).tolist() == [1, 0]


WAITS = """
import os, time
asked = []

def predict(inputs):
    asked.append(inputs["x"])
    while inputs["x"] == "wait" and not os.path.exists(inputs["until"]):
        time.sleep(0.01)
    return asked
"""


@pytest.mark.parametrize("protocol", ["serving", "v2"])
async def test_who_has_gone_is_not_computed_for(
    protocol: str, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The queue is full: two are on their way, and two wait, until one of these goes."""
    model = TeamsModel(client)
    signature = {"inputs": {"x": "str", "until": {"type": "string", "optional": True}}}
    await model.publish({"predict.py": WAITS, "signature.json": json.dumps(signature)})
    await model.serve(max_queue_rows=3, max_batch_rows=1, time_limit_seconds=120)
    until = tmp_path / "until"
    assert (await model.ask(x="first")).status_code == 200
    slow = [asyncio.create_task(model.ask(x="wait", until=str(until))) for _ in range(3)]

    await _until_waiting(model, 1)
    gone = asyncio.create_task(_ask(model, protocol, "gone"))
    await _until_waiting(model, 2)
    assert (await _ask(model, protocol, "refused")).status_code == 429
    gone.cancel()
    async with asyncio.timeout(60):
        while (taken := await _taken(model, protocol)) is None:
            pass
    slow.append(taken)
    until.touch()
    assert {each.status_code for each in await asyncio.gather(*slow)} == {200}
    asked = (await model.ask(x="last")).json()["answer"]
    assert asked == ["first", "wait", "wait", "wait", "next", "last"]
    page = (await client.get(f"/serving/{model.short_name}/predictions")).json()["items"]
    assert len(page) == len(asked)


async def _until_waiting(model: TeamsModel, rows: int) -> None:
    async with asyncio.timeout(60):
        while [each["waiting_rows"] for each in (await model.details())["loaded"]] != [rows]:
            await asyncio.sleep(0.05)


async def _taken(model: TeamsModel, protocol: str) -> "asyncio.Task[httpx.Response] | None":
    """A question that waits; None: it is refused, since too many do."""
    asking = asyncio.create_task(_ask(model, protocol, "next"))
    await asyncio.wait({asking}, timeout=1)
    if not asking.done():
        return asking
    assert (await asking).status_code == 429, asking.result().text
    return None


async def _ask(model: TeamsModel, protocol: str, x: str) -> httpx.Response:
    if protocol == "serving":
        return await model.ask(x=x)
    inputs = [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [x]}]
    return await model.client.post(f"/v2/models/{model.short_name}/infer", json={"inputs": inputs})


async def test_a_service_that_was_killed_serves_again(
    service: ServiceProcess, client: httpx.AsyncClient
) -> None:
    """It comes last: the service of the others is the one that is killed."""
    model = TeamsModel(client)
    await model.publish(tells(1))
    answer = (await model.ask(x=1)).json()
    assert answer["label"] == "1"
    asking = asyncio.create_task(model.ask(x=2))
    await service.kill()
    with pytest.raises(httpx.TransportError):
        await asking
    async with (
        started_service(service.log.parent) as again,
        httpx.AsyncClient(base_url=again.url, timeout=60) as anew,
    ):
        model.client = anew
        assert (await model.ask(x=1)).json()["label"] == "1"
        feedback = {"prediction_id": answer["prediction_id"], "verdict": "right"}
        said = await anew.post(f"/serving/{model.short_name}/feedback", json=feedback)
        assert said.status_code == 200, "what was answered is remembered"


def _column(name: str, values: list[float], is_binary: bool) -> InferInput:
    column = np.array(values).reshape(-1, 1)
    return InferInput(name, column.shape, "FP64").set_data_from_numpy(column, binary_data=is_binary)
