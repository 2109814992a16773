"""How to connect to a broker, and why that fails."""

import asyncio
import logging
import ssl
from typing import Any

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from common.settings.messages import MessageSettings

_SAY_AGAIN_SECONDS = 60.0
_LOGGERS = ("", ".conn", ".consumer.consumer", ".consumer.fetcher", ".consumer.group_coordinator")


class _Sparse(logging.Filter):
    """Lets each line of the code speak once a minute: of a broker that is away several do, twice a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said."""
        place = (record.name, record.lineno)
        is_new = record.created - self._said.get(place, 0.0) >= _SAY_AGAIN_SECONDS
        if record.levelno < logging.WARNING or not is_new:
            return False
        self._said[place] = record.created
        return True


_sparse = _Sparse()


def quiet() -> None:
    """Have the library tell of what goes wrong, and now and then."""
    for name in _LOGGERS:
        logging.getLogger(f"aiokafka{name}").addFilter(_sparse)


_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def security(settings: MessageSettings) -> BaseSecurity:
    """Encryption and user. Raises StartError where a setting is missing, or the file is none."""
    context = settings.tls_context()
    settings.check_user()
    if not settings.uses_sasl:
        return BaseSecurity(ssl_context=context, use_ssl=settings.uses_tls)
    return _SASL[settings.kafka_sasl_mechanism](
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value(),
        ssl_context=context,
        use_ssl=settings.uses_tls,
    )


async def reason(settings: MessageSettings, error: BaseException) -> str:
    """Why a broker cannot be used, with the setting to look at; the libraries tell it to their logs alone."""
    if isinstance(error, TimeoutError):
        why = f"does not answer within {settings.kafka_timeout_seconds:g} s (KAFKA_TIMEOUT_SECONDS)"
        return f"KAFKA_ENDPOINT: the broker {why}."
    if settings.uses_tls and (failure := await _of_tls(settings)):
        return failure
    name = type(error).__name__
    if "Authentication" in name or "Authorization" in name or "Sasl" in name:
        return f"KAFKA_SASL_USERNAME: the broker refuses the user ({name})."
    if isinstance(error, UnknownTopicOrPartitionError):
        topic = settings.kafka_training_topic
        return f"KAFKA_TRAINING_TOPIC: there is no topic {topic}, and the broker makes none by itself."
    kind = name if isinstance(error, KafkaError) else "no broker"
    return f"KAFKA_ENDPOINT: no broker of {settings.kafka_endpoint} can be used ({kind})."


async def _of_tls(settings: MessageSettings) -> str:
    """What a handshake with the first server fails with; empty: it does not, or there is no connection."""
    host, _, port = settings.servers[0].rpartition(":")
    try:
        async with asyncio.timeout(settings.kafka_timeout_seconds):
            _, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=settings.tls_context(), server_hostname=host.strip("[]")
            )
    except ssl.SSLCertVerificationError as error:
        return f"KAFKA_CA_FILE: the broker's certificate is not trusted: {error.verify_message}."
    except ssl.SSLError:
        return "KAFKA_SECURITY_PROTOCOL: the broker does not speak TLS there."
    except OSError:
        return ""
    writer.close()
    return ""


def broker_options(settings: MessageSettings) -> dict[str, Any]:
    """Of every connection: what was acknowledged is with all replicas."""
    return {
        "bootstrap_servers": settings.servers,
        "security": security(settings),
        "acks": "all",
        "retry_backoff_ms": 500,
        "client_id": "enel-service",
        "apply_types": False,
    }
