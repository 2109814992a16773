"""HTTP connections that are closed when nobody finishes a request on them.

uvicorn waits for ever for the rest of a request's headers: who sends a byte now and then, or none, keeps a
connection, and with enough of them every one that the system has.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.http.problems import MEDIA_TYPE

HEADER_SECONDS = 20.0
"""From a connection's beginning, or a further request's first byte, until its headers are there."""


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with a time limit on headers; bodies have theirs in `app.http.bodies`."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._unset()
        elif self._deadline is None:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _unset(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._answer()
        self.transport.close()

    def _answer(self) -> None:
        detail = f"The headers of the request did not arrive within {HEADER_SECONDS:g} s."
        told: dict[str, Any] = {"type": "about:blank", "title": "The request is too slow", "status": 408}
        body = json.dumps({**told, "detail": detail}).encode()
        headers = [
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        response = h11.Response(status_code=408, headers=headers, reason=b"Request Timeout")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
