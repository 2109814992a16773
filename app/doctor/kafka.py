"""Kafka: whether the service could connect, as its own start does it."""

from app.doctor.finding import Finding, ok, skipped, wrong
from common.errors import StartError
from common.settings.messages import MessageSettings

_KAFKA = "Kafka"


async def check_kafka(settings: MessageSettings) -> Finding:
    """Whether a broker takes the connection; nothing is read from it."""
    if not settings.kafka_endpoint:
        return skipped(_KAFKA, "requests come over HTTP alone (KAFKA_ENDPOINT is not set)")
    from submission.messages.broker import Broker  # 30 MB and a third of a second, where there is a broker

    try:
        broker = Broker(settings, _take_nothing)
        await broker.connect()
    except StartError as error:
        mend = "Start the broker, or mend the setting that is named; unset KAFKA_ENDPOINT to do without one."
        return wrong(_KAFKA, str(error), mend)
    await broker.stop()
    return ok(_KAFKA, f"a broker of {settings.kafka_endpoint} takes the connection")


async def _take_nothing(record: object) -> None:
    """The group is not joined: no message comes."""
