"""Publishes a model for each line of JSON, in a copy that kills itself just before one of its steps.

A step is whatever changes something outside of the process: a change of the file system, a request
to HDFS other than GET, a command to MongoDB that writes. The published code knows nothing of it: steps
are seen through Python's audit events and the driver's listeners. Each is printed before it is done.
"""

import asyncio
import json
import os
import re
import resource
import signal
import sys
import threading
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from common.models.artifacts import ArtifactStore
from common.models.folder import FolderStore
from common.models.hdfs import HdfsStore
from common.models.registry import ModelRegistry
from common.processes.guarded import service_identity
from common.settings.hdfs import HdfsSettings
from tests.support.publishing.fixed_gate import FixedGate
from tests.support.registered import FILES
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher, new_version
from training.runs.repository import TrainingRunRepository

HALF_BYTES = 1000
"""Where the writing of a file is cut off; the description of a model is shorter, its weights longer."""

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITES = {"insert", "update", "delete", "findAndModify", "commitTransaction", "abortTransaction"}
_ARTIFACT_ID = re.compile(
    r"\d{8}T\d{6}Z-[0-9a-f]{8}(~[0-9a-f]{8})?"
)  # with the writer's name, if half written


class Steps(CommandListener):
    """Counts; at number `kill_at` the process ends."""

    def __init__(self, kill_at: int, data_dir: Path) -> None:
        self._kill_at = kill_at
        self._data_dir = str(data_dir)
        self._counting = False
        self._count = 0
        self._lock = threading.Lock()
        self._written: dict[int, str] = {}
        sys.addaudithook(self._on_event)

    def begin(self) -> None:
        self._counting = True

    def end(self) -> None:
        self._counting = False

    def _step(self, name: str, *, in_the_middle: bool = False) -> None:
        if not self._counting:
            return
        with self._lock:
            self._count += 1
            os.write(1, f"{_ARTIFACT_ID.sub('ARTIFACT', name)}\n".encode())
            if self._count != self._kill_at:
                return
            if in_the_middle:
                # The kernel ends a process that writes beyond this limit. The pipe above has none.
                resource.setrlimit(resource.RLIMIT_FSIZE, (HALF_BYTES, HALF_BYTES))
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    # --- files and HDFS -------------------------------------------------------------------------

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._counting:
            return
        if event in _CHANGES:
            self._step(f"file {event.removeprefix('os.')} {self._relative(arguments[0])}")
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            name = self._relative(arguments[0])
            self._step(f"file open {name}")
            if Path(name).suffix == ".safetensors":
                self._step(f"file half of {name}", in_the_middle=True)
        elif event == "http.client.send":
            self._on_request(bytes(arguments[1]))

    def _on_request(self, sent: bytes) -> None:
        head = re.match(rb"([A-Z]+) (\S+) HTTP/1.1\r\n", sent)
        if head is None:
            self._step("hdfs content of a file")
        elif head[1] != b"GET":
            address = urlsplit(head[2].decode())
            place = "datanode " if "namenoderpcaddress" in address.query else ""
            operation = parse_qs(address.query)["op"][0]
            self._step(f"hdfs {place}{operation} {address.path.rpartition('/')[2]}")

    def _relative(self, path: object) -> str:
        return os.fsdecode(path).removeprefix(f"{self._data_dir}/")  # type: ignore[arg-type]

    # --- MongoDB --------------------------------------------------------------------------------

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in _WRITES:
            collection = event.command.get(event.command_name)
            name = f"{event.command_name} {collection}" if isinstance(collection, str) else event.command_name
            self._written[event.request_id] = name
            self._step(f"mongodb {name}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Done, but nobody in this process knows."""
        if name := self._written.pop(event.request_id, None):
            self._step(f"mongodb {name}: done")

    def failed(self, event: CommandFailedEvent) -> None:
        if name := self._written.pop(event.request_id, None):
            self._step(f"mongodb {name}: failed")


async def open_store(settings: dict[str, Any] | None, data_dir: Path, stack: AsyncExitStack) -> ArtifactStore:
    """HDFS with these settings, otherwise the service's own folder."""
    if settings is None:
        return FolderStore(data_dir)
    store = HdfsStore(HdfsSettings(**settings))
    stack.push_async_callback(store.aclose)
    return store


async def publish(request: dict[str, Any]) -> None:
    """Train, as it were, and publish; or publish what an earlier process has kept."""
    data_dir = Path(request["data_dir"])
    steps = Steps(request["kill_at"], data_dir)
    async with AsyncExitStack() as stack:
        store = await open_store(request["hdfs"], data_dir, stack)
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            request["mongo_uri"], tz_aware=True, event_listeners=[steps]
        )
        stack.push_async_callback(client.close)
        runs = TrainingRunRepository(client, request["database"])
        registry = ModelRegistry(client, request["database"])
        gate = FixedGate(registry, promoted=request["promoted"])
        publisher = Publisher(runs, registry, store, gate, Outbox(data_dir), heartbeat_seconds=60.0)
        if request["is_restart"]:
            steps.begin()
            await publisher.claim()
        else:
            owner = service_identity()
            run = await runs.claim(owner)
            assert run is not None, "the test has queued one"
            files = {**FILES, "model.json": json.dumps({"of": run.id}).encode()}
            data = {"runs": 1, "jobs": 6, "run_ids": [run.id]}
            new = new_version(run, files, schema_version=1, training_data=data)
            steps.begin()
            await publisher.keep(new, files)
            await runs.take_for_publishing(run.id, new.artifact_id, owner)
        assert await publisher.publish_all() == 0
        steps.end()


def answer_requests() -> None:
    """Have a copy of this process, in which all is imported, publish for each line of the input."""
    for line in sys.stdin:
        print(json.dumps(_published_by_a_copy(json.loads(line))), flush=True)


def _published_by_a_copy(request: dict[str, Any]) -> dict[str, Any]:
    """Its exit code, its steps, and what it complained of."""
    assert threading.active_count() == 1, "a copy would have the locks of others, which nobody opens"
    steps, errors = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(steps[1], 1)
            os.dup2(errors[1], 2)
            # The pipes end with whoever holds them: that is now the copy alone, by these two numbers.
            for descriptor in (*steps, *errors):
                os.close(descriptor)
            asyncio.run(publish(request))
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    told: list[str] = []
    for end, other in (steps, errors):
        os.close(other)
        with os.fdopen(end, "rb") as file:
            told.append(file.read().decode())
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "steps": told[0].splitlines(), "errors": told[1]}


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer_requests()
