"""What version 0.1 stored stays readable: documents, models and the figures that these forecast."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio
import torch
from bson import json_util

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.models.artifacts import identify
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import read_version
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from common.triggers import Every
from prediction.forecasts.forecast import ForecastRequest, forecast_with
from prediction.forecasts.whole_run import WholeRunRequest, answer_whole_run
from prediction.kinds.registry import model_kinds
from submission.idempotency import SubmissionLedger
from submission.schedules import SubmissionSchedules
from tests.support.samples import job_end, specs
from tests.support.services import service_in_process
from tests.support.synthetic import CONTEXT, first_jobs, make_run
from training.history.digests import RunDigests
from training.runs.documents import TrainingState
from training.runs.repository import TrainingRunRepository
from training.runs.schedules import PeriodicTrainings
from training.runtime_model.artifact import TrainedModel

STORED = Path(__file__).parent / "fixtures" / "version_0_1"
FIGURES = json.loads((STORED / "figures.json").read_text())
MODEL = "spark.KMeans.onlinepredictor"
CANDIDATES = (2, 3, 4, 6, 9)
KEY = "of-version-0-1"


def documents(collection: str) -> list[dict[str, Any]]:
    lines = (STORED / "documents" / f"{collection}.jsonl").read_text().splitlines()
    return [json_util.loads(line) for line in lines]


COLLECTIONS = {file.stem: documents(file.stem) for file in sorted((STORED / "documents").glob("*.jsonl"))}


def of_state(state: str) -> str:
    return next(each["_id"] for each in COLLECTIONS["application_execution"] if each["state"] == state)


async def insert(mongo: Client, database: str) -> None:
    for name, stored in COLLECTIONS.items():
        await mongo[database][name].insert_many(stored)


@pytest.fixture
async def stored(mongo: Client, database: str, executions: ExecutionRepository) -> ExecutionRepository:
    """The database, which is dropped afterwards."""
    await insert(mongo, database)
    return executions


@pytest_asyncio.fixture(scope="module")
async def later(
    mongo: Client, mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Any]:
    """A service of today on what is stored; nothing of it is due or waits for a training."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(STORED / "models", folder / "models")
    async with service_in_process(mongo_uri, folder) as client:
        database = mongo[client.database]  # type: ignore[attr-defined]
        for name, stored in COLLECTIONS.items():
            if name == "submission_schedule":
                moved = {"next_fire_at": utc_now() + timedelta(days=365)}
                stored = [{**each, **moved} for each in stored]
            await database[name].insert_many([each for each in stored if each.get("state") != "QUEUED"])
        yield client


