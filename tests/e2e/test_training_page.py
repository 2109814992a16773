"""People at the page with programs, and clients in the field: a real Chromium, service and local Spark."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from app.client.process import ServiceProcess
from tests.support.browser import NARROW, assert_usable, follow, opened_page
from tests.support.programs import ProgramClient
from tests.support.services import on_mongodb, started_service

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(420)]

TRAINS = """
import json, os, pathlib, sys, time
accuracy, gate = float(sys.argv[1]), pathlib.Path(sys.argv[2])
with open(os.environ["ENEL_PROGRESS_FILE"], "a", buffering=1) as progress:
    for step in range(1, 5):
        print(f"epoch {step} of <b>4</b>", flush=True)
        line = {"progress": step / 4, "step": step, "message": f"epoch {step}", "metrics": {"loss": 1 / step}}
        progress.write(json.dumps(line) + "\\n")
        while step == 2 and not gate.exists():
            time.sleep(0.1)
output = pathlib.Path(os.environ["ENEL_OUTPUT_DIR"])
(output / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
(output / "result.json").write_text(json.dumps({"digits": ["<i>", accuracy]}))
(output / "weights.bin").write_bytes(b"w" * 3000)
print("trained", sys.argv[3:], flush=True)
"""

PIPELINE = """
parameters: {size: 3}
steps:
  processing: {file: process.py, files: [process.py], arguments: [{parameter: size}]}
  training: {needs: [processing], file: sum.py, files: [sum.py]}
"""

PROCESSES = """
import os, pathlib, sys
(pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / "size").write_text(sys.argv[1])
"""

SUMS = """
import json, os, pathlib
size = int((pathlib.Path(os.environ["ENEL_INPUT_DIR"]) / "processing" / "size").read_text())
(pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / "result.json").write_text(json.dumps({"sum": size * 2}))
"""


@pytest_asyncio.fixture(scope="module")
async def running(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with started_service(tmp_path_factory.mktemp("training"), **on_mongodb(mongo_uri)) as service:
        yield service


def archive(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path, content in files.items():
            file.writestr(path, content)
    return packed.getvalue()


def chosen(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


async def make_workspace(page: Page, name: str) -> None:
    await page.goto("/ui/training")
    await page.get_by_label("New workspace").fill(name)
    await page.get_by_role("button", name="Make").click()
    await expect(page.get_by_role("heading", name=f"Files of {name}")).to_be_visible()


async def start(page: Page, arguments: str, *, metric: str = "accuracy") -> None:
    await page.get_by_label("Arguments").fill(arguments)
    await page.get_by_label("Gate: figure of metrics.json").fill(metric)
    await page.get_by_role("button", name="Train").click()
    await expect(page).to_have_url(re.compile(r"/ui/training\?workspace=.*&run=[0-9a-f]{24}$"))


async def test_upload_train_watch_and_compare(running: ServiceProcess, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with opened_page(running.url) as page:
        await page.goto("/")
        await follow(page, page.get_by_role("link", name="Programs", exact=True))
        await assert_usable(page)
        await make_workspace(page, "digits")
        await expect(page.locator("#file-note")).to_contain_text("no Python file")

        # What is uploaded is there at once, and what was typed meanwhile stays.
        await page.get_by_label("Arguments").fill("typed 'before it'")
        await expect(page.locator("#check code")).to_have_text(["typed", "before it"])
        files = [chosen("train.py", TRAINS.encode()), chosen("more.zip", archive({"lib/more.py": "x = 1\n"}))]
        await page.get_by_label("Files or archives").set_input_files(files)
        await page.get_by_role("button", name="Upload").click()
        await expect(page.locator(".upload [role=status]")).to_have_text("2 of 2 files stored.")
        await expect(page.locator("#files")).to_contain_text("lib/more.py")
        await expect(page.get_by_label("Program", exact=True)).to_have_value("train.py")
        await expect(page.get_by_label("Arguments")).to_have_value("typed 'before it'")
        await page.get_by_label("Folder", exact=True).select_option("lib")
        await expect(page.get_by_label("Program", exact=True)).to_have_value("more.py")
        await page.get_by_label("Folder", exact=True).select_option(".")
        await expect(page.get_by_label("Program", exact=True)).to_have_value("train.py")
        await page.get_by_label("Files or archives").set_input_files([chosen("odd.zip", b"no archive")])
        await page.get_by_role("button", name="Upload").click()
        await expect(page.locator(".troubles")).to_contain_text("odd.zip: ")

        # What is wrong is told while one types, and beside its field.
        await page.get_by_label("Arguments").fill("it's")
        await expect(page.locator("#check")).to_contain_text("This would be refused")
        await page.get_by_role("button", name="Train").click()
        await expect(page.locator("#arguments-note")).to_contain_text("quotation")
        await assert_usable(page)

        # The first version: its log comes line by line on the same page, and so do progress and curve.
        await start(page, f"0.9 {first} 'two words'")
        await expect(page.locator(".log pre")).to_contain_text("epoch 2 of <b>4</b>")
        await expect(page.locator("#run progress")).to_have_attribute("value", "0.5")
        await expect(page.locator("#curves canvas")).to_be_visible()
        await assert_usable(page)
        first.touch()
        await expect(page.locator("#run-title")).to_contain_text("Completed")
        await expect(page.locator(".log pre")).to_contain_text("trained ['two words']")
        await expect(page.locator(".log [role=status]")).to_have_text("The application has ended.")
        lines = await page.locator(".log pre").inner_text()
        assert lines.count("epoch 1 of") == 1
        await expect(page.locator("#run")).to_contain_text("Version 1 serves: This is the first version")
        await expect(page.locator("#run pre.lines")).to_contain_text('"<i>"')
        await expect(page.locator("#run")).not_to_have_attribute("hx-trigger", "every 2s")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="weights.bin").click()
        assert Path(await (await download.value).path()).read_bytes() == b"w" * 3000
        async with page.expect_download() as download:
            await page.get_by_role("link", name="the files of .").click()
        with zipfile.ZipFile(await (await download.value).path()) as snapshot:
            assert snapshot.read("train.py").decode() == TRAINS
        await assert_usable(page)

        # The second one is worse: it is compared, and does not serve.
        second.touch()
        await start(page, f"0.8 {second}")
        await expect(page.locator("#run")).to_contain_text("Version 2 does not serve: accuracy is 0.8, worse")
        row = page.locator("#run tr", has_text="accuracy")
        await expect(row).to_contain_text("decides")
        await expect(row.locator("td")).to_have_text(["0.8", "0.9", "-0.1"])
        await assert_usable(page)
        await expect(page.locator("#runs").locator("xpath=..").locator("tbody tr")).to_have_count(2)
        await follow(page, page.get_by_role("link", name="spark.digits.train.program"))
        await expect(page.locator("tr.chosen th")).to_have_text("1")
        await assert_usable(page)
        await page.go_back()
        await page.get_by_role("link", name="Its application").click()
        await expect(page.get_by_role("heading", name="Driver log")).to_be_visible()
        await page.go_back()

        # Another one is cancelled.
        await start(page, f"0.7 {tmp_path / 'never'}")
        await expect(page.locator("#run progress")).to_have_attribute("value", "0.5")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#run-title")).to_contain_text("Killed")
        await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        await page.set_viewport_size(NARROW)
        await assert_usable(page)


async def test_no_upload_changes_what_will_run(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await make_workspace(page, "chosen")
        folders = {f"{folder}/{file}": "" for folder in ("a", "b") for file in ("eval.py", "train.py")}
        await page.get_by_label("Files or archives").set_input_files([chosen("both.zip", archive(folders))])
        await page.get_by_role("button", name="Upload").click()
        await expect(page.locator("#files")).to_contain_text("b/train.py")
        program = page.get_by_label("Program", exact=True)
        await page.get_by_label("Folder", exact=True).select_option("b")
        await expect(program).to_have_value("train.py")
        await program.select_option("eval.py")
        await page.get_by_label("Files or archives").set_input_files([chosen("data.csv", b"1")])
        await page.get_by_label("Into the folder").fill("b/more")
        async with page.expect_response(re.compile(r"folder=b&file=eval\.py")):
            await page.get_by_role("button", name="Upload").click()
        await expect(page.get_by_label("Folder", exact=True).locator("option")).to_have_text(
            [".", "a", "b", "b/more"]
        )
        await expect(page.get_by_label("Folder", exact=True)).to_have_value("b")
        await expect(program).to_have_value("eval.py")

        # Of two changes the later one counts, also where the first is slow to be answered.
        may_answer = asyncio.Event()

        async def later(route: Route) -> None:
            await may_answer.wait()
            await route.fallback()

        await page.route("**/training?*folder=a*", later)
        async with page.expect_request("**/training?*folder=a*"):
            await page.get_by_label("Folder", exact=True).select_option("a")
        await page.get_by_label("Folder", exact=True).select_option(".")
        may_answer.set()
        await expect(program).to_have_value("a/eval.py")
        await expect(page.get_by_label("Folder", exact=True)).to_have_value(".")
        await page.unroute_all(behavior="ignoreErrors")


async def test_a_pipeline_by_keyboard(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await make_workspace(page, "line")
        files = {"pipeline.yaml": PIPELINE, "process.py": PROCESSES, "sum.py": SUMS}
        await page.get_by_label("Files or archives").set_input_files([chosen("line.zip", archive(files))])
        await page.get_by_role("button", name="Upload").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#files")).to_contain_text("pipeline.yaml")
        await page.get_by_label("size").fill("many")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").first).to_contain_text("Write a number")
        await page.get_by_label("size").fill("21")
        await page.keyboard.press("Enter")
        await expect(page.locator("#pipeline-title")).to_contain_text("Succeeded", timeout=120_000)
        await expect(page.locator("#step-processing")).to_contain_text("Succeeded")
        await expect(page.get_by_label("Result of training")).to_contain_text('"sum": 42')
        await assert_usable(page)
        await page.locator("#step-training").get_by_role("link").click()
        await expect(page.locator("#run-title")).to_contain_text("sum.py")


async def test_an_environment_s_build_is_watched(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await make_workspace(page, "unbuilt")
        files = [chosen("train.py", b""), chosen("requirements.txt", b"no-such-package-of-anybody==1.0")]
        await page.get_by_label("Files or archives").set_input_files(files)
        await page.get_by_role("button", name="Upload").click()
        await expect(page.get_by_label("Program", exact=True)).to_have_value("train.py")
        await start(page, "", metric="")
        await expect(page.locator("#run-environment")).to_contain_text("Failed")
        await expect(page.get_by_label("Log of the build")).to_contain_text("no-such-package-of-anybody")
        await expect(page.locator("#run-title")).to_contain_text("Submission failed")
        await assert_usable(page)


async def test_a_client_in_the_field(running: ServiceProcess) -> None:
    """It sends a form, polls plain text by counting lines, and gets every line once."""
    prints = (
        "import sys, time\nfor n in range(60):\n    print(sys.argv[1], n, flush=True)\n    time.sleep(0.02)\n"
    )
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
        programs = ProgramClient(client)
        await programs.put("ada", {"jobs/print.py": prints + "print('no end', end='')\nraise SystemExit(3)"})
        form = {"file": "print.py", "location": "jobs", "arguments": "'number of'"}
        started = (await client.post("/train/ada", data=form)).json()
        told: list[str] = []
        answers = 0
        while not (told and told[-1] == "[DONE]"):
            answer = await client.get(f"/logs/ada?offset={len(told)}", headers={"Accept": "text/plain"})
            told += answer.text.splitlines()
            answers += bool(answer.text)
            await asyncio.sleep(0.1)
        assert answers > 2
        assert [line for line in told if line.startswith("number of")] == [
            f"number of {n}" for n in range(60)
        ]
        assert any("no end" in line for line in told)
        whole = (await client.get(started["logs"])).json()
        assert [*whole["lines"], "[DONE]"] == told
        assert (whole["run_id"], whole["finished"], whole["state"]) == (started["run_id"], True, "FAILED")
