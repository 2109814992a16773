"""Submissions in the whole service, without a Spark: what is refused, and what it does by itself."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from common.mongo.document import utc_now
from common.mongo.types import Client
from submission.requests import SubmitRequest
from submission.schedule_documents import SubmissionSchedule
from submission.submissions import fingerprint
from tests.support.answers import is_problem
from tests.support.samples import execution, specs, unique_name


@pytest.fixture
def stored(service: httpx.AsyncClient, mongo: Client) -> Any:
    return mongo[service.database]  # type: ignore[attr-defined]


async def test_a_dry_run_on_the_local_spark(service: httpx.AsyncClient, stored: Any) -> None:
    body = specs(algorithm_name="KMeans")
    before = await stored["application_execution"].count_documents({})
    answer = await service.post("/submission/submit?dry_run=true", json=body)
    assert answer.status_code == 200, answer.text
    planned = answer.json()
    assert planned["k8s_api_response"]["checked_by"] == "local"
    assert planned["template_code"][0]["kind"] == "SparkApplication"
    assert (planned["prediction"]["feasible"], planned["prediction"]["candidates"]) == (None, [])
    assert planned["prediction"]["reason"]
    assert await stored["application_execution"].count_documents({}) == before


async def test_a_key_of_another_request_is_a_problem(service: httpx.AsyncClient, stored: Any) -> None:
    key = unique_name("key")
    request = SubmitRequest.model_validate(specs())
    await stored["submission_key"].insert_one(
        {
            "_id": f"key/{key}",
            "fingerprint": fingerprint(request, "requested"),
            "application_execution_id": "another",
            "expires_at": utc_now() + timedelta(hours=1),
        }
    )
    answer = await service.post("/submission/submit", json=specs(), headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "another" in answer.json()["detail"]


async def test_indexes_that_decide_between_services(service: httpx.AsyncClient, stored: Any) -> None:
    names = await stored["application_execution"].index_information()
    assert names["one_with_this_name"]["unique"] is True
    assert (await stored["submission_key"].index_information())["expiry"]["expireAfterSeconds"] == 0


async def test_a_log_of_another_service_s_application_cannot_be_followed(
    service: httpx.AsyncClient, stored: Any
) -> None:
    elsewhere = execution()
    elsewhere.runner = "kubernetes"
    await stored["application_execution"].insert_one(elsewhere.to_mongo())
    path = f"/submission/applications/{elsewhere.id}"
    assert (await service.get(f"{path}/logs?follow=true")).status_code == 404
    refused = await service.delete(path)
    assert (refused.status_code, refused.json()["status"]) == (409, 409)


async def test_the_service_fires_by_itself_and_tells_what_went_wrong(
    service: httpx.AsyncClient, stored: Any
) -> None:
    """With a program that nobody has, so that no Spark is started."""
    name = unique_name("schedule")
    schedule = SubmissionSchedule.model_validate(
        {
            "_id": name,
            "cron": "0 3 * * *",
            "submission": specs(algorithm_name="NobodyHasIt"),
            "next_fire_at": utc_now() - timedelta(seconds=5),
        }
    )
    await stored["submission_schedule"].insert_one({"_id": name, **schedule.model_dump(exclude={"id"})})
    path = f"/submission/schedules/{name}"
    while not (seen := (await service.get(path)).json())["last_outcome"]:
        await asyncio.sleep(0.1)
    assert "NobodyHasIt" in seen["last_error"]
    assert seen["firing"] is None
    assert (await service.delete(path)).status_code == 200


async def test_a_dry_run_of_a_program_stores_no_snapshot_and_builds_nothing(
    service: httpx.AsyncClient, stored: Any
) -> None:
    workspace = unique_name("dry").replace("_", "-")
    assert (await service.put(f"/workspaces/{workspace}", json={})).is_success
    for path, content in (("train.py", b"print()"), ("requirements.txt", b"six==1.16.0\n")):
        assert (await service.put(f"/workspaces/{workspace}/files/{path}", content=content)).is_success

    async def documents() -> dict[str, int]:
        names = await stored.list_collection_names()
        return {name: await stored[name].count_documents({}) for name in names}

    before = await documents()
    body = {**specs(), "program": {"workspace": workspace, "file": "train.py"}}
    answer = await service.post("/submission/submit?dry_run=true", json=body)
    assert answer.status_code == 200, answer.text
    entry = answer.json()["db_entry"]
    assert len(entry["snapshot_id"]) == len(entry["environment_id"]) == 64
    assert await documents() == before
    wrong = {**body, "program": {"workspace": workspace, "file": "other.py"}}
    assert (await service.post("/submission/submit?dry_run=true", json=wrong)).status_code == 422
    await service.put(f"/workspaces/{workspace}/files/requirements.txt", content=b"not a requirement!\n")
    refused = await service.post("/submission/submit?dry_run=true", json=body)
    assert (refused.status_code, "requirements" in refused.text) == (422, True)


async def test_all_that_is_refused_of_a_submission_is_named_at_once(service: httpx.AsyncClient) -> None:
    """Wrong types of fields, and what spark_template_values may not say: of a schedule, too."""
    conf = {"spark.executor.instances": "3", "spark.app.id": "nightly"}
    values = {"spark_conf": conf, "rescaling_mode": "sometimes"}
    body = {**specs(max_runtime=-1), "spark_template_values": values}
    body["worker_specs"] = {**body["worker_specs"], "memory": "lots"}
    for path, sent, place in (
        ("/submission/submit?dry_run=true", body, ""),
        ("/submission/schedules", {"name": "n", "cron": "@daily", "submission": body}, "submission."),
    ):
        told = is_problem(await service.post(path, json=sent), 422)
        assert {each["field"] for each in told["errors"]} == {
            f"{place}global_specs.max_runtime",
            f"{place}worker_specs.memory",
            f"{place}spark_template_values.spark_conf",
            f"{place}spark_template_values",  # its rescaling_mode
        }
        assert "write worker_specs.scale_out" in told["detail"]
        assert "spark.app.id cannot be set" in told["detail"]
    right = {**specs(), "spark_template_values": values}
    told = is_problem(await service.post("/submission/submit?dry_run=true", json=right), 422)
    assert told["errors"][0]["field"] == "spark_template_values.spark_conf"
    assert "write worker_specs.scale_out" in told["errors"][0]["message"]
