"""Predictions over HTTP by the version that serves: roll-back, damage, and a store that is away."""

from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.answers import PREDICT, is_problem
from tests.support.finished_runs import JOBS
from tests.support.samples import job_end
from tests.support.scraping import Scraped
from tests.support.served_model import Registered


async def predict(service: httpx.AsyncClient, run_id: str, job_id: int) -> dict[str, Any]:
    response = await service.post(PREDICT, json=job_end(run_id, job_id))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["best_predicted_scale_out_per_job"], answer
    return answer


async def test_a_roll_back_serves_with_the_next_prediction(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    for _ in range(2):
        await model.publish(trained)
    run_id = await model.start_run()
    answer = await predict(service, run_id, 0)
    assert [job_id for job_id, _ in answer["best_predicted_scale_out_per_job"]] == list(range(1, JOBS))

    body = {"version": 1, "reason": "the new one exaggerates"}
    rolled_back = await service.put(f"{model.path}/aliases/champion", json=body)
    assert rolled_back.status_code == 200, rolled_back.text
    shown = rolled_back.json()
    assert (shown["champion"], shown["champion_version"]["version"]) == (1, 1)
    assert shown["cached_versions"] == [1, 2]
    assert shown["alias_changes"][0]["reason"] == "the new one exaggerates"
    await predict(service, run_id, 1)
    decisions = await model.executions.decisions(run_id)
    assert [decision.model_key for decision in decisions] == [f"{model.name}/2", f"{model.name}/1"]

    removed = await service.delete(f"{model.path}/aliases/champion")
    assert removed.json()["champion"] is None
    answer = (await service.post(PREDICT, json=job_end(run_id, 2))).json()
    assert answer["best_predicted_scale_out_per_job"] == []
    assert "no model" in answer["reason"]


async def test_a_damaged_champion_gives_way_while_a_run_is_predicted(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    versions = [await model.publish(trained) for _ in range(2)]
    model.weights(versions[1]).write_bytes(trained["weights.safetensors"][:100])
    run_id = await model.start_run()
    await predict(service, run_id, 0)
    [decision] = await model.executions.decisions(run_id)
    assert decision.model_key == f"{model.name}/1"
    assert (await service.get(f"{model.path}/versions/2")).json()["state"] == "DAMAGED"


async def test_without_the_store_what_is_not_in_memory_is_503_and_the_job_is_stored(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    run_id = await model.start_run()
    with model.store_away():
        refused = await service.post(PREDICT, json=job_end(run_id, 0))
        problem = is_problem(refused, 503)
        assert int(refused.headers["retry-after"]) > 0
        assert problem["stored"] is True
        assert f"Version 1 of {model.name}" in problem["detail"]
        [job] = await model.executions.finished_jobs(run_id)
        assert job.job_id == 0
        without = await service.post(PREDICT, json={**job_end(run_id, 0), "predict": False})
        assert without.status_code == 200
        preload = await service.get(f"/prediction/preload/{model.algorithm_name}")
        assert "stored" not in is_problem(preload, 503)
        assert preload.headers["retry-after"]
        for changed in (
            await service.put(f"{model.path}/aliases/candidate", json={"version": 1}),
            await service.post(f"{model.path}/versions/1/verify"),
        ):
            is_problem(changed, 503)
    assert (await service.get(f"{model.path}/versions/1")).json()["state"] == "READY"
    await predict(service, run_id, 0)  # the same report again
    assert len(await model.executions.finished_jobs(run_id)) == 1


async def test_without_the_store_what_is_in_memory_recommends(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    run_id = await model.start_run()
    assert (await service.get(f"/prediction/preload/{model.algorithm_name}")).status_code == 200
    with model.store_away():
        await predict(service, run_id, 0)
        assert (await service.get(f"/prediction/preload/{model.algorithm_name}")).status_code == 200
        assert (await service.get(model.path)).json()["cached_here"]


async def test_what_a_recommendation_takes_is_measured(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    run_id = await model.start_run()
    scraped = await Scraped.of(service)
    with model.store_away():
        is_problem(await service.post(PREDICT, json=job_end(run_id, 0)), 503)
    assert await scraped.moved("enel_reports", "enel_recommendations_total") == {
        'enel_reports_total{event="JOB_END",result="stored"}': 1,  # so it was, in spite of the answer
        'enel_recommendations_total{source="failed"}': 1,
    }
    assert await scraped.moved("enel_model_load_duration_seconds_count") == {
        'enel_model_load_duration_seconds_count{result="failed"}': 1
    }

    scraped = await Scraped.of(service)
    for job_id in (1, 2):
        await predict(service, run_id, job_id)
    assert await scraped.moved("enel_recommendations_total", "enel_model_cache_requests", "enel_reports") == {
        'enel_recommendations_total{source="model"}': 2,
        'enel_model_cache_requests_total{result="hit"}': 1,
        'enel_model_cache_requests_total{result="miss"}': 1,
        'enel_reports_total{event="JOB_END",result="stored"}': 2,
    }
    assert await scraped.moved("enel_model_cache_entries", "enel_model_cache_bytes") == {
        "enel_model_cache_entries": 1,
        "enel_model_cache_bytes": sum(len(content) for content in trained.values()),
    }
    phases = await scraped.moved("enel_recommendation_duration_seconds_count")
    assert phases['enel_recommendation_duration_seconds_count{phase="total"}'] == 2
    assert phases['enel_recommendation_duration_seconds_count{phase="decide"}'] == 2
