"""How fast Spark's event logs are read, and within how much memory.

    python benchmarks/event_logs.py [--megabytes 1000] [--codecs plain zstd lz4 snappy] [--output DIR]

Makes up a log of jobs with two stages and 200 tasks each, as long as Spark writes them, and reads it once for
each codec, each time in a process of its own: the way of `enel import-event-logs` from the file to the bodies
of its requests, without sending them. Megabytes are 10^6 bytes of the log as it is without compression;
seconds are of one processor; memory is the largest resident set of the process, with Python and its modules,
which take the part that is said beside it.
"""

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402
import xxhash  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.reporting import open_console  # noqa: E402

Json = dict[str, Any]

START = 1_795_928_708_000
TASKS = 100
"""Of a stage."""

CODECS = ("plain", "zstd", "lz4", "snappy")

_BLOCK_BYTES = 1 << 16
_METRICS = (
    "internal.metrics.executorDeserializeTime",
    "internal.metrics.executorDeserializeCpuTime",
    "internal.metrics.executorRunTime",
    "internal.metrics.executorCpuTime",
    "internal.metrics.resultSize",
    "internal.metrics.jvmGCTime",
    "internal.metrics.peakExecutionMemory",
    "internal.metrics.shuffle.write.bytesWritten",
    "internal.metrics.shuffle.write.recordsWritten",
    "internal.metrics.input.bytesRead",
    "internal.metrics.input.recordsRead",
)


def event(name: str, **fields: Any) -> bytes:
    """A line of a log."""
    return json.dumps({"Event": f"SparkListener{name}", **fields}, separators=(",", ":")).encode() + b"\n"


def beginning() -> Iterator[bytes]:
    """Until the first job."""
    yield event("LogStart", **{"Spark Version": "4.1.4"})
    properties = {"spark.master": "spark://m:7077", "spark.executor.instances": "4"}
    yield event("EnvironmentUpdate", **{"Spark Properties": properties})
    yield event("ApplicationStart", **{"App Name": "Made up", "App ID": "app-1", "Timestamp": START})
    for number in range(4):
        info = {"Host": f"host-{number}", "Total Cores": 2}
        added = {"Timestamp": START, "Executor ID": str(number), "Executor Info": info}
        yield event("ExecutorAdded", **added)


def job(job_id: int) -> Iterator[bytes]:
    """From its start to its end."""
    start = START + 2000 * job_id
    accumulables = [
        {"ID": number, "Name": name, "Value": 1000 + number, "Internal": True, "Count Failed Values": True}
        for number, name in enumerate(_METRICS)
    ]
    stages = [
        {
            "Stage ID": 2 * job_id + number,
            "Stage Attempt ID": 0,
            "Stage Name": f"collect at program.py:{number}",
            "Number of Tasks": TASKS,
            "Parent IDs": [2 * job_id] if number else [],
            "RDD Info": [{"RDD ID": 2 * job_id + number, "Name": "rdd", "Number of Partitions": TASKS}],
            "Submission Time": start + 1000 * number,
            "Accumulables": accumulables,
        }
        for number in range(2)
    ]
    ids = [stage["Stage ID"] for stage in stages]
    yield event(
        "JobStart", **{"Job ID": job_id, "Submission Time": start, "Stage Infos": stages, "Stage IDs": ids}
    )
    for stage in stages:
        yield event("StageSubmitted", **{"Stage Info": stage})
        for task in range(TASKS):
            yield _task_end(stage["Stage ID"], task, start, accumulables)
        ended = {**stage, "Completion Time": stage["Submission Time"] + 900}
        yield event("StageCompleted", **{"Stage Info": ended})
    result = {"Result": "JobSucceeded"}
    yield event("JobEnd", **{"Job ID": job_id, "Completion Time": start + 1950, "Job Result": result})


def _task_end(stage_id: int, task: int, start: int, accumulables: list[Json]) -> bytes:
    info = {
        "Task ID": stage_id * TASKS + task,
        "Index": task,
        "Attempt": 0,
        "Launch Time": start,
        "Executor ID": str(task % 4),
        "Host": f"host-{task % 4}",
        "Locality": "PROCESS_LOCAL",
        "Speculative": False,
        "Finish Time": start + 500,
        "Failed": False,
        "Accumulables": accumulables,
    }
    reason = {"Task End Reason": {"Reason": "Success"}}
    named = {"Stage ID": stage_id, "Stage Attempt ID": 0, "Task Type": "ShuffleMapTask"}
    return event("TaskEnd", **named, **reason, **{"Task Info": info})