async def answered(service: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await service.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def model_files() -> dict[str, bytes]:
    [version] = COLLECTIONS["model_version"]
    folder = STORED / "models" / version["artifact_key"]
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "figures",
    FIGURES["forecasts"],
    ids=lambda f: f"{f['finished_jobs']} jobs, tuned {f['fine_tune']}, network {f['gate_opened']}",
)
def test_the_model_forecasts_what_it_did(model_files: dict[str, bytes], figures: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    model = TrainedModel.from_files(model_files)
    if figures["gate_opened"]:
        gate = torch.full_like(model.weights["gate"], 0.5)
        model = replace(model, weights={**model.weights, "gate": gate})
    finished = figures["finished_jobs"]
    run = first_jobs(make_run(20, 3, jobs=6, factor=2.1), finished)
    request = ForecastRequest({}, "", run, finished - 1, 3, CANDIDATES, figures["fine_tune"])
    found = forecast_with(model, request)
    assert list(found.job_ids) == figures["job_ids"]
    # The network computes in single precision, whose last digits differ between processors.
    tolerance = 1e-5 if figures["gate_opened"] else 1e-9
    for row, expected in zip(found.remaining_seconds, figures["remaining_seconds"], strict=True):
        assert row == pytest.approx(expected, rel=tolerance)
    for stds, expected in zip(found.predictive_stds, figures["stds"], strict=True):
        assert tuple(stds) == pytest.approx(expected, rel=tolerance)


def test_the_model_forecasts_whole_runs_as_it_did(model_files: dict[str, bytes]) -> None:
    found = answer_whole_run(WholeRunRequest((), CONTEXT, CANDIDATES, model_files, "version-0-1"))
    rows = [[c.scale_out, c.remaining_seconds, c.log_std, c.early_log_std] for c in found.choices(100.0)]
    for row, expected in zip(rows, FIGURES["whole_run"], strict=True):
        assert row == pytest.approx(expected, rel=1e-9)


def test_the_model_knows_what_it_knew(model_files: dict[str, bytes]) -> None:
    model = TrainedModel.from_files(model_files)
    assert list(model.calibration.change_point) == pytest.approx(FIGURES["change_point"], rel=1e-9)
    assert model.trust.share == FIGURES["similar_runs_share"]
    assert list(model.trust.log_error_stds) == FIGURES["log_error_stds"]
    assert model.network_serves is FIGURES["network_serves"]
    assert model.left_out is not None


def test_the_model_is_stored_as_it_was(model_files: dict[str, bytes]) -> None:
    """Version 0.1 reads what is written today."""
    written = TrainedModel.from_files(model_files).to_files()
    assert json.loads(written["model.json"]) == json.loads(model_files["model.json"])
    assert written["weights.safetensors"] == model_files["weights.safetensors"]


async def test_the_registry_knows_the_version(
    stored: ExecutionRepository, registry: ModelRegistry, tmp_path: Path
) -> None:
    shutil.copytree(STORED / "models", tmp_path / "models")
    store = FolderStore(tmp_path / "models")
    await identify(store)
    version = await registry.find_champion(MODEL)
    assert version is not None
    assert version.store == store.identity
    assert version.promotion is not None
    assert version.promotion.moments == 0
    assert set(await read_version(store, version)) == {"model.json", "weights.safetensors"}


async def test_the_model_serves_over_http(later: httpx.AsyncClient) -> None:
    [summary] = (await answered(later, "/models"))["items"]
    assert (summary["name"], summary["champion"], summary["latest_version"]) == (MODEL, 1, 1)
    shown = await answered(later, f"/models/{MODEL}")
    assert [change["version"] for change in shown["alias_changes"]] == [1]
    [version] = (await answered(later, f"/models/{MODEL}/versions"))["items"]
    assert (version["state"], version["promotion"]["promoted"]) == ("READY", True)
    verified = await later.post(f"/models/{MODEL}/versions/1/verify")
    assert (verified.status_code, verified.json()["state"]) == (200, "READY")
    assert (await answered(later, "/prediction/preload/KMeans"))["version"] == 1
    assert (await answered(later, f"/models/{MODEL}"))["cached_here"]


async def test_a_run_that_was_going_on_is_answered_by_the_model(later: httpx.AsyncClient) -> None:
    """The next job of an application that version 0.1 had submitted."""
    waiting = of_state("PENDING")
    body = job_end(waiting, 0)
    answer = await later.post("/prediction/online_scale_out_prediction", json={**body, "predict": True})
    assert answer.status_code == 200, answer.text
    first, latest = (await answered(later, f"/submission/applications/{waiting}/decisions"))["items"]
    assert (first["job_id"], latest["job_id"]) == (-1, 0)
    assert latest["model_key"] == f"{MODEL}/1"
    assert_full(latest["candidates"])


# --- executions -----------------------------------------------------------------------------------


def assert_full(candidates: list[dict[str, Any]]) -> None:
    assert [each["scale_out"] for each in candidates] == list(range(1, 9))
    for each in candidates:
        assert 0 < each["lower_seconds"] < each["remaining_seconds"] < each["upper_seconds"]
        assert 0 <= each["probability"] <= 1


async def test_every_execution_and_job_is_read(stored: ExecutionRepository) -> None:
    newest = await stored.newest(limit=100)
    assert not newest.unreadable
    assert {each.id for each in newest} == {each["_id"] for each in COLLECTIONS["application_execution"]}
    for execution in newest:
        assert bool((await stored.get(execution.id)).manifests) == bool(execution.runner)
        jobs = await stored.finished_jobs(execution.id)
        summaries = await stored.job_summaries(execution.id, execution.application_id)
        assert not jobs.unreadable + summaries.unreadable
        assert [job.job_id for job in jobs] == [job.job_id for job in summaries]
    assert sum(stage is None for job in jobs for stage in job.stages.values()) == len(jobs)
    killed = await stored.get(of_state("KILLED"))
    assert killed.kill_requested_by == "127.0.0.1"
    assert killed.kill_requested_at is not None
    assert [change.state for change in killed.state_changes][-1] is ApplicationState.KILLED
    runs = await stored.finished_runs("spark", "KMeans", 10)
    assert [len(jobs) for _, jobs in runs] == [6, 6, 2]


async def test_a_first_choice_without_deviations_keeps_its_interval(stored: ExecutionRepository) -> None:
    waiting = of_state("PENDING")
    [before] = [
        each for each in COLLECTIONS["scaling_decision"] if each["application_execution_id"] == waiting
    ]
    first = await stored.find_first_decision(waiting)
    assert first is not None
    for candidate, old in zip(first.candidates, before["candidates"], strict=True):
        assert candidate.log_std is None
        fields = ("scale_out", "remaining_seconds", "lower_seconds", "upper_seconds", "probability")
        assert {name: getattr(candidate, name) for name in fields} == {name: old[name] for name in fields}


async def test_applications_are_shown(later: httpx.AsyncClient) -> None:
    page = await answered(later, "/submission/applications", limit=100)
    assert page["unreadable"] == []
    assert len(page["items"]) == len(COLLECTIONS["application_execution"])
    for item in page["items"]:
        shown = await answered(later, f"/submission/applications/{item['_id']}")
        assert shown["state"] == item["state"]
        decisions = await answered(later, f"/submission/applications/{item['_id']}/decisions")
        assert len(decisions["items"]) == len(shown["decisions"])
        for decision in decisions["items"]:
            assert_full(decision["candidates"])
        picture = await later.get(f"/submission/applications/{item['_id']}/picture.svg")
        assert picture.status_code == 200
        assert ElementTree.fromstring(picture.text).tag.endswith("svg")


# --- submissions and trainings --------------------------------------------------------------------


async def test_a_key_and_a_name_still_stand_for_their_applications(later: httpx.AsyncClient) -> None:
    for name, key, state in (("nightly-report", KEY, "COMPLETED"), ("waiting-report", None, "PENDING")):
        body = {**specs(max_runtime=16.0), "name": name}
        headers = {"Idempotency-Key": key} if key else {}
        answer = await later.post("/submission/submit", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Idempotent-Replayed"] == "true"
        execution = next(each for each in COLLECTIONS["application_execution"] if each["name"] == name)
        assert execution["state"] == state
        assert answer.json()["db_entry"]["_id"] == execution["_id"]


async def test_answers_are_read(stored: ExecutionRepository, mongo: Client, database: str) -> None:
    ledger = SubmissionLedger(mongo, database, stored, key_seconds=3600)
    for old in COLLECTIONS["submission_answer"]:
        answer = await ledger.find_answer(old["_id"])
        assert answer is not None
        assert (answer.fingerprint, answer.response) == (old["fingerprint"], old["response"])


async def test_schedules_are_read(
    stored: ExecutionRepository, registry: ModelRegistry, mongo: Client, database: str
) -> None:
    submissions: Any = None
    schedules = await SubmissionSchedules(mongo, database, stored, submissions).all()
    assert not schedules.unreadable
    assert {each.id: (each.paused, each.fired, each.concurrency_policy) for each in schedules} == {
        "nightly": (False, 1, "allow"),
        "paused": (True, 0, "forbid"),
    }
    assert {each.trigger().time_zone for each in schedules} == {"Europe/Berlin"}
    periodic = PeriodicTrainings(
        mongo,
        database,
        TrainingRunRepository(mongo, database),
        stored,
        RunDigests(mongo, database, stored),
        registry,
        every_algorithm=Every.parse("24h"),
        by_algorithm={},
        kinds=model_kinds(stored, TrainingSettings()),
        trials=2,
    )
    [schedule] = await periodic.schedules()
    assert (schedule.fired, schedule.trigger) == (1, "every 24h")
    assert "was queued" in schedule.last_outcome


async def test_schedules_and_trainings_are_shown(later: httpx.AsyncClient) -> None:
    shown = await answered(later, "/submission/schedules")
    assert sorted(each["name"] for each in shown["items"]) == ["nightly", "paused"]
    page = await answered(later, "/training/runs")
    assert sorted(each["state"] for each in page["items"]) == ["FAILED", "SUCCEEDED"]
    for item in page["items"]:
        shown = await answered(later, f"/training/runs/{item['id']}")
        assert shown["log"]
        assert (shown["result"] is None) == (item["state"] == "FAILED")


async def test_a_queued_training_is_taken_up(
    stored: ExecutionRepository, mongo: Client, database: str
) -> None:
    runs = TrainingRunRepository(mongo, database)
    newest = await runs.newest()
    assert not newest.unreadable
    succeeded = next(run for run in newest if run.state is TrainingState.SUCCEEDED)
    assert succeeded.result is not None
    assert (succeeded.result.model, succeeded.result.version) == (MODEL, 1)
    assert await runs.has_unfinished("spark", "KMeans")
    claimed = await runs.claim("somebody")
    assert claimed is not None
    assert (claimed.trigger, claimed.attempts) == ("every 24h", 1)
