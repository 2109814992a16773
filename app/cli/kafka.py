"""Sending to a broker without a service."""

import asyncio
import importlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from common.settings.messages import MessageSettings


class NotSent(Exception):
    """The broker has not acknowledged it; it may have it all the same."""


class SentTo:
    """A broker, for one message."""

    def __init__(self, settings: MessageSettings) -> None:
        self._settings = settings

    async def send(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, and wait until all replicas have it.

        Returns:
            Where it is: topic, partition and offset.
        Raises:
            StartError: The settings are of no use.
            NotSent: The broker is away, or does not take it.
        """
        settings = self._settings
        settings.check_user()
        aiokafka = importlib.import_module("aiokafka")  # takes longer to load than most commands take
        options: dict[str, Any] = {
            "bootstrap_servers": settings.servers,
            "security_protocol": settings.kafka_security_protocol,
            "ssl_context": settings.tls_context(),
            "acks": "all",
        }
        if settings.uses_sasl:
            options |= {
                "sasl_mechanism": settings.kafka_sasl_mechanism,
                "sasl_plain_username": settings.kafka_sasl_username,
                "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
            }
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says is said once, below
        producer = aiokafka.AIOKafkaProducer(**options)
        try:
            async with asyncio.timeout(settings.kafka_timeout_seconds):
                await producer.start()
                sent = await producer.send_and_wait(
                    settings.kafka_training_topic, json.dumps(body).encode(), key=str(body["user"]).encode()
                )
        except (aiokafka.errors.KafkaError, OSError) as error:
            why = str(error) or f"nothing answers within {settings.kafka_timeout_seconds:g} s"
            raise NotSent(f"The broker at {settings.kafka_endpoint} has not taken it: {why}") from error
        finally:
            await producer.stop()
        return {"topic": sent.topic, "partition": sent.partition, "offset": sent.offset}
