"""The page with programs over HTTP: what it offers, what is refused beside its field, who may do what."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.dashboard.programs.form import DEFAULTS, parameters_of, request_of, typed_for
from app.dashboard.programs.place import Shelf
from app.dashboard.programs.runs import curves_of
from app.dashboard.submission_form import FormError
from common.auth import Role
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.workspaces.documents import WorkspaceFile
from submission.pipelines.repository import PipelineRepository
from submission.programs.documents import CurvePoint, Output, OutputFile, ProgramRun
from submission.programs.repository import ProgramRunRepository
from tests.support.pipelines import pipeline_run
from tests.support.samples import unique_name
from tests.support.tokens import Guarded, guarded_service

PIPELINE = "parameters: {size: 3}\nsteps:\n  one: {file: train.py}\n  two: {file: train.py, needs: [one]}\n"


def text_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"].startswith("text/html")
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


async def post(client: httpx.AsyncClient, path: str, **typed: str) -> httpx.Response:
    """Send a form as the browser does that was shown it."""
    shown = await client.get("/ui/login")
    [token] = re.findall(r'name="csrf_token" value="([^"]+)"', shown.text)[-1:]
    return await client.post(f"/ui{path}", data={"csrf_token": token, **typed})


@pytest_asyncio.fixture
async def workspace(service: httpx.AsyncClient) -> str:
    """With a program, one in a folder, and a pipeline."""
    name = unique_name("page").replace("_", "-").lower()
    assert (await post(service, "/training/workspaces", name=name)).status_code == 303
    files = {
        "train.py": b"print(1)",
        "digits/<learn>.py": b"",
        "data.csv": b"1",
        "pipeline.yaml": PIPELINE.encode(),
    }
    for path, content in files.items():
        answer = await service.put(f"/workspaces/{name}/files/{path}", content=content)
        assert answer.is_success, answer.text
    return name


@pytest.fixture
def stored(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
def heard(service: httpx.AsyncClient, mongo: Client) -> ProgramRunRepository:
    return ProgramRunRepository(mongo, service.database)  # type: ignore[attr-defined]


def run_of(workspace: str, **typed: str) -> ApplicationExecution:
    """A run that was never handed to anybody."""
    submission = request_of({**DEFAULTS, "file": "train.py", "folder": ".", **typed}, workspace).submission(
        workspace
    )
    fields = submission.model_dump(include={"global_specs", "optional_specs", "master_specs", "worker_specs"})
    return ApplicationExecution(
        id=unique_name("run"), runner="another", program=submission.program, snapshot_id="0" * 64, **fields
    )


async def test_browsers_are_led_there(service: httpx.AsyncClient) -> None:
    led = await service.get("/training?workspace=x", headers={"Accept": "text/html,*/*"})
    assert (led.status_code, led.headers["location"]) == (307, "/ui/training?workspace=x")
    program = await service.get("/training", headers={"Accept": "application/json"})
    assert (program.status_code, program.headers["content-type"]) == (404, "application/problem+json")
    page = await service.get("/training", headers={"Accept": "text/html"}, follow_redirects=True)
    assert "Training programs" in page.text
    assert re.search(r'href="/ui/training" aria-current="page">Programs', page.text)
    assert 'href="/ui/trainings">' in page.text


async def test_a_workspace_is_made_and_shown(service: httpx.AsyncClient, workspace: str) -> None:
    answer = await service.get(f"/ui/training?workspace={workspace}")
    text = text_of(answer)
    assert "4 files" in text
    assert "No program of this workspace has run yet" in text
    assert "one → two" in text
    assert "<option selected>train.py</option>" in answer.text
    assert "&lt;learn&gt;" in answer.text
    assert "<learn>" not in answer.text
    folder = await service.get(f"/ui/training?workspace={workspace}&folder=digits")
    assert "<option selected>&lt;learn&gt;.py</option>" in folder.text
    kept = await service.get(f"/ui/training?workspace={workspace}&folder=.&file=digits/%3Clearn%3E.py")
    assert "<option selected>digits/&lt;learn&gt;.py</option>" in kept.text
    refused = await post(service, "/training/workspaces", name="No Name")
    assert refused.status_code == 422
    assert 'value="No Name"' in refused.text
    assert "lower-case letters" in text_of(refused)
    assert (await service.get("/ui/training?workspace=nobody")).status_code == 404
    assert (await service.get("/ui/training?run=nobody")).status_code == 404


async def test_what_is_wrong_stands_beside_its_field(
    service: httpx.AsyncClient, workspace: str, stored: ExecutionRepository
) -> None:
    form = {**DEFAULTS, "workspace": workspace, "folder": ".", "file": "train.py"}
    before = await stored.count_states()
    for typed, field in (
        ({"arguments": "it's"}, "arguments"),
        ({"runtime_target_seconds": "-1"}, "runtime_target_seconds"),
        ({"max_scale_out": "many"}, "max_scale_out"),
        ({"file": "missing.py"}, "file"),
        ({"output": "burnt"}, "output"),
    ):
        kept = await post(service, "/training", **{**form, **typed})
        assert kept.status_code == 422, typed
        assert "It was not started" in kept.text
        assert re.search(rf'<span class="note bad" id="{field}-note">', kept.text), field
        assert not re.search(r'<span class="note" id="arguments-note">', kept.text) or field != "arguments"
    assert (await post(service, "/training", **{**form, "folder": "nowhere"})).status_code == 404
    assert await stored.count_states() == before


async def test_arguments_are_shown_as_they_will_be(service: httpx.AsyncClient, workspace: str) -> None:
    form = {**DEFAULTS, "workspace": workspace, "folder": ".", "file": "train.py"}
    shown = await post(service, "/training/check", **{**form, "arguments": "--name '<b>two words</b>' 3"})
    assert re.findall(r"<code>(.*?)</code>", shown.text) == ["--name", "&lt;b&gt;two words&lt;/b&gt;", "3"]
    assert "no arguments" in (await post(service, "/training/check", **form)).text
    for typed in ({"arguments": "it's"}, {"min_scale_out": "9"}):
        assert "This would be refused" in (await post(service, "/training/check", **{**form, **typed})).text


async def test_a_run(
    service: httpx.AsyncClient, workspace: str, stored: ExecutionRepository, heard: ProgramRunRepository
) -> None:
    run = run_of(workspace, arguments="--epochs 3", gate_metric="accuracy")
    await stored.insert(run)
    address = f"/ui/training?workspace={workspace}&run={run.id}"
    text = text_of(await service.get(address))
    assert "It begins when the program does" in text
    assert 'value="--epochs 3"' in (await service.get(address)).text
    assert 'hx-trigger="every 2s"' in (await service.get(address)).text

    await heard.start(run.id, workspace, None)
    said = await heard.find(run.id)
    assert said is not None
    points = [CurvePoint(at=utc_now(), step=step, metrics={"loss": 1 / step}) for step in (1.0, 2.0)]
    await heard.change(
        said,
        {
            "progress": 0.25,
            "message": "<script>epoch</script>",
            "metrics": {"loss": 0.5},
            "curve": [point.model_dump() for point in points],
            "silent_seconds": 5000.0,
        },
    )
    await stored.record_state(run.id, ApplicationState.RUNNING)
    part = await service.get(f"/ui/training/runs/{run.id}", headers={"HX-Request": "true"})
    assert part.text.lstrip().startswith('<section id="run"')
    for shown in (
        'value="0.25"',
        "25%",
        "&lt;script&gt;",
        "Silent",
        f"/applications/{run.id}/logs?follow=true",
    ):
        assert shown in part.text, shown
    plot = (await service.get(f"/ui/training/runs/{run.id}/plot")).json()
    assert plot == {"by": "step", "metrics": [{"name": "loss", "columns": [[1, 2], [1, 0.5]]}]}
    led = await service.get(f"/ui/training/runs/{run.id}")
    assert led.headers["location"] == f"/ui/training?workspace={workspace}&run={run.id}"

    await heard.describe_output(
        said, Output(files=[OutputFile(path="a/<b>.bin", size_bytes=2048, sha256="0" * 64)])
    )
    await heard.complete_output(said, unpublished=False)
    await heard.settle(said, detail="no version: <i>why</i>")
    await stored.record_state(run.id, ApplicationState.COMPLETED)
    ended = await service.get(address)
    assert "every 2s" not in ended.text
    assert f'href="/training/program_runs/{run.id}/output/a/%3Cb%3E.bin" download' in ended.text
    assert "2 KiB" in text_of(ended)
    assert "<i>why" not in ended.text
    assert f"/workspaces/{workspace}/snapshots/{'0' * 64}/archive" in ended.text
    listed = await service.get(f"/ui/training/history?workspace={workspace}", headers={"HX-Request": "true"})
    assert f'id="program-{run.id}"' in listed.text


async def test_history_is_paged(
    service: httpx.AsyncClient, workspace: str, stored: ExecutionRepository
) -> None:
    runs = [run_of(workspace) for _ in range(17)]
    for number, run in enumerate(runs):
        run.created_at += timedelta(seconds=number)
        await stored.insert(run)
    first = await service.get(f"/ui/training?workspace={workspace}")
    shown = re.findall(r'id="program-([^"]+)"', first.text)
    assert shown == [run.id for run in reversed(runs)][:15]
    [older] = re.findall(r'href="([^"]+)" rel="next"', first.text)
    second = await service.get(unescape(older))
    assert re.findall(r'id="program-([^"]+)"', second.text) == [run.id for run in reversed(runs)][15:]
    assert "every 3s" not in second.text.partition('id="history"')[2].partition(">")[0]


async def test_a_pipeline(
    service: httpx.AsyncClient, workspace: str, stored: ExecutionRepository, mongo: Client
) -> None:
    run = run_of(workspace)
    await stored.insert(run)
    pipeline = pipeline_run(run.id)
    pipeline.workspace = workspace
    pipelines = PipelineRepository(mongo, service.database)  # type: ignore[attr-defined]
    await pipelines.insert(pipeline)
    shown = await service.get(f"/ui/training?workspace={workspace}&pipeline={pipeline.id}")
    for step in pipeline.steps:
        assert f'id="step-{step.name}"' in shown.text
    part = await service.get(f"/ui/training/pipelines/{pipeline.id}", headers={"HX-Request": "true"})
    assert part.text.lstrip().startswith('<section id="pipeline"')
    odd = await post(
        service, "/training/pipelines", workspace=workspace, folder=".", **{"parameter.size": "x"}
    )
    assert odd.status_code == 422
    assert 'id="parameter.size-note">Write a number' in odd.text
    assert 'value="x"' in odd.text
    started = await post(service, "/training/pipelines", workspace=workspace, folder=".", key="a/b?c")
    assert started.status_code == 303, started.text
    run_id = started.headers["location"].rpartition("=")[2]
    assert (await service.get(f"/training/pipelines/{run_id}")).json()["id"] == run_id
    again = await post(service, "/training/pipelines", workspace=workspace, folder=".", key="a/b?c")
    assert again.headers["location"] == started.headers["location"]
    assert (await post(service, f"/training/pipelines/{run_id}/cancel")).status_code == 303


async def test_the_page_of_its_application_leads_back(
    service: httpx.AsyncClient, workspace: str, stored: ExecutionRepository
) -> None:
    run = run_of(workspace)
    await stored.insert(run)
    shown = await service.get(f"/ui/applications/{run.id}")
    assert f'href="/ui/training?workspace={workspace}&amp;run={run.id}"' in shown.text
    assert "/submit?from=" not in shown.text


async def test_a_second_click_on_run_now_starts_nothing(service: httpx.AsyncClient, workspace: str) -> None:
    name = unique_name("schedule")
    submission = request_of({**DEFAULTS, "file": "train.py", "folder": "."}, workspace).submission(workspace)
    body = {
        "name": name,
        "cron": "0 3 1 1 *",
        "submission": submission.model_dump(mode="json", exclude_none=True),
    }
    made = await service.post("/submission/schedules", json=body)
    assert made.status_code == 201, made.text
    for address in (f"/ui/schedules/{name}", "/ui/schedules"):
        shown = await service.get(address)
        form = shown.text.partition(f'action="/ui/schedules/{name}/run"')[2].partition("</form>")[0]
        [key] = re.findall(r'name="key" value="([^"]+)"', form)
        clicked = [await post(service, f"/schedules/{name}/run", key=key) for _ in range(2)]
        [place] = {each.headers["location"] for each in clicked}
        assert (await post(service, place.removeprefix("/ui") + "/kill")).status_code == 303
    listed = await service.get(f"/submission/applications?schedule_name={name}")
    assert len(listed.json()["items"]) == 2, "one of each page"


async def test_a_key_that_stands_for_another_request_is_replaced(
    service: httpx.AsyncClient, workspace: str, mongo: Client
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
    form = {**DEFAULTS, "workspace": workspace, "folder": ".", "file": "train.py", "key": key}
    refused = await post(service, "/training", **form)
    assert (refused.status_code, "was sent before" in refused.text) == (422, True)
    assert f'name="key" value="{key}"' not in refused.text


async def test_what_was_typed_for_a_pipeline_stays_with_it(
    service: httpx.AsyncClient, workspace: str
) -> None:
    for folder in ("a", "b", "c", "d", "e", "f"):
        address = f"/workspaces/{workspace}/files/{folder}/pipeline.yaml"
        assert (await service.put(address, content=PIPELINE.encode())).is_success
    form = {"workspace": workspace, "folder": "a", "parameter.size": "x", "anew": "on"}
    kept = await post(service, "/training/pipelines", **form)
    assert kept.status_code == 422
    forms = dict(re.findall(r'aria-label="Start the pipeline of ([^"]+)">(.*?)</form>', kept.text, re.DOTALL))
    assert len(forms) == 5
    for folder, text in forms.items():
        is_own = folder == "a"
        assert ('value="x"' in text) is is_own
        assert ("Write a number" in text) is is_own
        assert ('name="anew" checked' in text) is is_own
    assert "… and 2 more" in text_of(kept)


async def test_a_form_of_another_page_starts_nothing(service: httpx.AsyncClient, workspace: str) -> None:
    form = {**DEFAULTS, "workspace": workspace, "folder": ".", "file": "train.py", "csrf_token": "odd"}
    for path in ("", "/workspaces", "/pipelines", "/check"):
        assert (await service.post(f"/ui/training{path}", data=form)).status_code == 403, path


# --- rights -----------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


async def test_everybody_sees_and_does_what_they_may(guarded: Guarded) -> None:
    ada, rita, bob = [
        await guarded.of(await guarded.new(name, role))
        for name, role in (("ada", Role.SUBMITTER), ("rita", Role.READER), ("bob", Role.SUBMITTER))
    ]
    await ada.put("/workspaces/open", json={"readers": ["*"]})
    await ada.put("/workspaces/private", json={"readers": []})
    run = run_of("private")
    run.submitted_by = "ada"
    await guarded.executions.insert(run)
    own, others = await ada.get("/ui/training?workspace=open"), await bob.get("/ui/training?workspace=open")
    assert 'id="start"' in own.text
    assert "data-upload" in own.text
    assert 'id="start"' not in others.text
    assert "data-upload" not in others.text
    assert "among its runners" in text_of(others)
    reader = await rita.get("/ui/training?workspace=open")
    assert "takes the role submitter" in text_of(reader)
    assert "New workspace" not in text_of(reader)
    assert "private" not in (await bob.get("/ui/training")).text
    for path in (
        "/ui/training?workspace=private",
        f"/ui/training?run={run.id}",
        f"/ui/training/runs/{run.id}",
        "/ui/training/history?workspace=private",
    ):
        assert (await bob.get(path)).status_code == 403, path
        assert (await ada.get(path, follow_redirects=True)).status_code == 200, path
    form = {**DEFAULTS, "workspace": "open", "folder": ".", "file": "train.py"}
    assert (await post(rita, "/training", **form)).status_code == 403
    refused = await post(bob, "/training", **form)
    assert refused.status_code == 403
    assert "may not run programs" in text_of(refused)
    assert (await post(bob, f"/training/runs/{run.id}/cancel")).status_code == 403
    assert "Cancel" in text_of(await ada.get(f"/ui/training?run={run.id}"))
    nobody = await guarded.client.get("/ui/training?workspace=open")
    assert (nobody.status_code, nobody.headers["location"]) == (
        303,
        "/ui/login?to=%2Ftraining%3Fworkspace%3Dopen",
    )


async def test_a_workspace_that_is_somebody_elses_is_refused_in_the_form(guarded: Guarded) -> None:
    ada, bob = [
        await guarded.of(await guarded.new(unique_name(name), Role.SUBMITTER)) for name in ("ada", "bob")
    ]
    theirs, own = unique_name("theirs").replace("_", "-"), unique_name("own").replace("_", "-")
    await ada.put(f"/workspaces/{theirs}", json={})
    await bob.put(f"/workspaces/{own}", json={})
    open_page = await bob.get(f"/ui/training?workspace={own}")
    assert f'<input type="hidden" name="workspace" value="{own}">' in open_page.text
    refused = await post(bob, "/training/workspaces", name=theirs, workspace=own)
    assert refused.status_code == 403
    assert f'value="{theirs}"' in refused.text
    assert re.search(r'<span class="note bad" id="name-note">[^<]*belongs', refused.text)
    assert f"Files of {own}" in refused.text
    assert "It was not started" not in refused.text


async def test_runs_outlive_their_workspace_for_whoever_made_them(guarded: Guarded, mongo: Client) -> None:
    ada_name = unique_name("ada")
    ada = await guarded.of(await guarded.new(ada_name, Role.SUBMITTER))
    bob, otto = [
        await guarded.of(await guarded.new(unique_name(name), role))
        for name, role in (("bob", Role.SUBMITTER), ("otto", Role.OPERATOR))
    ]
    name = unique_name("gone").replace("_", "-")
    await ada.put(f"/workspaces/{name}", json={"readers": []})
    run = run_of(name)
    run.submitted_by = ada_name
    await guarded.executions.insert(run)
    pipeline = pipeline_run(run.id)
    pipeline.workspace, pipeline.submitted_by = name, ada_name
    database: str = guarded.client.database  # type: ignore[attr-defined]
    await PipelineRepository(mongo, database).insert(pipeline)
    assert (await ada.delete(f"/workspaces/{name}")).is_success
    shown = {
        f"/ui/training?run={run.id}": run.id,
        f"/ui/training?pipeline={pipeline.id}": 'id="step-training"',
    }
    for is_remade in (False, True):
        if is_remade:
            assert (await bob.put(f"/workspaces/{name}", json={"readers": []})).is_success
        for address, what in shown.items():
            for client in (ada, otto):
                page = await client.get(address)
                assert (page.status_code, what in page.text) == (200, True), (address, is_remade)
            assert (await bob.get(address)).status_code == 403
        assert ("is gone, or not yours to read" in page.text) is not is_remade, "an operator may read any"
        for headers in ({}, {"HX-Request": "true"}):
            for part in (f"/ui/training/runs/{run.id}", f"/ui/training/pipelines/{pipeline.id}"):
                assert (await bob.get(part, headers=headers)).status_code == 403
                assert (await ada.get(part, headers=headers, follow_redirects=True)).status_code == 200


# --- what is typed ------------------------------------------------------------------------------------


def test_a_run_is_typed_again() -> None:
    typed = {
        **DEFAULTS,
        "folder": "digits",
        "file": "learn.py",
        "arguments": "--name 'two words' 3",
        "runtime_target_seconds": "12.5",
        "max_scale_out": "4",
        "gate_metric": "loss",
        "gate_better": "lower",
        "output": "kept",
        "model": "digits",
    }
    assert typed_for(run_of("team", **typed)) == typed


def test_values_of_parameters_are_of_the_kind_of_the_defaults() -> None:
    defaults: dict[str, Any] = {"size": 3, "rate": 0.5, "on": True, "name": "x"}
    typed = {"parameter.size": "7", "parameter.rate": "1e-3", "parameter.on": "False", "parameter.name": "8"}
    assert parameters_of(typed, defaults) == {"size": 7, "rate": 0.001, "on": False, "name": "8"}
    assert parameters_of({"parameter.size": " "}, defaults) == {}
    for odd in ({"parameter.size": "many"}, {"parameter.rate": "nan"}, {"parameter.on": "maybe"}):
        with pytest.raises(FormError):
            parameters_of(odd, defaults)


def test_folders_and_programs() -> None:
    paths = ["a/b/c.py", "a/data.csv", "z.txt"]
    files = [
        WorkspaceFile(_id=f"w/{path}", workspace="w", path=path, sha256="", size_bytes=1) for path in paths
    ]
    shelf = Shelf(files)
    assert shelf.folders == [".", "a", "a/b"]
    assert shelf.programs(".") == ["a/b/c.py"]
    assert shelf.programs("a") == ["b/c.py"]
    assert shelf.choice(DEFAULTS)["folder"] == "a/b"
    assert shelf.choice(DEFAULTS)["file"] == "c.py"
    assert Shelf([]).choice(DEFAULTS)["folder"] == "."


def test_curves_without_steps_are_over_time() -> None:
    at = utc_now()
    points = [CurvePoint(at=at, metrics={"loss": 1.0}), CurvePoint(at=at, step=4, metrics={"accuracy": 0.5})]
    assert curves_of(points)["by"] == "seconds"
    assert [each["name"] for each in curves_of(points)["metrics"]] == ["loss", "accuracy"]
    assert curves_of([]) == {"by": "seconds", "metrics": []}
    assert ProgramRun(_id="x", workspace="w").curve == []
