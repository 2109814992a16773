"""Reports of listeners where CALLBACK_TOKEN is set, and where it is not."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.samples import application_start, execution, job_end
from tests.support.services import service_in_process

TOKEN = "a-token-for-listeners"
START_PATHS = ["/training/update_information", "/training%2Fupdate_information"]
JOB_PATHS = ["/prediction/online_scale_out_prediction", "/prediction%2Fonline_scale_out_prediction"]


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that wants the token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLBACK_TOKEN", TOKEN)
        async with service_in_process(mongo_uri, tmp_path_factory.mktemp("guarded")) as client:
            patch.undo()  # only this service has one
            yield client


async def stored_run(client: httpx.AsyncClient, mongo: Client) -> str:
    run = execution()
    await ExecutionRepository(mongo, client.database).insert(run)  # type: ignore[attr-defined]
    return run.id


def report(path: str, run_id: str) -> dict[str, object]:
    return application_start(run_id) if path in START_PATHS else {**job_end(run_id, 0), "predict": False}


@pytest.mark.parametrize("path", START_PATHS + JOB_PATHS)
async def test_reports_need_the_token(guarded: httpx.AsyncClient, mongo: Client, path: str) -> None:
    run_id = await stored_run(guarded, mongo)
    for shown in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = await guarded.post(path, json=report(path, run_id), headers=shown)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.headers["content-type"] == "application/problem+json"
        assert TOKEN not in refused.text
    executions = ExecutionRepository(mongo, guarded.database)  # type: ignore[attr-defined]
    assert (await executions.get(run_id)).application_id is None
    taken = await guarded.post(path, json=report(path, run_id), headers={"Authorization": f"Bearer {TOKEN}"})
    assert taken.status_code == 200, taken.text
    assert (await executions.get(run_id)).application_id == "spark-1"


async def test_people_need_none(guarded: httpx.AsyncClient) -> None:
    for path in ("/submission/applications", "/training/runs", "/readyz"):
        assert (await guarded.get(path)).status_code == 200


@pytest.mark.parametrize("path", [START_PATHS[0], JOB_PATHS[0]])
async def test_without_a_token_in_the_settings_none_is_needed(
    service: httpx.AsyncClient, mongo: Client, path: str
) -> None:
    run_id = await stored_run(service, mongo)
    for shown in ({}, {"Authorization": "Bearer whatever"}):
        response = await service.post(path, json=report(path, run_id), headers=shown)
        assert response.status_code == 200, response.text
