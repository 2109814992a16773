"""One stored document that cannot be read takes nothing else away: asked of the whole service."""

import asyncio
from typing import Any

import httpx
import pytest
from bson import ObjectId

from common.executions.documents import ScalingDecision
from common.executions.repository import ExecutionRepository
from common.models.versions import model_name
from common.mongo.document import utc_now
from common.mongo.types import Client
from tests.support.finished_runs import store_finished_runs
from tests.support.samples import execution, job_end, specs, unique_name
from tests.support.served_model import Registered
from training.runs.repository import TrainingRunRepository

BAD = {"attempt_id": "first"}
"""For a field of an application execution that holds a number."""


class Stored:
    """The documents below a service."""

    def __init__(self, service: httpx.AsyncClient, mongo: Client) -> None:
        self.database = mongo[service.database]  # type: ignore[attr-defined]
        self.executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
        self.algorithm = unique_name("Algorithm")

    async def history(self) -> list[str]:
        """Ids of finished runs."""
        await store_finished_runs(self.executions, self.algorithm, [2, 3, 4, 6])
        return [run.id for run, _ in await self.executions.finished_runs("spark", self.algorithm, 9)]

    async def change(self, collection: str, query: dict[str, Any], **fields: Any) -> None:
        result = await self.database[collection].update_one(query, {"$set": fields})
        assert result.matched_count == 1


@pytest.fixture
def stored(service: httpx.AsyncClient, mongo: Client) -> Stored:
    return Stored(service, mongo)