def write_log(path: Path, least_bytes: int) -> int:
    """Write a whole log of at least so many bytes; returns how many jobs it has."""
    jobs = 0
    with path.open("wb") as file:
        file.writelines(beginning())
        while file.tell() < least_bytes:
            file.writelines(job(jobs))
            jobs += 1
        file.write(event("ApplicationEnd", Timestamp=START + 2000 * jobs))
    return jobs


def compress(source: Path, target: Path, codec: str) -> None:
    """As Spark's JVM libraries frame it."""
    write_header, write_block = _WRITERS[codec]
    with source.open("rb") as plain, target.open("wb") as file:
        file.write(write_header)
        while piece := plain.read(_BLOCK_BYTES):
            write_block(file, piece)


def _zstd_frame(file: BinaryIO, piece: bytes) -> None:
    file.write(pa.Codec("zstd").compress(piece, asbytes=True))


def _lz4_block(file: BinaryIO, piece: bytes) -> None:
    packed = pa.Codec("lz4_raw").compress(piece, asbytes=True)
    checksum = xxhash.xxh32_intdigest(piece, 0x9747B28C) & 0x0FFFFFFF
    file.write(b"LZ4Block" + struct.pack("<BIII", 0x26, len(packed), len(piece), checksum) + packed)


def _snappy_block(file: BinaryIO, piece: bytes) -> None:
    packed = pa.Codec("snappy").compress(piece, asbytes=True)
    file.write(struct.pack(">i", len(packed)) + packed)


_WRITERS: dict[str, tuple[bytes, Callable[[BinaryIO, bytes], None]]] = {
    "zstd": (b"", _zstd_frame),
    "lz4": (b"", _lz4_block),
    "snappy": (b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1), _snappy_block),
}


def read(path: Path) -> Json:
    """What reading a log takes in this process: seconds of the processor, megabytes, jobs, bytes."""
    from training.event_logs.files import files_of
    from training.event_logs.logs import logs_below
    from training.event_logs.pieces import pieces_of
    from training.event_logs.recorded import read_log
    from training.event_logs.specs import Said

    before = _megabytes()
    began = time.process_time()
    files = files_of(str(path))
    [log] = logs_below(files, str(path))
    attempt = read_log(files, log)
    bodies = sum(len(json.dumps(piece)) for piece in pieces_of(attempt, Said()))
    seconds = time.process_time() - began
    found = {"jobs": attempt.jobs, "read_bytes": attempt.read_bytes, "incomplete": attempt.why_incomplete}
    attempt.close()
    return {
        **found,
        "body_bytes": bodies,
        "seconds": seconds,
        "idle_megabytes": before,
        "megabytes": _megabytes(),
    }


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measured(path: Path) -> Json:
    """The same of a process of its own."""
    command = [sys.executable, __file__, "--read", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: Json = json.loads(done.stdout)
    return found


def main() -> None:
    arguments = _arguments()
    if arguments.read is not None:
        print(json.dumps(read(arguments.read)))
        return
    console = open_console()
    rows: dict[str, Json] = {}
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "app-1"
        jobs = write_log(plain, round(arguments.megabytes * 1e6))
        for codec in arguments.codecs:
            path = plain if codec == "plain" else plain.with_suffix(f".{codec}")
            if codec != "plain":
                compress(plain, path, codec)
            rows[codec] = {**measured(path), "file_bytes": path.stat().st_size}
            if (rows[codec]["jobs"], rows[codec]["incomplete"]) != (jobs, ""):
                sys.exit(
                    f"{codec}: of {jobs} jobs {rows[codec]['jobs']} were read {rows[codec]['incomplete']}"
                )
            if codec != "plain":
                path.unlink()
    table = Table("codec", "MB in the file", "MB of log", "jobs", "s", "MB/s", "MB of memory", "before it")
    for codec, row in rows.items():
        size = row["read_bytes"] / 1e6
        table.add_row(
            codec,
            f"{row['file_bytes'] / 1e6:,.0f}",
            f"{size:,.0f}",
            f"{row['jobs']:,}",
            f"{row['seconds']:.2f}",
            f"{size / max(row['seconds'], 1e-9):,.0f}",
            f"{row['megabytes']:.0f}",
            f"{row['idle_megabytes']:.0f}",
        )
    console.print(table)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "event_logs.json").write_text(json.dumps(rows, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(CODECS))
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
