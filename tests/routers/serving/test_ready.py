"""Whether a model answers, as clients of the Open Inference Protocol ask: by the status alone."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from common.settings.settings import Settings
from tests.support.services import service_in_process
from tests.support.teams_models import TeamsModel, tells

pytestmark = pytest.mark.service


async def readiness(model: TeamsModel, status: int) -> bool:
    response = await model.client.get(f"/v2/models/{model.short_name}/ready")
    assert (response.status_code, response.json()["name"]) == (status, model.name)
    return bool(response.json()["ready"])


async def name_alias(model: TeamsModel, alias: str, version: int | None) -> None:
    address, body = f"/models/{model.name}/aliases/{alias}", {"version": version}
    method, content = ("DELETE", None) if version is None else ("PUT", body)
    (await model.client.request(method, address, json=content)).raise_for_status()


async def test_a_model_is_ready_where_what_its_options_name_is_there(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    await model.publish(tells(1))
    await model.publish(tells(2))
    assert await readiness(model, 200)
    options: list[Any] = [2, "staging", "champion"]
    for version, status in zip(options, (200, 409, 200), strict=True):
        await model.serve(version=version)
        assert await readiness(model, status) is (status == 200)
    await name_alias(model, "staging", 2)
    await name_alias(model, "champion", None)
    for version, status in zip(options, (200, 200, 409), strict=True):
        await model.serve(version=version)
        assert await readiness(model, status) is (status == 200)
    await model.serve(version=1)
    (await service.delete(f"/models/{model.name}/versions/1")).raise_for_status()
    assert not await readiness(model, 409)


async def test_a_service_that_serves_nothing_is_not_ready(mongo_uri: str, tmp_path: Path) -> None:
    def turn_off(settings: Settings) -> None:
        settings.serving.serving = False

    async with service_in_process(mongo_uri, tmp_path, configure=turn_off) as client:
        off = await client.get("/v2/health/ready")
        assert (off.status_code, off.json()) == (409, {"ready": False})
        assert (await client.get("/v2/health/live")).status_code == 200
    async with service_in_process(mongo_uri, tmp_path / "on") as client:
        on = await client.get("/v2/health/ready")
        assert (on.status_code, on.json()) == (200, {"ready": True})
