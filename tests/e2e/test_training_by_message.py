"""Training by message, with the service as a process, a real broker and the real local Spark."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.processes.guarded import free_port
from common.settings.group import PROJECT_ROOT
from tests.support.kafka import OFFSET_COMMIT, Topics, broker_behind_a_proxy, tansu
from tests.support.messages import eventually
from tests.support.programs import ProgramClient
from tests.support.services import failing_start, on_mongodb, started_service

pytestmark = [pytest.mark.service, pytest.mark.spark]

TRAINS = """
import json, os, pathlib, sys
output = pathlib.Path(os.environ["ENEL_OUTPUT_DIR"])
print("trained", sys.argv[1])
(output / "metrics.json").write_text(json.dumps({"accuracy": float(sys.argv[1])}))
(output / "result.json").write_text(json.dumps({"asked for": sys.argv[1:]}))
"""


@dataclass(frozen=True)
class Messages:
    """A service that reads messages, and its broker."""

    programs: ProgramClient
    topics: Topics


@pytest_asyncio.fixture(scope="module")
async def messages(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Messages]:
    folder = tmp_path_factory.mktemp("messages")
    async with tansu(free_port()) as address:
        topics = Topics(address)
        environment = {name.upper(): value for name, value in topics.settings.items()}
        environment |= {"KAFKA_ENDPOINT": address, "KAFKA_LOG_TOPIC": topics.logs, **on_mongodb(mongo_uri)}
        async with (
            started_service(folder, **environment) as service,
            httpx.AsyncClient(base_url=service.url, timeout=60) as client,
        ):
            programs = ProgramClient(client, str(folder))
            await programs.put("team", {"train.py": TRAINS})
            yield Messages(programs, topics)


async def test_a_message_becomes_a_run_whose_version_and_result_are_told(messages: Messages) -> None:
    topics, client = messages.topics, messages.programs.client
    request = {"user": "team", "file": "train.py", "location": ".", "arguments": [0.9], "id": "first"}
    await topics.send(request)
    replies = await topics.read(topics.replies, 1)
    run = await messages.programs.ended(
        (await client.get(f"/training/program_runs/{replies[0]['id']}")).json()
    )
    assert (run["state"], run["version"], run["submitted_by"]) == ("COMPLETED", 1, "kafka")
    changes = await messages.programs.application(run)
    states = [change["state"] for change in changes["state_changes"]]
    replies = await topics.read(topics.replies, len(states) + 1, key=run["id"])
    assert [reply["state"] for reply in replies] == [*states, "COMPLETED"]
    result = replies[-1]
    assert (result["type"], result["version"], result["exit_code"]) == ("result", 1, 0)
    assert result["result"] == {"asked for": ["0.9"]}
    assert result["message_id"] == "first"
    batches: list[Any] = []
    lines: list[str] = []
    while "trained 0.9" not in lines:
        batches = await topics.read(topics.logs, len(batches) + 1, key=run["id"])
        assert batches[-1]["offset"] == len(lines)
        lines = [line for batch in batches for line in batch["lines"]]
    page = (await client.get("/training/messages", params={"state": "STARTED"})).json()
    assert [(each["id"], each["application_execution_id"]) for each in page["items"]] == [
        ("first", run["id"])
    ]


async def test_what_is_set_aside_is_shown_and_counted(messages: Messages) -> None:
    client = messages.programs.client
    await messages.topics.send(b"no JSON", {"user": "nobody"})

    async def both_are_shown() -> bool:
        return len((await client.get("/training/messages")).json()["items"]) >= 3

    await eventually(both_are_shown)
    for state, problem in (("UNREADABLE", "no JSON"), ("REFUSED", "There is no workspace 'nobody'.")):
        [shown] = (await client.get("/training/messages", params={"state": state})).json()["items"]
        assert problem in shown["problem"]
        assert shown["application_execution_id"] is None
        metrics = (await client.get("/metrics")).text
        assert f'enel_training_messages_total{{result="{state.lower()}"}} 1.0' in metrics
    assert "enel_broker_up 1.0" in metrics
    assert (await client.get("/readyz")).json() == {"status": "ok", "broker": "answers"}
    first = (await client.get("/training/messages", params={"limit": 1})).json()
    rest = (await client.get("/training/messages", params={"cursor": first["next_cursor"]})).json()
    assert len(rest["items"]) == 2


async def test_a_request_over_http_goes_through_the_broker(messages: Messages) -> None:
    client = messages.programs.client
    answers = [
        await client.post(
            "/training/programs/team/runs?via=kafka",
            json={"arguments": [0.5], "output": "kept"},
            headers={"Idempotency-Key": "over-http"},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202], answers[0].text
    assert answers[0].json()["id"] == "over-http"
    assert answers[0].json()["offset"] < answers[1].json()["offset"]
    refused = await client.post("/training/programs/nobody/runs?via=kafka", json={})
    assert refused.status_code == 404

    async def is_one() -> bool:
        runs = (await client.get("/training/programs/team/runs")).json()["items"]
        return len([run for run in runs if run["arguments"] == [0.5]]) == 1

    await eventually(is_one)


@pytest.mark.parametrize("command", [["programs", "send", "team"], ["train", "--via", "kafka", "team"]])
async def test_the_command_line_sends_requests(messages: Messages, command: list[str]) -> None:
    to = {"KAFKA_TRAINING_TOPIC": messages.topics.requests}
    done = _enel([*command, "train.py", "--kafka", messages.topics.address, "--json", "--", "--no"], to)
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    client = messages.programs.client

    async def has_come() -> bool:
        items = (await client.get("/training/messages")).json()["items"]
        return any(each["id"] == sent["id"] and each["state"] == "STARTED" for each in items)

    await eventually(has_come)
    away = _enel([*command, "--kafka", f"127.0.0.1:{free_port()}"], to)
    assert (away.returncode, "has not taken it" in away.stderr) == (3, True), away.stderr
    assert "Traceback" not in away.stderr


def _enel(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_killed_between_storing_and_acknowledging_it_is_one_run(tmp_path: Path, mongo_uri: str) -> None:
    database = on_mongodb(mongo_uri)
    async with broker_behind_a_proxy() as (_, proxy):
        topics = Topics(proxy.address)
        environment = {name.upper(): value for name, value in topics.settings.items()} | database
        proxy.held.add(OFFSET_COMMIT)
        async with started_service(tmp_path, KAFKA_ENDPOINT=proxy.address, **environment) as service:
            async with httpx.AsyncClient(base_url=service.url) as client:
                await ProgramClient(client).put("team", {"train.py": TRAINS})
            await topics.send({"user": "team", "arguments": [1]})
            await proxy.holds.wait()
            await service.kill()
        proxy.held.clear()
        async with (
            started_service(tmp_path, KAFKA_ENDPOINT=proxy.address, **environment) as service,
            httpx.AsyncClient(base_url=service.url) as client,
        ):

            async def is_acknowledged() -> bool:
                return await topics.committed() == 1

            await eventually(is_acknowledged)
            metrics = (await client.get("/metrics")).text
            assert 'enel_training_messages_total{result="repeated"} 1.0' in metrics
            runs = (await client.get("/training/programs/team/runs")).json()["items"]
            assert len(runs) == 1


async def test_a_broker_that_cannot_be_reached_stops_the_start(tmp_path: Path) -> None:
    code, log = await failing_start(tmp_path, KAFKA_ENDPOINT=f"127.0.0.1:{free_port()}")
    assert code not in (0, None)
    assert "KAFKA_ENDPOINT: no broker of 127.0.0.1:" in log
    assert "Traceback" not in log


async def test_secrets_of_the_broker_reach_no_log(tmp_path: Path) -> None:
    secret = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "ada"}
    password = "cellar-door-1815"
    async with tansu(free_port()) as address:
        _, log = await failing_start(
            tmp_path, KAFKA_ENDPOINT=address, KAFKA_SASL_PASSWORD=password, LOGGING_LEVEL="DEBUG", **secret
        )
    assert "KAFKA_" in log
    assert password not in log
