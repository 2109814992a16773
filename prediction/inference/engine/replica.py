"""One replica: an actor of Ray Serve with a model process of its own.

The process is started again when it dies, so that neither a neighbour nor what waits here dies with it. No
exception leaves this, except from the constructor and the health check, where Ray Serve expects one.
"""

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from prediction.inference.engine import failures
from prediction.inference.engine.carried import Carried, fetched
from prediction.inference.engine.deployment import Deployment
from prediction.inference.engine.keeper import NotKept
from prediction.inference.engine.streams.doors import Door
from prediction.inference.model_process.child import ModelConfig, ModelProcess
from prediction.inference.model_process.words import ModelError, ModelFailed, ModelGone

CAUSE = "enel-cause:"
"""Before the cause, as a JSON string, in what Ray Serve tells of a failed start among lines of its own."""


class Replica:
    """Answers frames; the class that Ray Serve deploys."""

    async def __init__(  # type: ignore[misc] # Ray Serve awaits it
        self, described: dict[str, Any], brought: dict[str, Any] | None, doors: str | None
    ) -> None:
        """Load the model.

        Args:
            brought: What `keeper.bring` says of its files; None: they lie on this machine.
            doors: A folder for this one's door, see `doors`; None: who asks is not on this machine.
        Raises:
            RuntimeError: It does not load; the text holds CAUSE.
        """
        self._deployment = Deployment.from_described(described)
        self._carried: Carried | None = None
        self._id = uuid.uuid4().hex
        self._failure: str | None = None
        self._changed = asyncio.Condition()
        self.deaths = 0
        self.came_by_door = 0
        """Frames."""
        try:
            if brought is not None:
                self._carried = await asyncio.to_thread(fetched, brought)
            self._model = await self._started()
        except (ModelFailed, NotKept, OSError) as error:
            raise RuntimeError(f"{CAUSE}{json.dumps(str(error))}") from None
        self._keeping = asyncio.create_task(self._keep_loaded())
        self._door = await Door.open(doors, self._id, self._at_the_door) if doors else None

    async def predict(self, frame: bytes, deadline_seconds: float, limit_seconds: float) -> tuple[str, bytes]:
        """("ok", answer frame), or a name of `failures.KINDS` and a message in UTF-8.

        Args:
            deadline_seconds: How long the caller still waits.
            limit_seconds: How long it may compute; only then is the model's process ended, since one who has
                waited for others says nothing about the model.
        """
        try:
            async with asyncio.timeout(deadline_seconds):
                while True:
                    model = await self._loaded()
                    with contextlib.suppress(ModelGone):
                        return failures.OK, await model.ask(frame, limit_seconds)
        except TimeoutError:
            # It may not even have begun: nothing was ended for it.
            return "unavailable", f"It had not answered after {deadline_seconds:g} s.".encode()
        except ModelError as error:
            return failures.kind_of(error), str(error).encode()

    async def describe(self) -> dict[str, Any]:
        """What runs here: plain values."""
        return {
            "replica": self._id,
            "door": self._door.socket if self._door else None,
            "found": self._model.found,
            "deployment": self._deployment.described(),
            "pid": os.getpid(),
            "model_pid": self._model.pid,
            "deaths": self.deaths,
            "came_by_door": self.came_by_door,
            "log": self._model.log,
        }

    async def check_health(self) -> None:
        """That this answers shows that the loop runs. Raises RuntimeError: the model does not load again."""
        if self._failure is not None:
            raise RuntimeError(f"{CAUSE}{json.dumps(self._failure)}")

    async def __del__(self) -> None:
        """What Ray Serve awaits before it ends this: killed, it takes its children along, and what those have
        started outside of their group would be found by nobody."""
        self._keeping.cancel()
        await self._model.close()

    async def _at_the_door(self, head: Mapping[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
        self.came_by_door += 1
        kind, answer = await self.predict(frame, head["deadline_seconds"], head["limit_seconds"])
        return {"kind": kind}, answer

    async def _started(self) -> ModelProcess:
        to_run = self._deployment
        here = self._carried or to_run
        return await ModelProcess.start(
            ModelConfig(to_run.kind, here.folder, to_run.file, to_run.threads, to_run.plan),
            here.environment,
            to_run.memory_limit_bytes,
            to_run.load_seconds,
        )

    async def _loaded(self) -> ModelProcess:
        """The model's process, once there is one. Raises ModelFailed: there will be none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure is not None or not self._model.has_ended)
        if self._failure is not None:
            raise ModelFailed(self._failure)
        return self._model

    async def _keep_loaded(self) -> None:
        while self._failure is None:
            await self._model.wait()
            self.deaths += 1
            await self._model.close()
            try:
                self._model = await self._started()
            except Exception as error:  # whatever it is: who waits is told, and a health check tells Ray
                self._failure = str(error)
            async with self._changed:
                self._changed.notify_all()