async def problem(service: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await service.get(path)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["title"] == "A stored document cannot be read"
    return body


async def test_an_empty_attempt_id_is_none(service: httpx.AsyncClient, stored: Stored) -> None:
    first, *_ = await stored.history()
    await stored.change("application_execution", {"_id": first}, attempt_id="")
    found = (
        await service.get("/submission/applications", params={"algorithm_name": stored.algorithm})
    ).json()
    assert first in [item["_id"] for item in found["items"]]
    assert found["unreadable"] == []
    assert (await service.get(f"/submission/applications/{first}")).json()["attempt_id"] is None
    assert len(await stored.executions.finished_runs("spark", stored.algorithm, 9)) == 4


async def test_an_application_is_left_out_and_told(service: httpx.AsyncClient, stored: Stored) -> None:
    first, second, *rest = await stored.history()
    await stored.change("application_execution", {"_id": first}, **BAD)
    query = {"algorithm_name": stored.algorithm}
    found = (await service.get("/submission/applications", params=query)).json()
    assert [item["_id"] for item in found["items"]] == [*reversed(rest), second]
    assert found["unreadable"] == [first]
    for path in ("", "/jobs", "/decisions", "/picture.svg"):
        body = await problem(service, f"/submission/applications/{first}{path}")
        assert [error["field"] for error in body["errors"]] == ["attempt_id"]
        assert first in body["detail"]
    metrics = (await service.get("/metrics")).text
    assert 'enel_unreadable_documents{collection="application_execution"}' in metrics


async def test_forecasts_and_trainings_go_on_with_the_rest(
    service: httpx.AsyncClient, stored: Stored
) -> None:
    first, second, *rest = await stored.history()
    await stored.change("application_execution", {"_id": first}, **BAD)
    await stored.change("job_execution", {"application_execution_id": second, "job_id": 2}, end_time="")
    found = await stored.executions.finished_runs("spark", stored.algorithm, 9)
    assert [run.id for run, _ in found] == rest
    assert [run.id for run, _ in await stored.executions.finished_runs("spark", stored.algorithm, 2)] == rest

    body = specs(algorithm_name=stored.algorithm)
    answer = await service.post("/prediction/initial_scale_out", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["runs"] == 2
    training = {"algorithm_name": stored.algorithm, "model_name": "onlinepredictor", "trials": 1}
    started = await service.post("/training/trigger_model_training", json=training)
    assert started.status_code == 202, started.text
    await service.post(f"/training/runs/{started.json()['training_id']}/cancel")


async def test_the_newest_run_that_cannot_be_read_hides_no_history(
    service: httpx.AsyncClient, stored: Stored
) -> None:
    *_, last = await stored.history()
    await stored.change("job_execution", {"application_execution_id": last, "job_id": 0}, end_time="")
    [(run, _)] = await stored.executions.finished_runs("spark", stored.algorithm, 1)
    assert run.id != last


async def test_jobs_and_decisions_are_left_out_and_told(service: httpx.AsyncClient, stored: Stored) -> None:
    first, *_ = await stored.history()
    bad_job: Any = await stored.database["job_execution"].find_one(
        {"application_execution_id": first, "job_id": 1}
    )
    await stored.change("job_execution", {"_id": bad_job["_id"]}, end_time="", stages="")
    decision = ScalingDecision(
        id=str(ObjectId()),
        application_execution_id=first,
        job_id=0,
        elapsed_seconds=5.0,
        current_scale_out=2,
        target_seconds=20.0,
        reason="because",
    )
    await stored.executions.insert_decision(decision)
    bad_decision = {**decision.to_mongo(), "_id": str(ObjectId()), "elapsed_seconds": "long"}
    await stored.database["scaling_decision"].insert_one(bad_decision)

    path = f"/submission/applications/{first}"
    details = (await service.get(path)).json()
    assert [job["job_id"] for job in details["jobs"]] == [0, 2, 3, 4, 5]
    assert [each["_id"] for each in details["decisions"]] == [decision.id]
    assert set(details["unreadable"]) == {str(bad_job["_id"]), bad_decision["_id"]}
    jobs = (await service.get(f"{path}/jobs", params={"limit": 2})).json()
    assert [job["job_id"] for job in jobs["items"]] == [0, 2]
    assert jobs["next_after_job_id"] == 2
    assert jobs["unreadable"] == [str(bad_job["_id"])]
    decisions = (await service.get(f"{path}/decisions")).json()
    assert [each["_id"] for each in decisions["items"]] == [decision.id]
    assert decisions["unreadable"] == [bad_decision["_id"]]
    assert (await service.get(f"{path}/picture.svg")).status_code == 200


@pytest.mark.parametrize("nothing", ["", "soon", 5])
async def test_whether_targets_were_met_is_asked_beside_times_that_are_none(
    service: httpx.AsyncClient, stored: Stored, nothing: Any
) -> None:
    first, *rest = await stored.history()
    await stored.change("application_execution", {"_id": first}, end_time=nothing)
    for met in ("true", "false"):
        query = {"algorithm_name": stored.algorithm, "target_met": met}
        answer = await service.get("/submission/applications", params=query)
        assert answer.status_code == 200, answer.text
        expected = list(reversed(rest)) if met == "true" else []
        assert [item["_id"] for item in answer.json()["items"]] == expected


async def test_trainings_are_left_out_and_told(
    service: httpx.AsyncClient, stored: Stored, mongo: Client
) -> None:
    runs = TrainingRunRepository(mongo, stored.database.name)
    run = await runs.enqueue(
        system_name="spark",
        algorithm_name=stored.algorithm,
        model_name="onlinepredictor",
        experiment_name="e",
        trials=1,
    )
    ended = {**run.to_mongo(), "_id": unique_name("run"), "state": "SUCCEEDED", "trials_total": "many"}
    await stored.database["training_run"].insert_one(ended)
    answer = await service.get("/training/runs", params={"algorithm_name": stored.algorithm})
    assert answer.json()["unreadable"] == [ended["_id"]]
    assert [item["id"] for item in answer.json()["items"]] == [run.id]
    body = await problem(service, f"/training/runs/{ended['_id']}")
    assert body["errors"][0]["field"] == "trials_total"


async def test_a_queued_training_that_cannot_be_read_fails_and_lets_others_pass(
    service: httpx.AsyncClient, stored: Stored
) -> None:
    queued = {"_id": unique_name("run"), "state": "QUEUED", "created_at": utc_now().replace(year=2020)}
    await stored.database["training_run"].insert_one(queued)
    async with asyncio.timeout(120):
        while True:
            found: Any = await stored.database["training_run"].find_one({"_id": queued["_id"]})
            if found["state"] == "FAILED":
                break
            await asyncio.sleep(0.1)
    assert "system_name" in found["detail"]


async def test_versions_and_models(service: httpx.AsyncClient, model: Registered, stored: Stored) -> None:
    first = await model.publish()
    second = await model.publish()
    await stored.change("model_version", {"_id": second.id}, schema_version="newest")
    answer = (await service.get(f"{model.path}/versions")).json()
    assert [item["version"] for item in answer["items"]] == [first.version]
    assert answer["unreadable"] == [second.id]
    await problem(service, f"{model.path}/versions/{second.version}")
    await stored.change(
        "model",
        {"_id": model.name},
        aliases={"champion": {"version": second.version, "since": utc_now(), "reason": ""}},
    )
    view = (await service.get(model.path)).json()
    assert (view["champion"], view["champion_version"]) == (second.version, None)

    # It does not serve, and forecasts go on without it.
    await store_finished_runs(model.executions, model.algorithm_name, [2, 4])
    answer = await service.post(
        "/prediction/initial_scale_out", json=specs(algorithm_name=model.algorithm_name)
    )
    assert answer.status_code == 200, answer.text
    preload = await service.get(f"/prediction/preload/{model.algorithm_name}")
    assert preload.status_code == 404, preload.text

    other = model_name("spark", unique_name("Other"), "onlinepredictor")
    await stored.database["model"].insert_one(
        {"_id": other, "kind": "onlinepredictor", "latest_version": "x"}
    )
    listed = (await service.get("/models", params={"limit": 200})).json()
    assert other in listed["unreadable"]
    assert model.name in [item["name"] for item in listed["items"]]
    await problem(service, f"/models/{other}")


async def test_recurring_submissions(service: httpx.AsyncClient, stored: Stored) -> None:
    body = {"cron": "0 3 * * *", "submission": specs()}
    good, bad = unique_name("good"), unique_name("bad")
    for name in (good, bad):
        assert (await service.put(f"/submission/schedules/{name}", json=body)).status_code == 200
    await stored.change("submission_schedule", {"_id": bad}, concurrency_policy="queue")
    listed = (await service.get("/submission/schedules")).json()
    assert good in [item["name"] for item in listed["items"]]
    assert listed["unreadable"] == [bad]
    assert (await problem(service, f"/submission/schedules/{bad}"))["errors"][0][
        "field"
    ] == "concurrency_policy"
    # To say it anew mends it.
    assert (await service.put(f"/submission/schedules/{bad}", json=body)).status_code == 200
    assert (await service.get("/submission/schedules")).json()["unreadable"] == []


async def test_a_report_about_what_cannot_be_read_says_so(service: httpx.AsyncClient, stored: Stored) -> None:
    run = execution(algorithm_name=stored.algorithm)
    await stored.executions.insert(run)
    await stored.change("application_execution", {"_id": run.id}, **BAD)
    answer = await service.post("/training/update_information", json=job_end(run.id, 0))
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["field"] == "attempt_id"


async def test_times_that_python_cannot_hold(service: httpx.AsyncClient, stored: Stored) -> None:
    first, *rest = await stored.history()
    far = [{"$set": {"end_time": {"$toDate": {"$toLong": "253402300800001"}}}}]
    await stored.database["application_execution"].update_one({"_id": first}, far)
    answer = await service.get("/submission/applications", params={"algorithm_name": stored.algorithm})
    assert answer.status_code == 200, answer.text
    assert answer.json()["unreadable"] == [first]
    assert len(answer.json()["items"]) == len(rest)
