"""Whoever asks for too much is told when to come back, and takes nothing from others."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from common.auth import Role
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.samples import application_start, execution, specs, unique_name
from tests.support.tokens import ADMIN_TOKEN, Guarded, bearer, guarded_service

UPDATE = "/training/update_information"


@pytest_asyncio.fixture
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    def small(settings: Settings) -> None:
        settings.access.requests_per_minute = 20
        settings.access.concurrent_submissions = 2

    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("limits"), small) as service:
        yield service


async def test_a_flood_of_one_principal(guarded: Guarded) -> None:
    ada = await guarded.of(await guarded.new("ada", Role.READER))
    bob = await guarded.of(await guarded.new("bob", Role.READER))
    answers = [await ada.get("/models") for _ in range(22)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 2
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "REQUESTS_PER_MINUTE" in refused.json()["detail"]
    assert (await bob.get("/models")).status_code == 200
    metrics = (await guarded.client.get("/metrics")).text
    assert 'enel_refused_requests_total{reason="limit"} 2.0' in metrics


async def test_a_flood_of_one_application(guarded: Guarded) -> None:
    runs = [execution(), execution()]
    tokens = []
    for run in runs:
        await guarded.executions.insert(run)
        tokens.append(bearer(str(await guarded.tokens.issue_for_listener(run.id))))
    flood = [
        await guarded.client.post(UPDATE, json=application_start(runs[0].id), headers=tokens[0])
        for _ in range(22)
    ]
    assert [answer.status_code for answer in flood[-2:]] == [429, 429]
    other = await guarded.client.post(UPDATE, json=application_start(runs[1].id), headers=tokens[1])
    assert other.status_code == 200


async def test_submissions_at_once(guarded: Guarded) -> None:
    ada = await guarded.of(await guarded.new("ada", Role.SUBMITTER))
    tries = [ada.post("/submission/submit?dry_run=true", json=specs()) for _ in range(8)]
    answers = await asyncio.gather(*tries)
    codes = sorted({answer.status_code for answer in answers})
    assert codes[-1] == 429
    assert (await ada.post("/submission/submit?dry_run=true", json=specs())).status_code == codes[0]


async def test_a_schedule_that_is_run_by_hand_is_a_submission(guarded: Guarded) -> None:
    eve = await guarded.of(await guarded.new("eve", Role.SUBMITTER))
    body = {"name": "by-hand", "cron": "@yearly", "submission": specs(algorithm_name="KMeans")}
    assert (await eve.post("/submission/schedules", json=body)).status_code == 201
    runs = [eve.post("/submission/schedules/by-hand/run") for _ in range(8)]
    assert 429 in {answer.status_code for answer in await asyncio.gather(*runs)}


async def test_wrong_tokens_are_slowed_and_those_that_counted_are_not(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    good = await guarded.of(await guarded.new(unique_name("good"), Role.READER))
    assert (await good.get("/models")).status_code == 200
    wrong = [await guarded.client.get("/models", headers=bearer(f"hunter2-{number}")) for number in range(12)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
    assert wrong[-1].headers["retry-after"]
    assert (await good.get("/models")).status_code == 200
    assert (await guarded.client.get("/models", headers=bearer(ADMIN_TOKEN))).status_code == 200
    assert "hunter2" not in caplog.text
    assert "was shown from 127.0.0.1" in caplog.text
