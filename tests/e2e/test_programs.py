"""Programs of workspaces on the real local Spark: run by the launcher, heard of, kept as versions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.images import file_of, grey
from tests.support.programs import ProgramClient
from tests.support.services import on_mongodb, started_service
from tests.support.teams_models import TeamsModel, bright_files

pytestmark = [pytest.mark.service, pytest.mark.spark]

TRAINS = """
import json, os, pathlib, sys
output = pathlib.Path(os.environ["ENEL_OUTPUT_DIR"])
with open(os.environ["ENEL_PROGRESS_FILE"], "a") as progress:
    for step in range(4):
        line = {"progress": (step + 1) / 4, "step": step, "metrics": {"loss": 1 / (step + 1)}}
        progress.write(json.dumps(line) + "\\n")
    progress.write("no JSON\\n")
    progress.write(json.dumps({"data": "the digits of 1998"}) + "\\n")
print("trained", sys.argv[1])
(output / "metrics.json").write_text(json.dumps({"accuracy": float(sys.argv[1])}))
(output / "weights").mkdir()
(output / "weights" / "part.bin").write_bytes(b"w" * 5_000_000)
parent = os.environ.get("ENEL_PARENT_VERSION")
found = [str(path.relative_to(parent)) for path in pathlib.Path(parent).rglob("*.bin")] if parent else []
(output / "result.json").write_text(json.dumps({"parent": found}))

def predict(width: float, height: int = 3) -> str: ...
"""

ON_SPARK = """
import json, os, pathlib
from pyspark.sql import SparkSession
import doubling
with SparkSession.builder.getOrCreate() as spark:
    total = spark.sparkContext.parallelize(range(100), 4).map(doubling.twice).sum()
(pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / "result.json").write_text(json.dumps({"total": total}))
"""

PIPELINE = """
parameters:
  parts: 3
steps:
  processing:
    file: process.py
    files: [process.py]
    arguments: [{parameter: parts}]
  training:
    needs: [processing]
    file: sum.py
    files: [sum.py]
    output: version
"""

PROCESSES = """
import os, pathlib, sys
for number in range(int(sys.argv[1])):
    (pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / f"part-{number}").write_text(str(number))
