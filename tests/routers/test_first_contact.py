"""What a newcomer meets: examples that work, refusals that say what to write, answers that say what next."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.group import PROJECT_ROOT
from common.wire.events import UpdateInformation
from prediction.inference.records.documents import PredictionRecord
from prediction.inference.records.repository import PredictionRepository
from routers.schemas.examples import EXECUTION_ID, PREDICTION_ID
from tests.support.answers import is_problem
from tests.support.finished_runs import store_history
from tests.support.programs import ProgramClient
from tests.support.samples import application_start, execution, specs, unique_name
from tests.support.served_model import Registered

METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture
def executions(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


async def operations(service: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of everything in OpenAPI."""
    paths = (await service.get("/openapi.json")).json()["paths"]
    return [
        (method, path, about)
        for path, methods in paths.items()
        for method, about in methods.items()
        if method in METHODS
    ]


def examples(about: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for content in about["requestBody"]["content"].values():
        for name, example in content.get("examples", {}).items():
            yield name, example["value"]


async def test_every_example_is_accepted(
    service: httpx.AsyncClient, mongo: Client, executions: ExecutionRepository, model: Registered
) -> None:
    files = {
        "train.py": "",
        "digits/train.py": "",
        "pipeline.yaml": "steps: {training: {file: train.py}}",
        "digits/pipeline.yaml": "steps: {training: {file: train.py}}",
        "exported/predict.py": "def predict(inputs):\n    return 1\n",
        "questions.jsonl": '{"age": 41}\n',
    }
    await ProgramClient(service).put("team-a", files)
    program = await ProgramClient(service).start("team-a")
    snapshot_id = program["snapshot_id"]
    await executions.insert(
        ApplicationExecution(
            id=EXECUTION_ID, snapshot_id=snapshot_id, program={"workspace": "team-a"}, **specs()
        )
    )
    assert (await service.post(f"/training/program_runs/{EXECUTION_ID}/start")).is_success
    await executions.apply_event(
        EXECUTION_ID, UpdateInformation.model_validate(application_start(EXECUTION_ID, "spark-3f2a")).event()
    )
    exported = "exported/predict.py"
    await ProgramClient(service).put("digits", {exported: files[exported]})
    for workspace in ("team-a", "digits"):  # of one model: where several are served, one has to be named
        said = {"model": "cats", "folder": "exported"}
        assert (await service.post(f"/workspaces/{workspace}/versions", json=said)).is_success
    records = PredictionRepository(mongo, service.database)  # type: ignore[attr-defined]
    await records.insert([PredictionRecord(id=PREDICTION_ID, model="spark.cats.program", version=1)])
    await store_history(executions, "KMeans")
    await model.publish(algorithm_name="KMeans")
    known = {
        "{name}": {"/models": "spark.KMeans.onlinepredictor"},
        "{alias}": {"": "champion"},
        "{workspace}": {"": "team-a"},
        "{user}": {"": "team-a"},
        "{model}": {"": "cats"},
        "{version}": {"": "2"},
        "{application_execution_id}": {"": EXECUTION_ID},
    }
    posted = []
    for method, path, about in await operations(service):
        if "application/json" not in about.get("requestBody", {}).get("content", {}):
            continue  # none, or a file
        found = list(examples(about))
        assert found, f"{method} {path} has a body and no example"
        address = path
        for parameter, values in known.items():
            value = next((value for start, value in values.items() if path.startswith(start)), "nightly")
            address = address.replace(parameter, value)
        query = {"dry_run": True} if path == "/submission/submit" else {}
        for name, example in found:
            answer = await service.request(method, address, json=example, params=query)
            if path == "/access/session":
                assert answer.status_code == 409  # nobody has to log in here, and a real token is no example
                continue
            assert answer.is_success, (method, path, name, answer.text)
            posted.append(path)
            if training := answer.json().get("training_id"):
                await service.post(f"/training/runs/{training}/cancel")
    assert {"/submission/submit", "/submission/schedules", "/training/trigger_model_training"} <= set(posted)


async def test_operation_ids_are_names_of_functions(service: httpx.AsyncClient) -> None:
    ids = [about["operationId"] for _, _, about in await operations(service)]
    assert len(set(ids)) == len(ids)
    assert {"submit", "list_applications", "trigger_model_training", "set_alias", "healthz"} <= set(ids)
    assert all(re.fullmatch(r"[a-z_]+", each) for each in ids)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_forgotten_content_type_is_named(
    service: httpx.AsyncClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path in ("/submission/submit", "/training/trigger_model_training"):
        answer = await service.post(path, content=b'{"a": 1}', headers=headers)
        assert "Content-Type: application/json" in is_problem(answer, 415)["detail"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"global_specs": {"algorithm_name": "a/b"}}, "such as KMeans"),
    ({"global_specs": {"algorithm_name": ""}}, "at least 1 character"),
    ({"worker_specs": {"memory": "lots"}}, "write a whole size such as 512m, 2g or 1Gi"),
    ({"name": "-a"}, "begins with a letter or digit"),
    ({"spark_template_values": {"labels": {"team!": "x"}}}, "write a label's key"),
    ({"spark_template_values": {"labels": {"team": "x y"}}}, "write a label's value"),
    ({"spark_template_values": {"driver": {"env": [{"name": "1", "value": ""}]}}}, "such as DATA_PATH"),
    ({"spark_template_values": {"driver": {"service_account": "A_B"}}}, "such as spark-driver"),
    ({"spark_template_values": {"executor": {"core_request": "many"}}}, "such as 2, 0.5 or 500m"),
    ({"spark_template_values": {"image": "a\nb"}}, "without line breaks"),
]


