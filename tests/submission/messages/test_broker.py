"""A real broker that goes away, encrypts, shares its messages anew, and a service that is killed."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from app.doctor.finding import Verdict
from app.doctor.kafka import check_kafka
from common.errors import StartError, Unavailable
from common.processes.guarded import free_port
from common.settings.messages import MessageSettings
from submission.messages import broker
from submission.messages.documents import MessageState
from submission.program_requests import StartProgram
from tests.support.kafka import OFFSET_COMMIT, Topics, broker_behind_a_proxy
from tests.support.messages import MessageServices, eventually

REQUEST = {"user": "team", "arguments": ["--epochs", 3]}


async def test_a_broker_that_is_away_at_the_start_stops_it(services: MessageServices) -> None:
    with pytest.raises(StartError, match=r"^KAFKA_ENDPOINT: no broker of 127.0.0.1:\d+ can be used"):
        async with services.open(f"127.0.0.1:{free_port()}"):
            pass


async def test_the_doctor_connects_and_takes_nothing(services: MessageServices, topics: Topics) -> None:
    await topics.send(REQUEST)
    settings = MessageSettings.model_validate({"kafka_endpoint": topics.address, **topics.settings})
    found = await check_kafka(settings)
    assert found.verdict is Verdict.OK, found
    async with services.open(topics.address, **topics.settings) as service:
        await service.until(1, MessageState.STARTED)


async def test_one_that_goes_away_later_is_waited_for(services: MessageServices) -> None:
    async with broker_behind_a_proxy() as (_, proxy):
        topics = Topics(proxy.address)
        async with services.open(proxy.address, **topics.settings, kafka_timeout_seconds=2.0) as service:
            opened = service.messages.opened
            assert opened is not None
            await topics.send({**REQUEST, "id": "before"})
            await service.until(1, MessageState.STARTED)
            await proxy.go()
            await opened.broker.look()
            assert opened.broker.is_up is False
            with pytest.raises(Unavailable):
                await opened.request("team", StartProgram(), "meanwhile")
            await proxy.come()
            await topics.send({**REQUEST, "id": "after"})
            await eventually(lambda: _has_come(service, "after"))
            await opened.broker.look()
            assert opened.broker.is_up is True
            # That may have reached the broker, or not; sent again it is one run in any case.
            await opened.request("team", StartProgram(), "meanwhile")
            await service.until(3, MessageState.STARTED)
            assert len(await service.runs()) == 3
            for run in await service.runs():
                [reply] = await topics.read(topics.replies, 1, key=run.id)
                assert reply["state"] == "PENDING"


async def _has_come(service: object, own_id: str) -> bool:
    stored = await service.stored(MessageState.STARTED)  # type: ignore[attr-defined]
    return any(message.own_id == own_id for message in stored)


async def test_encrypted_with_an_authority_of_ones_own(services: MessageServices, tmp_path: Path) -> None:
    authority, another = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    for name, each in (("right", authority), ("wrong", another)):
        each.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    (tmp_path / "none.pem").write_text("no certificate")
    tls = {"kafka_security_protocol": "SSL", "kafka_ca_file": str(tmp_path / "right.pem")}
    async with broker_behind_a_proxy(context) as (_, proxy):
        trusting = ssl.create_default_context(cafile=tls["kafka_ca_file"])
        topics = Topics(proxy.address, security_protocol="SSL", ssl_context=trusting)
        async with services.open(proxy.address, **topics.settings, **tls) as service:
            await topics.send(REQUEST)
            await service.until(1, MessageState.STARTED)
        for wrong, why in {
            "wrong.pem": "KAFKA_CA_FILE: the broker's certificate is not trusted",
            "none.pem": "KAFKA_CA_FILE: the file holds no certificates",
            "missing.pem": "KAFKA_CA_FILE: the file cannot be read",
        }.items():
            with pytest.raises(StartError, match=why):
                async with services.open(proxy.address, **{**tls, "kafka_ca_file": str(tmp_path / wrong)}):
                    pass


async def test_a_second_consumer_that_joins_takes_no_message_twice(
    services: MessageServices, topics: Topics
) -> None:
    count = 100

    async def send() -> None:
        for number in range(count):
            await topics.send({**REQUEST, "arguments": [number]}, partition=number % 4)
            await asyncio.sleep(0.05)

    async with services.open(topics.address, **topics.settings) as first:
        sending = asyncio.create_task(send())
        await first.until(10, MessageState.STARTED)
        async with services.open(topics.address, **topics.settings) as second:
            await sending
            await first.until(count, MessageState.STARTED)
            runs = await first.runs()
            assert sorted(run.global_specs.algorithm_args[0] for run in runs) == list(range(count))
            assert second.counted("started") > 0
            assert first.counted("started") + second.counted("started") == count


async def test_what_was_not_acknowledged_is_handed_over_again_and_is_no_second_run(
    services: MessageServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_STOP_SECONDS", 1.0)  # in vain: what would be waited for is held back
    async with broker_behind_a_proxy() as (_, proxy):
        topics = Topics(proxy.address)
        proxy.held.add(OFFSET_COMMIT)
        async with services.open(proxy.address, **topics.settings) as service:
            await topics.send(REQUEST)
            await service.until(1, MessageState.STARTED)
            await proxy.holds.wait()
        assert await topics.committed() is None
        proxy.held.clear()
        async with services.open(proxy.address, **topics.settings) as again:
            await eventually(lambda: _is_one(again.counted("repeated")))
            assert len(await again.runs()) == 1
            await eventually(lambda: _is_committed(topics))


async def _is_one(value: float) -> bool:
    return value == 1.0


async def _is_committed(topics: Topics) -> bool:
    return await topics.committed() == 1
