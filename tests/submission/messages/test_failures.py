"""What fails of one message, or one topic, holds up no other."""

from pathlib import Path
from typing import Any

import pytest

from common.executions.documents import ApplicationState
from submission.messages import broker
from submission.messages.documents import MessageState
from tests.support.kafka import Topics
from tests.support.messages import MessageServices, eventually
from tests.support.samples import unique_name

REQUEST = {"user": "team", "file": "train.py", "location": "."}


@pytest.fixture
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that takes messages of 4 KiB."""
    options = broker.broker_options

    def small(*args: Any) -> dict[str, Any]:
        return {**options(*args), "max_request_size": 4096}

    monkeypatch.setattr(broker, "broker_options", small)


async def test_results_are_json_whatever_a_program_writes(services: MessageServices, topics: Topics) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        await topics.send(REQUEST)
        [message] = await service.until(1, MessageState.STARTED)
        content = b'{"loss": NaN, "all": [1e999, {"a": -Infinity}, 0.5], "\\ud800": "\\udfff"}'
        await service.complete(message.execution_id or "", "result.json", content)
        [*_, result] = await topics.read(topics.replies, 3, key=message.execution_id)
    assert result["result"] == {"loss": None, "all": [None, {"a": None}, 0.5], "?": "?"}


@pytest.mark.usefixtures("small_messages")
async def test_a_result_that_the_broker_does_not_take_is_told_without_it(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        await topics.send(REQUEST, {**REQUEST, "id": "next"})
        first, second = await service.until(2, MessageState.STARTED)
        large = b'{"text": "' + b"x" * 8000 + b'"}'
        await service.complete(first.execution_id or "", "result.json", large)
        await service.complete(second.execution_id or "", "result.json", b'{"text": "x"}')
        [*_, result] = await topics.read(topics.replies, 3, key=first.execution_id)
        assert (result["type"], result["state"], result["result"]) == ("result", "COMPLETED", None)
        assert result["detail"].endswith(f"GET /training/program_runs/{first.execution_id}/result")
        [*_, result] = await topics.read(topics.replies, 3, key=second.execution_id)
        assert result["result"] == {"text": "x"}


@pytest.mark.usefixtures("small_messages")
async def test_lines_that_the_broker_does_not_take_together_are_sent_apart(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings, kafka_log_topic=topics.logs) as service:
        service.runner.log = "\n".join([*(f"{number}" * 1500 for number in range(4)), "x" * 5000])
        await topics.send(REQUEST)
        [message] = await service.until(1, MessageState.STARTED)
        await service.executions.record_state(message.execution_id or "", ApplicationState.COMPLETED)
        batches = await topics.read(topics.logs, 4, key=message.execution_id)
    assert [(batch["offset"], len(batch["lines"])) for batch in batches] == [(0, 2), (2, 1), (3, 1), (4, 1)]
    assert batches[3]["lines"] == ["[a line that is too long for the broker]"]


async def test_a_topic_that_takes_nothing_holds_up_no_other(
    services: MessageServices, topics: Topics
) -> None:
    dead = {"kafka_dead_letter_topic": "no topic has/this name", "kafka_timeout_seconds": 2.0}
    async with services.open(topics.address, **topics.settings, **dead) as service:
        await topics.send(b"no JSON", b"no JSON either")
        await service.until(2, MessageState.UNREADABLE)
        await topics.send(REQUEST)
        [message] = await service.until(1, MessageState.STARTED)
        await service.executions.record_state(message.execution_id or "", ApplicationState.COMPLETED)
        replies = await topics.read(topics.replies, 3, key=message.execution_id)
        assert [reply["type"] for reply in replies] == ["state", "state", "result"]
        assert all(aside.open for aside in await service.stored(MessageState.UNREADABLE))


async def test_a_run_that_failed_before_its_message_was_marked_is_followed_by_another(
    services: MessageServices, topics: Topics
) -> None:
    await topics.send({**REQUEST, "id": "again"})
    async with services.open(topics.address, **topics.settings) as service:
        await service.until(1, MessageState.STARTED)
        [failed] = await service.runs()
        await service.executions.record_state(failed.id, ApplicationState.SUBMISSION_FAILED, "no environment")
    await services.set_back(f"{topics.requests}/id/again", with_run=False)
    group = unique_name("group")
    async with services.open(topics.address, **{**topics.settings, "kafka_group": group}) as again:
        [message] = await again.until(1, MessageState.STARTED)
        assert message.execution_id != failed.id
        states = {run.id: run.state for run in await again.runs()}
    assert states == {
        failed.id: ApplicationState.SUBMISSION_FAILED,
        message.execution_id: ApplicationState.PENDING,
    }


async def test_a_file_that_is_damaged_holds_up_no_message_after_it(
    services: MessageServices, topics: Topics, tmp_path: Path
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        await service.workspaces.put("team", "damaged/train.py", b"print()", None)
        await service.workspaces.put("team", "damaged/requirements.txt", b"numpy==2.0.0", None)
        for path in (tmp_path / "models").rglob("*"):
            if path.is_file() and path.read_bytes() == b"numpy==2.0.0":
                path.write_bytes(b"numpy==2.0.1")
        await topics.send({**REQUEST, "location": "damaged"}, REQUEST)
        await service.until(1, MessageState.STARTED)
        [refused] = await service.stored(MessageState.REFUSED)
    assert refused.problem.startswith("The artifact is damaged: ")


async def test_what_fails_unexpectedly_is_set_aside_in_place_of_what_was_received(
    services: MessageServices, topics: Topics
) -> None:
    async with services.open(topics.address, **topics.settings) as service:
        service.runner.breakage = ValueError("nobody has thought of this")
        await topics.send(REQUEST)
        await eventually(lambda: _is_committed(topics))
        [message] = await service.stored()
    assert (message.state, message.problem) == (
        MessageState.REFUSED,
        "The service has failed with it: ValueError",
    )
    assert message.excerpt


async def _is_committed(topics: Topics) -> bool:
    return await topics.committed() == 1