@pytest.mark.parametrize(("change", "write"), REFUSED)
async def test_refusals_say_what_to_write(
    service: httpx.AsyncClient, change: dict[str, Any], write: str
) -> None:
    body = specs()
    for part, values in change.items():
        body[part] = {**body[part], **values} if isinstance(values, dict) else values
    detail = is_problem(await service.post("/submission/submit?dry_run=true", json=body), 422)["detail"]
    assert write in detail
    assert "pattern" not in detail
    assert "^" not in detail


async def test_so_do_those_of_headers_and_paths(service: httpx.AsyncClient, model: Registered) -> None:
    key = {"Idempotency-Key": "two words"}
    answer = await service.post("/submission/submit?dry_run=true", json=specs(), headers=key)
    assert "write visible ASCII characters" in is_problem(answer, 422)["detail"]
    answer = await service.put(f"{model.path}/aliases/No!", json={"version": 1})
    assert "such as champion" in is_problem(answer, 422)["detail"]


def test_no_form_is_checked_without_saying_what_to_write() -> None:
    """`common.forms.Form` says it; pydantic's own `pattern=` quotes the regular expression."""
    stored = PROJECT_ROOT / "common" / "executions" / "documents.py"
    quoting = [
        str(file)
        for package in ("app", "common", "prediction", "routers", "submission", "training")
        for file in (PROJECT_ROOT / package).rglob("*.py")
        if file != stored and re.search(r"\bpattern=r?f?[\"']", Path(file).read_text())
    ]
    assert not quoting


async def test_macros_and_zones_of_schedules(service: httpx.AsyncClient) -> None:
    body = {"name": unique_name("daily"), "cron": "@daily", "submission": specs()}
    created = await service.post("/submission/schedules", json=body)
    assert created.status_code == 201, created.text
    assert created.json()["next_fire_at"].endswith("T00:00:00Z")
    path = f"/submission/schedules/{body['name']}"
    for expression, words in (
        ("0 3 1-7 * 1", "At 03:00 on every day of month from 1 through 7 and on Monday"),
        ("0 3 */2 * 1", "At 03:00 on every second day of month if it's on Monday"),
    ):
        changed = await service.put(path, json={**body, "cron": expression})
        for told in (changed.json(), (await service.get(path)).json()):
            due = [datetime.fromisoformat(time) for time in told["next_due_times"]]
            assert len(due) == 5
            assert due == sorted(set(due))
            assert told["next_due_times"][0] == told["next_fire_at"]
            assert told["recurs"] == words
            assert not told.get("warnings")
        # all that was shown may be sent again
        again = await service.put(path, json={**changed.json(), "submission": specs()})
        assert again.json()["warnings"] == []
    paused = await service.post(f"{path}/pause")
    assert paused.json()["paused"]
    assert (await service.get(path)).json()["next_due_times"] == []
    zone = await service.post("/submission/schedules", json={**body, "time_zone": "utc"})
    assert "write UTC" in is_problem(zone, 422)["detail"]
    reboot = await service.post("/submission/schedules", json={**body, "cron": "@reboot"})
    assert "such as 30 2 * * 1-5" in is_problem(reboot, 422)["detail"]
    await service.delete(f"/submission/schedules/{body['name']}")


async def test_a_training_needs_the_algorithm_alone(service: httpx.AsyncClient) -> None:
    answer = await service.post(
        "/training/trigger_model_training", json={"algorithm_name": unique_name("New")}
    )
    assert is_problem(answer, 412)["title"] == "No history to learn from"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/submission/applications?algorithm_name=None", "leave filters out"),
        ("/submission/schedules", "POST /submission/schedules"),
        ("/training/runs?algorithm_name=None", "POST /training/trigger_model_training"),
        ("/training/schedules", "TRAINING_INTERVAL"),
        ("/models?algorithm_name=None", "POST /training/trigger_model_training"),
    ],
)
async def test_an_empty_list_says_what_fills_it(service: httpx.AsyncClient, path: str, what: str) -> None:
    for schedule in (await service.get("/submission/schedules")).json()["items"]:
        await service.delete(f"/submission/schedules/{schedule['name']}")
    page = (await service.get(path)).json()
    assert page["items"] == []
    assert what in page["hint"]


async def test_so_do_parts_of_an_application_and_of_a_model(
    service: httpx.AsyncClient, mongo: Client, executions: ExecutionRepository, model: Registered
) -> None:
    run = execution()
    await executions.insert(run)
    for part, what in (("jobs", "plugin"), ("decisions", "at submission")):
        assert what in (await service.get(f"/submission/applications/{run.id}/{part}")).json()["hint"]
    await model.publish()
    page = (await service.get(f"{model.path}/versions")).json()
    assert (len(page["items"]), page["hint"]) == (1, None)


async def test_a_missed_target_without_a_model_says_how_to_get_one(
    service: httpx.AsyncClient, executions: ExecutionRepository
) -> None:
    run = execution(max_runtime=1.0)
    await executions.insert(run)
    await executions.apply_event(run.id, UpdateInformation.model_validate(application_start(run.id)).event())
    before = (await service.get(f"/submission/applications/{run.id}")).json()
    assert before["hint"] is None
    await executions.record_state(run.id, ApplicationState.COMPLETED, fields={"end_time": run.created_at})
    after = (await service.get(f"/submission/applications/{run.id}")).json()
    assert after["target_met"] is False
    assert "enel train KMeans" in after["hint"]


async def test_a_submission_puts_first_what_is_needed_next(service: httpx.AsyncClient) -> None:
    answer = await service.post("/submission/submit?dry_run=true", json=specs())
    assert list(answer.json())[:3] == ["id", "state", "links"]
    assert "location" not in answer.headers
