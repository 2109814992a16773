"""Where applications run: the seam between submission and a platform."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from common.executions.documents import ApplicationExecution, ApplicationState
from common.loops import Loop
from common.wire.specs import WorkerSpecs
from submission.log_lines import NumberedLines
from submission.manifest.build import Manifest
from submission.manifest.platform import Platform

TokenFor = Callable[[str], Awaitable[str]]
"""What the driver of an application execution shows when it reports; empty: it needs nothing."""


async def no_token(_: str) -> str:
    """Where reports need none."""
    return ""


class RecordState(Protocol):
    """Stores a state change (`ExecutionRepository.record_state`); false when the state was final already."""

    async def __call__(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> bool: ...


class Runner(Protocol):
    """Carries out manifests and records how that goes through a `RecordState`.

    Executions are known to it by their ids. What it has to know again after a restart, it is handed
    by `resume`, or finds in the database.
    """

    @property
    def name(self) -> str:
        """As stored in `ApplicationExecution.runner`: the platform's name, and where several services
        cannot go on with each other's executions, after a slash which of them this is."""
        ...

    @property
    def platform(self) -> Platform:
        """What its manifests have to be like; the same for all runners of a kind."""
        ...

    def max_executors(self, worker: WorkerSpecs) -> int | None:
        """How many executors of this size the platform can hold; None: no limit is known."""
        ...

    async def check(self, manifest: Manifest) -> None:
        """Refuse what could never start, before it is stored.

        Raises:
            InvalidRequest: The manifest asks for something that this platform cannot do.
            Unavailable: The platform itself is not in order.
        """
        ...

    async def dry_run(self, manifest: Manifest) -> dict[str, Any]:
        """The platform's verdict on a manifest, which is not carried out, as JSON.

        Returns:
            `accepted`, and who says so as `checked_by`; of a refusal its `status`, its `reason` and
            `errors`, a `field` and a `message` each; otherwise `warnings`.
        Raises:
            Unavailable: There is no verdict now.
        """
        ...

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        """Take responsibility for an execution; returns the platform's answer as JSON.

        Returns before the application runs. Once it has returned, every further change of state is
        recorded, whatever happens.
        """
        ...

    async def stop(self, execution_id: str, reason: str = "Killed on request.") -> bool:
        """End an application, running or waiting, and record KILLED; false if it is unknown here.

        Returns when the end is recorded, or where that takes a platform longer, is under way.

        Raises:
            Unavailable: The platform does not answer; the end is brought about once it does.
        """
        ...

    async def read_log(self, execution_id: str, tail_lines: int, attempt: int | None = None) -> str | None:
        """The last lines that the driver wrote; None when there are none (yet, or any more).

        Args:
            attempt: Number, from 1, of an attempt that failed before another one began; None: the last one.
        Raises:
            NotFound: There are none, and the platform says why.
        """
        ...

    def follow_log(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        """The last lines that the driver wrote, then every further one, without their ends.

        Waits for an application that has not started yet; ends when the application has ended.
        """
        ...

    def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        """As `follow_log`, from the line of this number on, however long ago it was written.

        Numbers are those of `read_lines`.
        """
        ...

    async def read_lines(self, execution_id: str, offset: int, *, ended: bool) -> NumberedLines | None:
        """Lines of the driver's log from the one of this number on, as many as fit into an answer.

        Args:
            ended: Whether the application has ended: then what has no line end is a line, too.
        Returns:
            None where there is no log (yet, or any more).
        """
        ...

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        """Take up executions without a final state from before a restart, oldest first."""
        ...

    def loops(self) -> Sequence[Loop]:
        """What is to run while the service does, besides what was asked for."""
        ...

    async def aclose(self) -> None:
        """Release everything; applications that cannot go on without the service are ended."""
        ...