"""

SUMS = """
import json, os, pathlib
parts = pathlib.Path(os.environ["ENEL_INPUT_DIR"], "processing").iterdir()
result = {"sum": sum(int(part.read_text()) for part in parts)}
pathlib.Path(os.environ["ENEL_OUTPUT_DIR"], "result.json").write_text(json.dumps(result))
"""

LEARNS = """
import json, os, pathlib
folder = pathlib.Path(os.environ["ENEL_FEEDBACK_DIR"])
lines = [json.loads(line) for line in (folder / "feedback.jsonl").read_text().splitlines()]
said = [[line["right_label"], (folder / line["files"]["image"]).stat().st_size] for line in lines]
pathlib.Path(os.environ["ENEL_OUTPUT_DIR"], "result.json").write_text(json.dumps({"said": said}))
"""


@pytest_asyncio.fixture(scope="module")
async def programs(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProgramClient]:
    folder = tmp_path_factory.mktemp("programs")
    limits = {
        "PROGRAM_LOG_MAX_BYTES": str(1 << 20),
        "PROGRAM_DISK_MAX_BYTES": str(50 << 20),
        "PROGRAM_MAX_PROCESSES": "64",
        "LOCAL_SPARK_MAX_APPLICATIONS": "3",
    }
    async with (
        started_service(folder, **limits, **on_mongodb(mongo_uri)) as service,
        httpx.AsyncClient(base_url=service.url, timeout=60) as client,
    ):
        yield ProgramClient(client, str(folder))


async def test_what_a_program_leaves_becomes_a_version_and_a_worse_one_does_not_serve(
    programs: ProgramClient,
) -> None:
    await programs.put("team", {"train.py": TRAINS})
    gate = {"metric": "accuracy", "better": "higher"}
    first = await programs.run("team", arguments=[0.9], gate=gate)
    assert first["state"] == "COMPLETED", await programs.log(first)
    assert (first["version"], first["progress"], first["exit_code"]) == (1, 1.0, 0)
    assert [point["metrics"]["loss"] for point in first["curve"]] == [1.0, 0.5, 1 / 3, 0.25]
    assert first["data"] == ["the digits of 1998"]
    assert first["unreadable_lines"] == 1
    assert first["runtime_seconds"] > 0
    assert first["target_met"] is True
    assert await programs.result(first) == {"parent": []}
    assert "trained 0.9" in await programs.log(first)
    assert await programs.output(first, "weights/part.bin") == b"w" * 5_000_000

    second = await programs.run("team", arguments=[0.8], gate=gate)
    assert (second["version"], second["parent_version"]) == (2, 1)
    assert await programs.result(second) == {"parent": ["weights/part.bin"]}
    [newest, oldest] = await programs.versions(first["model"])
    assert oldest["promotion"]["promoted"] is True
    assert newest["promotion"]["promoted"] is False
    assert "worse than the 0.9 of version 1" in newest["promotion"]["reason"]
    origin = newest["program"]
    assert origin["signature"] == {"inputs": {"width": "float", "height": "int"}, "output": "str"}
    assert origin["snapshot_id"] == first["snapshot_id"] == second["snapshot_id"]
    assert origin["arguments"] == [0.8]
    assert (await programs.model(first["model"]))["aliases"]["champion"]["version"] == 1

    # What ran can be had again, whatever has changed since.
    await programs.put("team", {"train.py": "raise SystemExit('changed')"})
    again = await programs.run("team", arguments=[0.95], gate=gate, snapshot_id=first["snapshot_id"])
    assert again["version"] == 3
    assert (await programs.model(first["model"]))["aliases"]["champion"]["version"] == 3


async def test_modules_of_the_folder_are_there_on_executors_and_jobs_are_reported(
    programs: ProgramClient,
) -> None:
    files = {"sub/count.py": ON_SPARK, "sub/doubling.py": "def twice(number):\n    return 2 * number\n"}
    await programs.put("spark", files)
    run = await programs.run("spark", folder="sub", file="count.py", output="kept", max_scale_out=2)
    assert run["state"] == "COMPLETED", await programs.log(run)
    assert await programs.result(run) == {"total": 9900}
    assert run["version"] is None
    application = await programs.application(run)
    assert application["application_signature"]
    assert application["jobs"]


async def test_a_pipeline_runs_again_from_the_first_step_whose_input_has_changed(
    programs: ProgramClient,
) -> None:
    await programs.put("line", {"pipeline.yaml": PIPELINE, "process.py": PROCESSES, "sum.py": SUMS})
    first = await programs.pipeline("line")
    assert [step["state"] for step in first["steps"]] == ["SUCCEEDED", "SUCCEEDED"], first
    assert await programs.pipeline_result(first) == {"sum": 3}
    await programs.put("line", {"sum.py": SUMS.replace('"sum"', '"total"')})
    second = await programs.pipeline("line")
    assert [step["state"] for step in second["steps"]] == ["REUSED", "SUCCEEDED"], second
    assert await programs.pipeline_result(second) == {"total": 3}
    third = await programs.pipeline("line")
    assert [step["state"] for step in third["steps"]] == ["REUSED", "REUSED"], third
    fourth = await programs.pipeline("line", parameters={"parts": 4})
    assert [step["state"] for step in fourth["steps"]] == ["SUCCEEDED", "SUCCEEDED"], fourth
    assert await programs.pipeline_result(fourth) == {"total": 6}


async def test_a_step_that_fails_ends_the_pipeline(programs: ProgramClient) -> None:
    files = {"pipeline.yaml": PIPELINE, "process.py": "raise ValueError('no data today')", "sum.py": SUMS}
    await programs.put("broken", files)
    run = await programs.pipeline("broken")
    assert run["state"] == "FAILED"
    assert [step["state"] for step in run["steps"]] == ["FAILED", "SKIPPED"]
    assert "no data today" in run["steps"][0]["reason"]


WRONG: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no-output": ("print('nothing to keep')", {}, 70, "left nothing in ENEL_OUTPUT_DIR"),
    "link": (
        "import os; os.symlink('/etc/hostname', os.environ['ENEL_OUTPUT_DIR'] + '/x')",
        {},
        70,
        "is a link",
    ),
    "endless": ("import time; time.sleep(600)", {"time_limit_seconds": 2}, 124, "longer than 2 seconds"),
    "large-file": ("open('large', 'wb').write(bytes(60 << 20))", {}, 1, "File too large"),
    "disk": (
        "import time\nfor n in range(100): open(f'{n}', 'wb').write(bytes(2 << 20))\ntime.sleep(60)",
        {},
        125,
        "PROGRAM_DISK_MAX_BYTES",
    ),
    "threads": (
        "import threading as t, time\nfor _ in range(99): t.Thread(target=time.sleep, args=[60]).start()",
        {},
        125,
        "processes and threads",
    ),
    "forks": (
        "import os, time\nfor _ in range(99): os.fork() or time.sleep(60)\ntime.sleep(60)",
        {},
        125,
        "processes and threads",
    ),
    "exits": ("raise SystemExit(3)", {}, 3, "exit code 3"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, 137, "exit code 137"),
}
"""Programs with their limits, the exit code, and what the log says."""


@pytest_asyncio.fixture(scope="module")
async def gone_wrong(programs: ProgramClient) -> dict[str, Any]:
    """A run of each that has ended; all are begun together, since most of their time is waiting."""
    started = {}
    for name, (program, limits, _, _) in WRONG.items():
        await programs.put(f"wrong-{name}", {"train.py": program})
        started[name] = await programs.start(f"wrong-{name}", **limits)
    return {name: await programs.ended(run) for name, run in started.items()}


@pytest.mark.parametrize("name", WRONG)
async def test_what_goes_wrong_is_limited_and_told(
    programs: ProgramClient, gone_wrong: dict[str, Any], name: str
) -> None:
    _, _, exit_code, told = WRONG[name]
    run = gone_wrong[name]
    log = await programs.log(run)
    assert run["state"] == "FAILED", log
    assert run["exit_code"] == exit_code, log
    assert run["version"] is None
    assert told in log
    application = Path(programs.data_dir) / "spark" / "applications" / run["id"]
    assert not (application / "program").exists()


async def test_of_a_program_that_writes_without_end_the_beginning_and_the_end_are_kept(
    programs: ProgramClient,
) -> None:
    loud = "print('first')\nfor _ in range(200_000): print('x' * 100)\nprint('last')\nraise SystemExit(4)"
    await programs.put("loud", {"train.py": loud})
    run = await programs.run("loud")
    log = await programs.log(run, tail_lines=10_000)
    assert run["log_bytes"] > 20_000_000
    assert len(log) < 3_000_000
    assert "bytes were dropped" in log
    assert "last" in log


async def test_a_run_that_is_cancelled_becomes_no_version(programs: ProgramClient) -> None:
    slow = TRAINS + "\nimport time; time.sleep(600)"
    await programs.put("slow", {"train.py": slow})
    started = await programs.start("slow", arguments=[0.5])
    await programs.heard(started, lambda run: run["progress"] == 1.0)
    cancelled = await programs.cancel(started)
    assert cancelled["state"] == "KILLED"
    assert await programs.has_no_version(started["model"])
    assert json.dumps(await programs.details(started)).count("KILLED") == 1


async def test_what_requirements_name_is_there_for_driver_and_executors(programs: ProgramClient) -> None:
    program = ON_SPARK.replace("doubling.twice", "doubling.words")
    files = {
        "train.py": program,
        "doubling.py": "import humanize\n\ndef words(n):\n    return len(humanize.intcomma(1000 * n))\n",
        "requirements.txt": "humanize==4.13.0  # of both\n",
    }
    await programs.put("packed", files)
    started = await programs.start("packed", output="kept")
    assert started["environment_id"]
    run = await programs.ended(started)
    assert run["state"] == "COMPLETED", (run, await programs.log(run))
    assert (await programs.result(run))["total"] > 100
    # Built once: the next run has the same.
    again = await programs.start("packed", output="kept")
    assert again["environment_id"] == run["environment_id"]
    await programs.cancel(again)


async def test_a_run_whose_environment_cannot_be_built_says_why(programs: ProgramClient) -> None:
    files = {"train.py": "", "requirements.txt": "no-such-package-of-anybody==1.0"}
    await programs.put("unbuilt", files)
    headers = {"Idempotency-Key": "unbuilt"}
    address = "/training/programs/unbuilt/runs"
    run = await programs.ended((await programs.client.post(address, json={}, headers=headers)).json())
    assert run["state"] == "SUBMISSION_FAILED"
    assert "no-such-package-of-anybody" in run["state_reason"]
    again = await programs.client.post(address, json={}, headers=headers)
    assert again.status_code == 422, "sent again, it is looked at anew, and told why"
    assert "no-such-package-of-anybody" in again.json()["detail"]


async def test_a_program_that_is_silent_is_told_of(programs: ProgramClient) -> None:
    await programs.put("silent", {"train.py": "import time; time.sleep(600)"})
    started = await programs.start("silent", silence_limit_seconds=1)
    silent = await programs.heard(started, lambda run: run["is_silent"])
    assert silent["silent_seconds"] > 1
    assert silent["state"] == "RUNNING"
    assert (await programs.cancel(started))["is_silent"] is False


async def test_each_due_time_of_a_schedule_runs_the_files_of_its_day(programs: ProgramClient) -> None:
    await programs.put("daily", {"train.py": "print('first')"})
    submission = {
        "global_specs": {
            "experiment_name": "daily",
            "algorithm_name": "daily-train",
            "data_size_MB": 1,
            "min_scale_out": 1,
            "max_scale_out": 1,
            "max_runtime": 600,
        },
        "program": {"workspace": "daily", "output": "optional"},
    }
    schedule = {"name": "daily", "cron": "@yearly", "submission": submission}
    assert (await programs.client.post("/submission/schedules", json=schedule)).status_code == 201
    snapshots = []
    for text in ("first", "second"):
        await programs.put("daily", {"train.py": f"print({text!r})"})
        fired = (await programs.client.post("/submission/schedules/daily/run")).json()
        details = (await programs.client.get(f"/training/program_runs/{fired['id']}")).json()
        run = await programs.ended(details)
        assert run["state"] == "COMPLETED", await programs.log(run)
        assert text in await programs.log(run)
        snapshots.append(run["snapshot_id"])
    assert snapshots[0] != snapshots[1]


async def test_the_next_training_is_given_what_was_said(programs: ProgramClient) -> None:
    """What people say of predictions, over the wire to the program that trains the model next.

    It comes last: Ray, which it starts, then burdens none of the others.
    """
    model = TeamsModel(programs.client)
    await model.publish(bright_files())
    picture, address = file_of(grey(), "PNG"), f"/serving/{model.short_name}"
    headers = {"content-type": "image/png"}
    asked = await programs.client.post(f"{address}/predict", content=picture, headers=headers, timeout=120)
    feedback = {"prediction_id": asked.json()["prediction_id"], "label": "dark"}
    (await programs.client.post(f"{address}/feedback", json=feedback)).raise_for_status()
    await programs.put(model.workspace, {"train.py": LEARNS})
    run = await programs.run(model.workspace, model=model.short_name)
    assert run["model"] == model.name
    assert run["state"] == "COMPLETED", await programs.log(run)
    assert await programs.result(run) == {"said": [["dark", len(picture)]]}
