"""A model's process, on the side of who asks it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from common.processes.environment import passed_environment
from prediction.inference.model_process.messages import HEAD
from prediction.inference.model_process.watched import WatchedProcess
from prediction.inference.model_process.words import (
    ModelDied,
    ModelError,
    ModelFailed,
    ModelGone,
    ModelOverdue,
    ModelTooLarge,
    how_it_ended,
    with_log,
)

_HOST = Path(__file__).with_name("host.py")
"""Never imported: what it does to the path of modules is for its own process."""

_LAST_WORDS_SECONDS = 0.5
_END_SECONDS = 5.0
"""What was killed has ended long before, unless a device does not answer."""


@dataclass(frozen=True)
class ModelConfig:
    """What a process is to answer with.

    Attributes:
        kind: "python" or "onnx".
        folder: The version's files.
        file: Of the model, from the folder on.
        threads: How many it computes with.
        plan: Of an ONNX model: how fields become tensors; see `tensors.py`.
    """

    kind: str
    folder: Path
    file: str
    threads: int = 1
    plan: Mapping[str, Any] = field(default_factory=dict)


class ModelProcess:
    """A loaded model in a process of its own, which answers one request at a time.

    To be used in the event loop in which it was started. It ends with this process, however that ends.
    """

    def __init__(self, process: WatchedProcess, ended: asyncio.Event, limit_bytes: int) -> None:
        self._process = process
        self._ended = ended
        self._limit_bytes = limit_bytes
        self._turn = asyncio.Lock()
        self._asked = 0
        self._is_out_of_step = False
        self.found: dict[str, Any] = {}
        """What the process says of its model: functions of a file, tensors of an ONNX model."""

    @classmethod
    async def start(
        cls,
        config: ModelConfig,
        environment: Path | None,
        memory_limit_bytes: int,
        load_seconds: float,
    ) -> Self:
        """Start a process; returns when it has loaded the model.

        Args:
            environment: A packed environment that works as an interpreter; None: this process's own Python.
            memory_limit_bytes: Of the process and all that it starts.
        Raises:
            ModelFailed: It could not be loaded, or not in time.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def when_ended() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended.set)

        command = [str(environment or sys.executable), str(_HOST)]
        variables = _variables(config.threads, environment)
        starting = asyncio.create_task(
            asyncio.to_thread(WatchedProcess, command, variables, memory_limit_bytes, when_ended)
        )
        try:
            process = await asyncio.shield(starting)
        except OSError as error:
            raise ModelFailed(f"Its Python could not be started: {error}.") from error
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_started)
            raise
        process.socket.setblocking(False)
        model = cls(process, ended, memory_limit_bytes)
        try:
            model.found = await model._load(config, load_seconds)
        except BaseException:
            await model.close()
            raise
        return model

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """The last 64 KiB of what it printed."""
        return self._process.log

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> None:
        """Returns when it has ended."""
        await self._ended.wait()

    async def ask(self, frame: bytes, limit_seconds: float) -> bytes:
        """The answer to a request, both frames.

        Who is cancelled while another request is computed withdraws; what has begun is computed to its end.

        Args:
            limit_seconds: How long it may compute, once it is its turn; then the process is killed.
        Raises:
            ModelDied, ModelOverdue, ModelTooLarge: The process is gone.
            ModelGone: It was before it began with this.
        """
        await self._turn.acquire()
        if self._ended.is_set():
            self._turn.release()
            raise ModelGone(str(self._why_it_ended()))
        asking = asyncio.create_task(self._exchange(frame, limit_seconds))
        asking.add_done_callback(self._release)
        return await asyncio.shield(asking)

    async def close(self) -> None:
        """End it and all that it started."""
        await self._kill()
        self._process.socket.close()

    def _release(self, asking: "asyncio.Task[bytes]") -> None:
        self._turn.release()
        if not asking.cancelled():
            asking.exception()  # whoever asked may be gone; nobody need be told that nobody was told

    async def _exchange(self, frame: bytes, limit_seconds: float) -> bytes:
        try:
            async with asyncio.timeout(limit_seconds):
                self._asked += 1
                await self._send(frame)
                return bytes(await self._receive())
        except TimeoutError as error:
            await self._kill()
            message = f"It had not answered after {limit_seconds:g} s, and was ended."
            raise ModelOverdue(with_log(message, self.log)) from error
        except (OSError, EOFError) as error:
            raise await self._gone() from error

    async def _load(self, config: ModelConfig, seconds: float) -> dict[str, Any]:
        to_run = asdict(config) | {"folder": str(config.folder.resolve())}
        try:
            async with asyncio.timeout(seconds):
                await self._send(json.dumps(to_run).encode())
                message = json.loads(await self._receive())
        except TimeoutError as error:
            await self._kill()
            raise ModelFailed(with_log(f"It was not loaded after {seconds:g} s.", self.log)) from error
        except (OSError, EOFError) as error:
            raise ModelFailed(str(await self._gone())) from error
        if message["event"] != "ready":
            raise ModelFailed(message["message"])
        found: dict[str, Any] = message["found"]
        return found

    async def _send(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._process.socket, HEAD.pack(len(message), self._asked))
        await loop.sock_sendall(self._process.socket, message)

    async def _receive(self) -> bytearray:
        """Raises EOFError, OSError: the process is gone, or going, or of no use any more."""
        length, number = HEAD.unpack(await self._filled(bytearray(HEAD.size)))
        if number != self._asked:
            self._is_out_of_step = True
            raise EOFError
        return await self._filled(bytearray(length))

    async def _filled(self, buffer: bytearray) -> bytearray:
        loop, view = asyncio.get_running_loop(), memoryview(buffer)
        while view:
            count = await loop.sock_recv_into(self._process.socket, view)
            if not count:
                raise EOFError
            view = view[count:]
        return buffer

    async def _gone(self) -> ModelError:
        """Why a process that has closed its socket has ended; where it has not, it is of no use any more."""
        if not self._is_out_of_step:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_SECONDS):
                    await self._ended.wait()  # killed at once, it would seem to have ended of that
        await self._kill()
        return self._why_it_ended()

    async def _kill(self) -> None:
        self._process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._ended.wait()

    def _why_it_ended(self) -> ModelError:
        if self._process.excess_bytes:
            return ModelTooLarge(
                f"It took {_mebibytes(self._process.excess_bytes)} of memory, of"
                f" {_mebibytes(self._limit_bytes)} that it may, and was ended."
            )
        if self._is_out_of_step:
            message = (
                "It wrote to its connection with the service, and was ended: what it prints goes to 1 or 2."
            )
            return ModelDied(with_log(message, self.log))
        code = self._process.code
        how = how_it_ended(code) if code is not None else "it does not end"
        return ModelDied(with_log(f"The model's process is gone: {how}.", self.log))


def _kill_started(starting: "asyncio.Task[WatchedProcess]") -> None:
    """Of a start that nobody waits for any more."""
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()


def _variables(threads: int, environment: Path | None) -> dict[str, str]:
    """What the process sees of ours: no secrets, and none of our modules."""
    count = str(threads)
    variables = passed_environment() | {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "PYTHONUNBUFFERED": "1",  # what it printed before it crashed is worth the most
        "PYTHONDONTWRITEBYTECODE": "1",  # the version's files stay what they are
    }
    if environment:
        # Beside it, so that it is unpacked once for all processes that run in it.
        variables["PEX_ROOT"] = str(environment.with_name(f"{environment.name}.unpacked"))
        variables["PEX_EMIT_WARNINGS"] = "0"
    return variables


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
