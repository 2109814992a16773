"""One log, read in one pass: what happened in one attempt of an application's driver."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from training.event_logs.compression import UnreadableLog, plain
from training.event_logs.files import Files, FilesAway
from training.event_logs.jobs import JobCollector
from training.event_logs.lines import EventLines
from training.event_logs.logs import LogFiles

Json = dict[str, Any]

_SPOOL_BYTES = 16 << 20
"""Jobs of one run, in memory; beyond, they wait in a file."""


@dataclass
class RecordedAttempt:
    """What a log says.

    Attributes:
        start: The wire form, as `common.wire.events.ApplicationStarted` reads it; None: it has no start.
        ended_at: Epoch milliseconds of the context's end; None: the log does not have it.
        last_at: Of the latest event with a time that was taken.
        exit_code: Of the context, where Spark 4 tells it; that of the program may be another one.
        properties: Spark's configuration.
        versions: `spark_version`, `java_version`, `scala_version`, as far as they are told.
        why_incomplete: What is missing, or "".
        is_cut: Whether it ends in the middle of what is compressed.
        skipped: Events that are not wanted, by kind.
    """

    log: LogFiles
    start: Json | None = None
    ended_at: int | None = None
    last_at: int = 0
    exit_code: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    executor_cores: int | None = None
    scale_outs: tuple[int, int] | None = None
    input_bytes: float = 0.0
    last_job_failed: bool = False
    jobs: int = 0
    running_jobs: int = 0
    why_incomplete: str = ""
    is_cut: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    damaged_lines: int = 0
    read_bytes: int = 0

    def __post_init__(self) -> None:
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115

    @property
    def application_id(self) -> str:
        """Spark's; raises UnreadableLog where the log has none."""
        if self.start is None or not self.start.get("application_id"):
            why = f": {self.why_incomplete}" if self.log.missing or self.is_cut else ""
            raise UnreadableLog(f"It has no SparkListenerApplicationStart with an App ID{why}.")
        return str(self.start["application_id"])

    def add_job(self, update: Json) -> None:
        """Remember a job that has ended."""
        self._spool.write(json.dumps(update).encode() + b"\n")
        self.jobs += 1

    def job_updates(self) -> Iterator[Json]:
        """The wire forms of its jobs in the order of their ends, as often as they are wanted."""
        self._spool.seek(0)
        for line in self._spool:
            yield json.loads(line)

    def close(self) -> None:
        """Forget its jobs."""
        self._spool.close()


def read_log(
    files: Files, log: LogFiles, progress: Callable[[int], None] = lambda _: None
) -> RecordedAttempt:
    """Read a log to its end, or as far as it goes.

    Args:
        progress: Told how many bytes of the log, decompressed, have been read since it was told last.
    Raises:
        UnreadableLog: It is none, or none that can be read here.
        FilesAway: It cannot be read.
    """
    if log.away:
        raise FilesAway(log.away)
    replay = _Replay(RecordedAttempt(log))
    lines = EventLines(_HANDLERS)
    try:
        for event in lines.events(_pieces(files, log, progress)):
            replay.take(event)
    except FilesAway:
        replay.found.close()
        raise
    return replay.ended(lines)


def _pieces(files: Files, log: LogFiles, progress: Callable[[int], None]) -> Iterator[bytes]:
    for part in log.parts:
        with files.open(part.path) as file:
            for piece in plain(file):
                progress(len(piece))
                yield piece
        yield b"\n"  # a part may end without one


