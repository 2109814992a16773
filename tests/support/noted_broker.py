"""A broker that notes what it is given, for what is decided without one."""

from collections.abc import Mapping
from typing import Any

from common.settings.messages import MessageSettings
from submission.messages.errors import NotAcknowledged


class NotingBroker:
    """Takes messages as `Broker` does, until it goes away."""

    def __init__(self, **settings: object) -> None:
        """`settings` are some of MessageSettings, by name."""
        self.settings = MessageSettings.model_validate(settings)
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        """Topic and body of each."""
        self.takes: int | None = None
        """How many more it acknowledges; None: all."""

        self.refused = 0

    async def send(
        self,
        kind: str,
        topic: str,
        key: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        if self.takes == 0:
            self.refused += 1
            raise NotAcknowledged(f"The broker has not acknowledged a message to {topic}: it is away")
        if self.takes is not None:
            self.takes -= 1
        self.sent.append((topic, body))
        return {"topic": topic, "partition": 0, "offset": len(self.sent) - 1}
