"""What a signal to stop does, which changes once the service runs."""

import asyncio
import signal
from collections.abc import Callable


def on_signals(call: Callable[[], object]) -> None:
    """What SIGINT and SIGTERM call from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, call)