class _Replay:
    def __init__(self, found: RecordedAttempt) -> None:
        self.found = found
        self._jobs = JobCollector()
        self._scale_outs: Counter[int] = Counter()
        self._broken = 0
        self._without_start = 0
        """Jobs of which there is the end alone."""

    def take(self, event: Json) -> None:
        try:
            _HANDLERS[event["Event"]](self, event)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._broken += 1  # a vendor's variant, which must not cost the rest

    def ended(self, lines: EventLines) -> RecordedAttempt:
        found = self.found
        found.skipped, found.read_bytes = lines.skipped, lines.read_bytes
        found.damaged_lines = lines.damaged + self._broken
        found.running_jobs = self._jobs.running
        if self._scale_outs:
            found.scale_outs = min(self._scale_outs), max(max(self._scale_outs), self._jobs.executors.most)
        found.is_cut = bool(lines.cut)
        found.why_incomplete = found.log.missing or (f"it is cut: {lines.cut}" if lines.cut else "")
        if not found.why_incomplete and found.ended_at is None:
            found.why_incomplete = "it has no SparkListenerApplicationEnd"
        if not found.why_incomplete and self._without_start:
            found.why_incomplete = f"of {self._without_start} of its jobs it has no SparkListenerJobStart"
        if not found.why_incomplete and found.damaged_lines:
            found.why_incomplete = f"{found.damaged_lines} of its lines cannot be read"
        return found

    # --- what is taken of each event --------------------------------------------------------------

    def log_start(self, event: Json) -> None:
        self.found.versions["spark_version"] = event["Spark Version"]

    def environment(self, event: Json) -> None:
        properties = event.get("Spark Properties") or {}
        self.found.properties = {str(name): str(value) for name, value in dict(properties).items()}
        jvm = dict(event.get("JVM Information") or {})
        if java := jvm.get("Java Version"):
            self.found.versions["java_version"] = str(java).partition(" ")[0]
        if scala := jvm.get("Scala Version"):
            self.found.versions["scala_version"] = str(scala).removeprefix("version ")
        if self.found.properties.get("spark.eventLog.logBlockUpdates.enabled") == "true":
            self._jobs.cached_blocks.is_told = True

    def application_start(self, event: Json) -> None:
        attempt = str(event.get("App Attempt ID"))
        self.found.start = {
            "application_id": event["App ID"],
            "application_signature": event["App Name"],
            "attempt_id": int(attempt) if attempt.isdigit() else 0,
            "start_time": self._at(event["Timestamp"]),
        }

    def application_end(self, event: Json) -> None:
        self.found.ended_at = self._at(event["Timestamp"])
        self.found.exit_code = event.get("ExitCode")

    def executor_added(self, event: Json) -> None:
        self._jobs.executors.added(event["Executor ID"], self._at(event["Timestamp"]))
        if self.found.executor_cores is None and event["Executor ID"] != "driver":
            self.found.executor_cores = event["Executor Info"]["Total Cores"]

    def executor_removed(self, event: Json) -> None:
        self._jobs.executors.removed(event["Executor ID"], self._at(event["Timestamp"]))

    def job_start(self, event: Json) -> None:
        self._at(event["Submission Time"])
        self._jobs.job_started(event)

    def job_end(self, event: Json) -> None:
        self._at(event["Completion Time"])
        job = self._jobs.job_ended(event)
        if job is None:
            self._without_start += 1
            return
        self.found.add_job(job.update)
        self.found.last_job_failed = job.update["job_result"] != "JobSucceeded"
        self.found.input_bytes = max(self.found.input_bytes, job.input_bytes)
        self._scale_outs.update([job.update["start_scale_out"], job.update["end_scale_out"]])

    def stage_submitted(self, event: Json) -> None:
        self._jobs.stage_submitted(event["Stage Info"])

    def stage_completed(self, event: Json) -> None:
        self._jobs.stage_completed(event["Stage Info"])

    def block_updated(self, event: Json) -> None:
        self._jobs.cached_blocks.updated(event["Block Updated Info"])

    def block_manager_removed(self, event: Json) -> None:
        self._jobs.cached_blocks.lost(event["Block Manager ID"]["Executor ID"])

    def unpersisted(self, event: Json) -> None:
        self._jobs.cached_blocks.unpersisted(event["RDD ID"])

    def _at(self, time: int) -> int:
        self.found.last_at = max(self.found.last_at, time)
        return time


_HANDLERS: Mapping[str, Callable[[_Replay, Json], None]] = {
    "SparkListenerLogStart": _Replay.log_start,
    "SparkListenerEnvironmentUpdate": _Replay.environment,
    "SparkListenerApplicationStart": _Replay.application_start,
    "SparkListenerApplicationEnd": _Replay.application_end,
    "SparkListenerExecutorAdded": _Replay.executor_added,
    "SparkListenerExecutorRemoved": _Replay.executor_removed,
    "SparkListenerJobStart": _Replay.job_start,
    "SparkListenerJobEnd": _Replay.job_end,
    "SparkListenerStageSubmitted": _Replay.stage_submitted,
    "SparkListenerStageCompleted": _Replay.stage_completed,
    "SparkListenerBlockUpdated": _Replay.block_updated,
    "SparkListenerBlockManagerRemoved": _Replay.block_manager_removed,
    "SparkListenerUnpersistRDD": _Replay.unpersisted,
}
