"""The pages over HTTP, on a real MongoDB: what they say, and what their forms do."""

import re
from datetime import timedelta
from html import unescape

import httpx
import pytest

from common.executions.attempts import driver_attempts
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from tests.support.finished_runs import store_history
from tests.support.registered import allowed, new_version
from tests.support.samples import START_MS, application_start, at, execution, job_end, unique_name
from tests.support.served_model import Registered
from training.runs.documents import TrainingRun, TrainingState

SCHEDULE = {
    "algorithm_name": "KMeans",
    "data_size_MB": "1",
    "min_scale_out": "1",
    "max_scale_out": "2",
    "max_runtime": "60",
    "experiment_name": "tests",
    "cron": "0 3 1 1 *",
}


@pytest.fixture
async def stored(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    """The service's own documents."""
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
def model(service: httpx.AsyncClient, mongo: Client) -> Registered:
    return Registered(service, mongo)


async def page(service: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await service.get(f"/ui{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


async def post(service: httpx.AsyncClient, path: str, **typed: str) -> httpx.Response:
    """Send a form as the browser does that was shown it."""
    shown = await service.get("/ui/login")
    [token] = re.findall(r'name="csrf_token" value="([^"]+)"', shown.text)
    return await service.post(f"/ui{path}", data={"csrf_token": token, **typed})


async def test_the_address_alone_opens_the_pages(service: httpx.AsyncClient) -> None:
    answer = await service.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert "<h1>Overview</h1>" in answer.text
    for part in re.findall(r'(?:href|src)="(/ui/[^"]+)"', answer.text):
        assert (await service.get(part)).status_code == 200, part


@pytest.mark.parametrize("path", ["/applications", "/schedules", "/trainings", "/models"])
async def test_an_empty_page_says_what_would_fill_it(service: httpx.AsyncClient, path: str) -> None:
    text = await page(service, path)
    assert any(word in text for word in ("Submit", "curl", "train one", "submit some"))


async def test_what_is_not_there_is_said_as_a_page(service: httpx.AsyncClient) -> None:
    assert "There is no application execution 'none'" in await page(service, "/applications/none", 404)
    assert "All models" in await page(service, "/models/none", 404)
    assert "There is no such page Choose one of the pages above. Overview" in await page(
        service, "/nothing", 404
    )
    await page(service, "/schedules/none", 404)
    await page(service, "/trainings/none", 404)
    await page(service, "/applications?cursor=odd", 422)


async def test_a_list_shows_how_each_stands_and_keeps_to_its_filters(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Listed")
    late = execution(algorithm_name=algorithm, max_runtime=10.0)
    late.name, late.submitted_by = "nightly <b>", "ada"
    await stored.insert(late)
    await service.post("/training/update_information", json=application_start(late.id))
    await service.post("/training/update_information", json=job_end(late.id, 0, runtime_seconds=20.0))
    [job] = await stored.finished_jobs(late.id)
    await stored.record_state(late.id, ApplicationState.COMPLETED, fields={"end_time": job.end_time})
    waiting = execution(algorithm_name=algorithm)
    await stored.insert(waiting)
    listed = await page(service, f"/applications?algorithm_name={algorithm}")
    assert "missed , 22 s" in listed
    assert "nightly <b>" in listed
    here = f"/applications?algorithm_name={algorithm}"
    for query, ids in {
        "": {late.id, waiting.id},
        "&target=missed": {late.id},
        "&target=met": set(),
        "&state=running": {waiting.id},
        "&state=COMPLETED": {late.id},
        "&submitted_by=ada": {late.id},
        "&submitted_by=eve": set(),
    }.items():
        answer = await service.get(f"/ui{here}{query}")
        assert set(re.findall(r'id="run-([^"]+)"', answer.text)) == ids, query
    assert "<b>" not in (await service.get(f"/ui{here}")).text.split("<tbody>")[1]


async def test_one_application(service: httpx.AsyncClient, stored: ExecutionRepository) -> None:
    algorithm = unique_name("Shown")
    await store_history(stored, algorithm)
    [first] = await stored.newest(limit=1)
    text = await page(service, f"/applications/{first.id}")
    assert "Completed" in text
    assert "met , 9.0 s" in text
    plot = (await service.get(f"/ui/applications/{first.id}/plot")).json()
    assert plot["runtime_seconds"] == pytest.approx(9.0, abs=0.1)
    assert len(plot["executors"][0]) == len(plot["executors"][1]) > 6
    assert plot["executors"][0] == sorted(plot["executors"][0])
    assert set(plot["executors"][1]) == {6.0}
    assert plot["jobs"][1] == [0, 1, 2, 3, 4, 5]
    stages = await page(service, f"/applications/{first.id}/jobs/2")
    assert "collectAsMap at kmeans.py:30" in stages
    assert "1 skipped" in stages
    again = await service.get(f"/ui/submit?from={first.id}")
    assert f'value="{algorithm}"' in again.text


async def test_the_log_of_what_waits_begins_later(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    waiting = execution()
    waiting.environment_id = "0" * 64
    await stored.insert(waiting)
    shown = await service.get(f"/ui/applications/{waiting.id}")
    assert "It begins when the program does." in shown.text
    assert "data-log" not in shown.text
    await stored.record_state(waiting.id, ApplicationState.PENDING)
    assert "data-log" in (await service.get(f"/ui/applications/{waiting.id}")).text


async def test_a_run_whose_driver_still_reports_is_drawn_anew(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    run = execution()
    await stored.insert(run)
    await stored.record_state(run.id, ApplicationState.SUBMISSION_FAILED, "driver pod already exists")
    for report in (application_start(run.id), job_end(run.id, 0)):
        await service.post("/training/update_information", json=report)
    shown = (await service.get(f"/ui/applications/{run.id}")).text
    assert ("every 2s" in shown, "data-live" in shown) == (True, True)


async def test_a_refused_part_says_when_to_ask_again(service: httpx.AsyncClient) -> None:
    refused = await service.post("/ui/overview/week", headers={"HX-Request": "true"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert refused.headers["content-type"].startswith("text/plain")


async def test_attempts_of_the_driver_are_told_apart(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    run = execution()
    await stored.insert(run)
    assert "Attempts" not in await page(service, f"/applications/{run.id}")
    reports = [
        application_start(run.id, "spark-1"),
        job_end(run.id, 0, "spark-1"),
        application_start(run.id, "spark-2", start_time=START_MS + 60_000),
        *(job_end(run.id, job_id, "spark-2", start_seconds=90.0) for job_id in (0, 1)),
    ]
    for report in reports:
        assert (await service.post("/training/update_information", json=report)).status_code == 200
    first, second = driver_attempts(await stored.get(run.id), await stored.job_summaries(run.id))
    assert (first.application_id, first.jobs, second.application_id, second.jobs) == (
        "spark-1",
        1,
        "spark-2",
        2,
    )
    text = await page(service, f"/applications/{run.id}")
    assert re.search(r"1 spark-1 .* 1 .* replaced 2 spark-2 .* 2 .* in charge", text)
    assert "2 drivers of it have started: the runtime counts from the first start." in text
    await stored.record_state(run.id, ApplicationState.COMPLETED, fields={"end_time": second.last_job_at})
    text = await page(service, f"/applications/{run.id}")
    assert "the last" in text
    assert "met , 1 min 33 s" in text, "of the whole, and not of the second driver's 33 s"


async def test_what_is_not_known_of_an_end_is_said(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    run = execution()
    await stored.insert(run)
    for report in (application_start(run.id), job_end(run.id, 0, job_result="JobSucceeded")):
        assert (await service.post("/training/update_information", json=report)).status_code == 200
    await stored.record_state(run.id, ApplicationState.FAILED, "driver pod not found")
    text = await page(service, f"/applications/{run.id}")
    assert "by its last job" in text
    assert "the end of its last reported job stands for that" in text
    assert "All jobs that were reported have succeeded (1)." in text
    assert "Attempts" not in text
    late = job_end(run.id, 1, start_seconds=40.0, job_result="JobFailed")
    assert (await service.post("/training/update_information", json=late)).status_code == 200
    text = await page(service, f"/applications/{run.id}")
    assert "A driver of it has reported after the end" in text
    assert "1 failed 2021-07-04" in text


async def test_what_if_says_what_would_happen_or_be_refused(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Asked")
    await store_history(stored, algorithm)
    form = {
        "algorithm_name": algorithm,
        "main_application_file": __file__,
        "data_size_MB": "100",
        "min_scale_out": "1",
        "max_scale_out": "6",
        "max_runtime": "20",
        "experiment_name": "tests",
    }
    answer = await post(service, "/submit/what-if", **form)
    assert answer.status_code == 200
    assert "Would start with" in answer.text
    assert answer.text.count("<tr") == 7  # a head, and six candidates
    assert f"curl -X POST {service.base_url}/submission/submit" in unescape(answer.text)
    refused = await post(service, "/submit/what-if", **{**form, "max_runtime": "-3"})
    assert "This would be refused" in refused.text
    assert "max_runtime" in refused.text
    for odd in ({"executor_memory": "1k"}, {"cron": "61 * * * *", "schedule_name": "odd"}):
        refused = await post(service, "/submit/what-if", **{**form, **odd})
        assert "This would be refused" in refused.text, odd
        assert "Would start" not in refused.text
    before = await stored.count_states()
    kept = await post(service, "/submit", **{**form, "max_scale_out": "0"})
    assert kept.status_code == 422
    assert f'value="{algorithm}"' in kept.text
    assert await stored.count_states() == before


async def test_the_week_counts_targets_and_executor_hours(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Counted")
    await store_history(stored, algorithm)
    summary = (await service.get("/submission/applications/summary")).json()
    [mine] = [each for each in summary["algorithms"] if each["algorithm_name"] == algorithm]
    assert (mine["completed"], mine["targets_met"], mine["failed"], mine["compared"]) == (4, 4, 0, 0)
    # Each run: (2 s + 6 jobs of 6 / n s with 0.2 s between them) with n executors.
    expected = sum(n * (2 + 6 * 6 / n + 5 * 0.2) for n in (2, 3, 4, 6)) / 3600
    assert mine["executor_hours"] == pytest.approx(expected, rel=0.01)
    assert algorithm in await page(service, "/overview/week")


async def test_schedules_are_paused_run_and_deleted(service: httpx.AsyncClient) -> None:
    form = SCHEDULE
    nameless = await post(service, "/submit", **form)
    assert nameless.status_code == 422
    assert "needs a name" in nameless.text
    name = unique_name("yearly")
    created = await post(service, "/submit", **{**form, "schedule_name": name})
    assert created.status_code == 303, created.text
    assert created.headers["location"] == f"/ui/schedules/{name}"
    assert name in await page(service, "/schedules")
    assert (await post(service, f"/schedules/{name}/pause")).status_code == 303
    assert "Paused" in await page(service, f"/schedules/{name}")
    assert (await post(service, f"/schedules/{name}/resume")).status_code == 303
    assert "Paused" not in await page(service, f"/schedules/{name}")
    assert (await post(service, f"/schedules/{name}/burn")).status_code == 404
    assert (await post(service, f"/schedules/{name}/delete")).status_code == 303
    await page(service, f"/schedules/{name}", 404)


async def test_a_training_without_history_is_refused_in_words(service: httpx.AsyncClient) -> None:
    answer = await post(service, "/trainings", algorithm_name=unique_name("Unknown"))
    assert answer.status_code == 412
    assert "no finished run" in unescape(answer.text)


async def test_a_form_of_another_page_changes_nothing(service: httpx.AsyncClient) -> None:
    name = unique_name("kept")
    form = {**SCHEDULE, "schedule_name": name}
    for token in ("", "odd"):
        refused = await service.post("/ui/submit", data={**form, "csrf_token": token})
        assert refused.status_code == 403
        assert "load the page again" in refused.text
    await page(service, f"/schedules/{name}", 404)


async def test_jobs_of_every_driver_are_shown(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    run = execution()
    await stored.insert(run)
    for body in (
        application_start(run.id, "A"),
        job_end(run.id, 7, "A", job_result="JobFailed"),
        application_start(run.id, "B", start_time=START_MS + 60_000),
    ):
        await service.post("/training/update_information", json=body)
    text = await page(service, f"/applications/{run.id}")
    assert "None was reported yet of the driver in charge." in text
    assert re.search(r"Jobs of attempt 1 Job Started Took Executors Stages 7 failed", text)
    answer = await service.get(f"/ui/applications/{run.id}/jobs/7?application_id=A")
    assert "collectAsMap at kmeans.py:30" in answer.text
    plot = (await service.get(f"/ui/applications/{run.id}/plot")).json()
    assert [(other["application_id"], other["jobs"][1]) for other in plot["others"]] == [("A", [7.0])]
    found = await service.get(f"/submission/applications/{run.id}/jobs?application_id=A")
    assert [job["job_id"] for job in found.json()["items"]] == [7]
    assert (await service.get(f"/submission/applications/{run.id}/jobs")).json()["items"] == []
    drawn = await service.get(f"/submission/applications/{run.id}/picture.svg")
    assert "another driver" in drawn.text


async def test_trainings_keep_to_their_filter(service: httpx.AsyncClient, mongo: Client) -> None:
    algorithm = unique_name("Filtered")
    ended = [
        TrainingRun(
            id=unique_name("training"),
            system_name="spark",
            algorithm_name=algorithm,
            model_name="onlinepredictor",
            experiment_name="tests",
            trials_total=1,
            state=TrainingState.CANCELLED,
        ).to_mongo()
        for _ in range(31)
    ]
    await mongo[service.database]["training_run"].insert_many(ended)  # type: ignore[attr-defined]
    first = await service.get(f"/ui/trainings?algorithm_name={algorithm}")
    assert f'id="list" hx-get="/ui/trainings?algorithm_name={algorithm}"' in first.text
    [older] = re.findall(r'href="([^"]+)" rel="next"', first.text)
    second = await service.get(unescape(older))
    assert second.text.count('id="training-') == 1
    assert f'href="/ui/trainings?algorithm_name={algorithm}">Newest' in second.text


async def test_a_form_starts_one_training_and_keeps_what_is_refused(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Twice")
    shown = await service.get("/ui/trainings")
    [key] = re.findall(r'name="key" value="([^"]+)"', shown.text)
    refused = await post(service, "/trainings", algorithm_name=algorithm, trials="7", key=key)
    assert refused.status_code == 412
    assert f'value="{algorithm}"' in refused.text
    assert 'value="7"' in refused.text
    odd = await post(service, "/trainings", algorithm_name="../odd", trials="many")
    assert (odd.status_code, "<code>trials</code>: Write a whole number." in odd.text) == (422, True)
    await store_history(stored, algorithm)
    form = {"algorithm_name": algorithm, "trials": "1", "key": key}
    started = [await post(service, "/trainings", **form) for _ in range(2)]
    assert [each.headers["location"] for each in started] == [f"/ui/trainings/{key}"] * 2
    other = await post(service, "/trainings", **{**form, "trials": "2"})
    assert (other.status_code, "is of another request" in other.text) == (409, True)
    assert key not in other.text.partition('name="key"')[2].partition(">")[0], "it can be sent again"
    assert (await post(service, f"/trainings/{key}/cancel")).status_code == 303


async def test_a_key_that_stands_for_another_request_is_replaced(
    service: httpx.AsyncClient, mongo: Client
) -> None:
    key = unique_name("key")
    await mongo[service.database]["submission_key"].insert_one(  # type: ignore[attr-defined]
        {
            "_id": f"key/{key}",
            "fingerprint": "of something else",
            "application_execution_id": "another",
            "expires_at": utc_now() + timedelta(hours=1),
        }
    )
    typed = {name: text for name, text in SCHEDULE.items() if name != "cron"}
    refused = await post(service, "/submit", **typed, key=key)
    assert (refused.status_code, "was sent before" in refused.text) == (422, True)
    [again] = re.findall(r'name="key" value="([^"]+)"', refused.text)
    assert again != key
    wrong = await post(service, "/submit", **{**typed, "max_scale_out": "0"}, key=key)
    assert f'name="key" value="{key}"' in wrong.text, "nothing was sent with it"


async def test_every_filter_has_its_field(service: httpx.AsyncClient) -> None:
    filters = {
        "algorithm_name": "A",
        "schedule_name": "B",
        "submitted_by": "C",
        "experiment_name": "D",
        "solution_name": "E",
        "name": "F",
    }
    shown = await service.get("/ui/applications", params=filters)
    form = shown.text.partition('role="search"')[2].partition("</form>")[0]
    assert dict(re.findall(r'<input name="([^"]+)" value="([^"]*)"', form)) == filters
    fewer = await service.get("/ui/applications")
    assert 'name="experiment_name"' not in fewer.text


async def test_executor_hours_of_which_nothing_is_known_are_not_zero(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Unmeasured")
    run = execution(algorithm_name=algorithm)
    await stored.insert(run)
    await service.post("/training/update_information", json=application_start(run.id))
    await stored.record_state(run.id, ApplicationState.COMPLETED, fields={"end_time": at(30)})
    week = await service.get("/ui/overview/week")
    row = week.text.partition(f">{algorithm}</a>")[2].partition("</tr>")[0]
    assert re.findall(r'<td class="right">(.*?)</td>', row)[3] == "–"
    await store_history(stored, algorithm)
    week = await service.get("/ui/overview/week")
    row = week.text.partition(f">{algorithm}</a>")[2].partition("</tr>")[0]
    assert "of 4 runs" in row


async def test_what_failed_without_a_reason_is_a_sentence(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    algorithm = unique_name("Silent")
    run = execution(algorithm_name=algorithm)
    await stored.insert(run)
    await stored.record_state(run.id, ApplicationState.FAILED)
    assert f"{algorithm} failed. Look" in await page(service, "/overview/attention")


async def test_an_end_of_a_job_without_executors_is_not_none(
    service: httpx.AsyncClient, stored: ExecutionRepository
) -> None:
    run = execution()
    await stored.insert(run)
    report = job_end(run.id, 0)
    del report["updates"]["end_scale_out"]
    for each in report["updates"]["stages"].values():
        if each is not None:
            del each["end_scale_out"]
    for body in (application_start(run.id), report):
        assert (await service.post("/training/update_information", json=body)).status_code == 200
    assert "None" not in await page(service, f"/applications/{run.id}")
    assert "None" not in await page(service, f"/applications/{run.id}/jobs/0")


async def test_a_schedule_says_how_often_and_when(service: httpx.AsyncClient, mongo: Client) -> None:
    name = unique_name("yearly")
    await post(service, "/submit", **{**SCHEDULE, "schedule_name": name})
    said = {"fired": 1, "last_outcome": "2026-01-01T03:00:00+00:00: started one"}
    await mongo[service.database]["submission_schedule"].update_one({"_id": name}, {"$set": said})  # type: ignore[attr-defined]
    for address in (f"/schedules/{name}", "/schedules"):
        assert '<time datetime="2026-01-01T03:00:00+00:00"' in (await service.get(f"/ui{address}")).text
    assert "1 time " in await page(service, f"/schedules/{name}")


async def test_a_shadow_starts_as_requested(service: httpx.AsyncClient, stored: ExecutionRepository) -> None:
    algorithm = unique_name("Shadow")
    await store_history(stored, algorithm)
    form = {
        "algorithm_name": algorithm,
        "main_application_file": __file__,
        "data_size_MB": "100",
        "min_scale_out": "1",
        "max_scale_out": "6",
        "max_runtime": "12",
        "experiment_name": "tests",
    }
    chosen = await post(service, "/submit/what-if", **form)
    assert "Would start with 1 executor<" not in chosen.text
    others = '{"shadow": true, "worker_specs": {"scale_out": 1}}'
    shadow = await post(service, "/submit/what-if", **form, others=others)
    assert "<h2>Would start with 1 executor</h2>" in shadow.text
    assert "in shadow mode; it would start with" in shadow.text


async def test_all_versions_of_a_model_can_be_seen(model: Registered, service: httpx.AsyncClient) -> None:
    for _ in range(51):
        await model.registry.register(new_version(algorithm_name=model.algorithm_name), allowed)
    await model.registry.set_alias(model.name, "champion", 1, "for a test")
    first = await service.get(f"/ui{model.path}")
    assert "/versions/2/promote" in first.text
    assert '<tr class="chosen">' not in first.text
    [older] = re.findall(r'href="([^"]+)" rel="next"', first.text)
    second = await service.get(unescape(older))
    assert re.findall(r'<tr class="chosen"><th scope="row">(\d+)', second.text) == ["1"]
    assert "/versions/" not in second.text
    assert f'href="/ui{model.path}">Newest' in second.text
