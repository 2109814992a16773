"""Messages to a real broker become runs, each once, or are set aside; replies tell of them."""

from typing import Any

import pytest

from common.errors import Unavailable
from common.executions.documents import ApplicationState
from submission.messages.documents import MessageState
from submission.messages.reading import MOST_BYTES
from tests.support.kafka import Topics
from tests.support.messages import MessageServices, eventually
from tests.support.samples import unique_name

REQUEST = {"user": "team", "file": "train.py", "location": ".", "arguments": ["--epochs", 3]}


async def test_a_message_becomes_a_run_and_its_states_and_result_are_told_in_order(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        await topics.send({**REQUEST, "id": "a-1"})
        [message] = await service.until(1, MessageState.STARTED)
        [run] = await service.runs()
        assert message.execution_id == run.id
        assert run.global_specs.algorithm_args == ["--epochs", 3]
        assert run.submitted_by == "kafka"
        await eventually(lambda: _is_committed(topics, 1))
        await service.executions.record_state(run.id, ApplicationState.RUNNING, "it runs")
        await service.executions.record_state(run.id, ApplicationState.FAILED, "exit code 3")
        replies = await topics.read(topics.replies, 4, key=run.id)
    assert [reply["type"] for reply in replies] == ["state", "state", "state", "result"]
    assert [reply["state"] for reply in replies] == ["PENDING", "RUNNING", "FAILED", "FAILED"]
    assert [reply.get("sequence") for reply in replies] == [0, 1, 2, None]
    assert {reply["message_id"] for reply in replies} == {"a-1"}
    assert replies[3]["reason"] == "exit code 3"


async def _is_committed(topics: Topics, offset: int) -> bool:
    return await topics.committed() == offset


async def test_sent_twice_with_the_same_id_it_is_one_run(services: MessageServices, topics: Topics) -> None:
    by_header = {"headers": [("id", b"b-2")]}
    async with services.open(topics.address, **topics.settings) as service:
        await topics.send({**REQUEST, "id": "b-1"}, {**REQUEST, "id": "b-1"})
        await topics.send(REQUEST, REQUEST, **by_header)
        await topics.send(REQUEST)
        messages = await service.until(3, MessageState.STARTED)
        assert service.counted("repeated") == 2
        assert len(await service.runs()) == 3
        assert [message.own_id for message in messages] == ["b-1", "b-2", None]

        # The same id with something else is no repetition, and harms neither.
        await topics.send({**REQUEST, "id": "b-1", "arguments": []})
        [refused] = await service.until(1, MessageState.REFUSED)
        assert "asked for something else" in refused.problem
        assert len(await service.runs()) == 3


async def test_handed_over_again_after_the_key_has_expired_it_is_one_run(
    services: MessageServices, topics: Topics
) -> None:
    await topics.send(REQUEST)
    async with services.open(topics.address, **topics.settings) as service:
        await service.until(1, MessageState.STARTED)
    await services.forget_keys()
    group = unique_name("group")  # reads all that there is once more, as a group that has lost its offsets
    async with services.open(topics.address, **{**topics.settings, "kafka_group": group}) as again:
        await eventually(lambda: _is_one(again.counted("repeated")))
        assert len(await again.runs()) == 1


async def _is_one(value: float) -> bool:
    return value == 1.0


@pytest.mark.parametrize("dies_after", ["storing the message", "storing the run"])
async def test_a_service_that_dies_in_between_leaves_what_the_next_one_finishes(
    services: MessageServices, topics: Topics, dies_after: str
) -> None:
    await topics.send({**REQUEST, "id": "d-1"})
    async with services.open(topics.address, **topics.settings) as service:
        await service.until(1, MessageState.STARTED)
        [run] = await service.runs()
    await services.forget_keys()
    await services.set_back(f"{topics.requests}/id/d-1", with_run=dies_after == "storing the message")
    group = unique_name("group")
    async with services.open(topics.address, **{**topics.settings, "kafka_group": group}) as again:
        [message] = await again.until(1, MessageState.STARTED)
        assert [each.id for each in await again.runs()] == [run.id]
        assert message.execution_id == run.id


POISON: list[tuple[bytes | dict[str, Any] | None, str, str]] = [
    (b"no JSON", "UNREADABLE", "no JSON"),
    (b"\xff\xfe\xfd", "UNREADABLE", "no JSON"),
    (b"", "UNREADABLE", "is empty"),
    (None, "UNREADABLE", "is empty"),
    (b"[" * 100_000, "UNREADABLE", "no JSON"),
    (b"[]", "UNREADABLE", "a JSON list"),
    (b'{"user": "team", "arguments": ["' + b"x" * MOST_BYTES + b'"]}', "UNREADABLE", "are the most"),
    ({"file": "train.py"}, "UNREADABLE", "name of the workspace is missing"),
    ({"user": 7}, "UNREADABLE", "name of the workspace is missing"),
    ({"user": "team", "workspace": "other"}, "UNREADABLE", "differ"),
    ({**REQUEST, "arguments": "--epochs 3"}, "UNREADABLE", "arguments: "),
    ({**REQUEST, "runtime_target_seconds": "soon"}, "UNREADABLE", "runtime_target_seconds: "),
    ({**REQUEST, "arguments": [{"a": 1}]}, "UNREADABLE", "algorithm_args"),
    ({**REQUEST, "id": "two words"}, "UNREADABLE", "id: "),
    ({**REQUEST, "argument": ["--epochs"]}, "REFUSED", "did you mean arguments?"),
    ({**REQUEST, "user": "nobody"}, "REFUSED", "no workspace 'nobody'"),
    ({**REQUEST, "file": "missing.py"}, "REFUSED", "no 'missing.py'"),
    ({**REQUEST, "location": "../other"}, "REFUSED", ""),
    ({**REQUEST, "snapshot_id": "0" * 64}, "REFUSED", ""),
    (b'{"user": "team", "arguments": ["\\ud800"]}', "UNREADABLE", ""),
    (b'{"user": "te\\u0000am"}', "UNREADABLE", ""),
    (b'{"user": "team", "arguments": [NaN, 1e999]}', "UNREADABLE", ""),
]


async def test_what_can_be_no_run_is_set_aside_and_the_next_one_runs(
    services: MessageServices, topics: Topics
) -> None:
    dead = {"kafka_dead_letter_topic": topics.dead_letters}
    async with services.open(topics.address, **topics.settings, **dead) as service:
        await topics.send(*(value for value, _, _ in POISON))
        await topics.send(b"x", headers=[("id", b"\xff")])
        await topics.send({**REQUEST, "id": "good"}, headers=[("x", None), ("y", b"\xff")])
        [good] = await service.until(1, MessageState.STARTED)
        assert good.own_id == "good"
        aside = [message for message in await service.stored() if message.state.is_set_aside]
        assert len(aside) == len(POISON) + 1
        for message, (value, state, problem) in zip(aside, POISON, strict=False):
            assert (message.state, problem in message.problem) == (state, True), (value, message)
            assert len(message.excerpt) <= 4096
        assert aside[0].excerpt == "no JSON"
        copies = await topics.read(topics.dead_letters, len(aside))
    told = {copy["offset"]: (copy["state"], copy["problem"], copy["excerpt"]) for copy in copies}
    assert told == {message.offset: (message.state, message.problem, message.excerpt) for message in aside}


async def test_while_something_is_away_the_message_waits_and_becomes_one_run(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        service.runner.refusal = Unavailable("The platform is away.")
        await topics.send(REQUEST, {**REQUEST, "id": "later"})
        await eventually(lambda: _at_least(service.counted("postponed"), 2))
        assert service.counted("postponed") < 10  # with pauses in between
        assert await topics.committed() is None
        assert await service.runs() == []
        service.runner.refusal = None
        await service.until(2, MessageState.STARTED)
        assert len(await service.runs()) == 2


async def _at_least(value: float, least: float) -> bool:
    return value >= least


async def test_a_platform_that_breaks_when_it_takes_the_run_is_asked_again(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        service.runner.breakage = Unavailable("The platform has just gone away.")
        await topics.send({**REQUEST, "id": "again"})
        await eventually(lambda: _at_least(service.counted("postponed"), 1))
        service.runner.breakage = None
        [message] = await service.until(1, MessageState.STARTED)
        states = {run.id: run.state for run in await service.runs()}
        assert states.pop(message.execution_id or "") is ApplicationState.PENDING
        assert set(states.values()) == {ApplicationState.SUBMISSION_FAILED}


async def test_by_tokens_only_workspaces_that_let_it_are_run_by_messages(
    services: MessageServices, topics: Topics
) -> None:
    tokens = {"access_control": "tokens", "kafka_runs_as": "orders"}
    async with services.open(topics.address, **topics.settings, **tokens) as service:
        await topics.send(REQUEST)
        [refused] = await service.until(1, MessageState.REFUSED)
        assert "'orders' may not run programs" in refused.problem
        await service.workspaces.stored.set_members("team", ["orders"], [])
        await topics.send(REQUEST)
        await service.until(1, MessageState.STARTED)
        [run] = await service.runs()
        assert run.submitted_by == "orders"


async def test_logs_are_sent_in_batches_with_the_number_of_their_first_line(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings, kafka_log_topic=topics.logs) as service:
        service.runner.log = "\n".join(f"line {number}" for number in range(1200))
        await topics.send(REQUEST)
        [message] = await service.until(1, MessageState.STARTED)
        await service.executions.record_state(message.execution_id or "", ApplicationState.COMPLETED)
        batches = await topics.read(topics.logs, 3, key=message.execution_id)
        assert [batch["offset"] for batch in batches] == [0, 500, 1000]
        assert [line for batch in batches for line in batch["lines"]] == service.runner.log.splitlines()
        await eventually(lambda: _is_closed(service.messages.stored, message.id))


async def _is_closed(stored: Any, message_id: str) -> bool:
    message = await stored.find(message_id)
    return not message.open and message.log_sent and message.result_sent
