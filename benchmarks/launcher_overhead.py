"""What the launcher of programs costs: the same file by a bare spark-submit, and as a program of a workspace.

    python benchmarks/launcher_overhead.py [--rounds 7]

Both in turn, on one service with its local Spark, from the start of spark-submit to the end of it, as the
service records them. Then the time from the request until the first line of the program's log, and what an
environment takes that is built first and is there already.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.client import AsyncClient  # noqa: E402
from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402

MOST_SECONDS = 1.5
console = open_console()

PROGRAM = """
import os, pathlib
from pyspark.sql import SparkSession
with SparkSession.builder.getOrCreate() as spark:
    print("counted", spark.sparkContext.parallelize(range(1000), 2).count())
if "ENEL_OUTPUT_DIR" in os.environ:
    (pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / "model.bin").write_bytes(bytes(1 << 20))
"""

QUICK = """
import os, pathlib
print("first line", flush=True)
(pathlib.Path(os.environ["ENEL_OUTPUT_DIR"]) / "model.bin").write_bytes(b"1")
"""

PACKAGES = "humanize==4.13.0\n"


async def main(rounds: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text(PROGRAM)
        async with (
            service_process(Path(folder) / "service", **ALONE) as url,
            AsyncClient(url) as client,
        ):
            await client.create_workspace("bench")
            await client.put_file("bench", "program.py", PROGRAM.encode())
            await client.put_file("bench", "quick/train.py", QUICK.encode())
            await client.put_file("bench", "packed/train.py", QUICK.encode())
            await client.put_file("bench", "packed/requirements.txt", PACKAGES.encode())
            await _overhead(client, program, rounds)
            await _first_line(client, rounds)
            await _environment(client)


async def _overhead(client: AsyncClient, program: Path, rounds: int) -> None:
    bare, launched = [], []
    for number in range(rounds + 1):
        submitted = await client.submit(_submission(program))
        seconds = _seconds(await client.ended_application(submitted["id"]))
        run = await client.run_program("bench", file="program.py", output="kept")
        both = seconds, _seconds(await client.ended_application(run["id"]))
        if number:  # the first pair starts the cluster
            bare.append(both[0])
            launched.append(both[1])
    more = [after - before for before, after in zip(bare, launched, strict=True)]
    rows = [
        ("bare spark-submit", f"{statistics.median(bare):.2f}", ""),
        ("with the launcher", f"{statistics.median(launched):.2f}", _ratio(launched, bare)),
        ("difference in a pair, median", f"{statistics.median(more):+.2f}", ""),
        ("difference in a pair, smallest", f"{min(more):+.2f}", ""),
        ("difference in a pair, largest", f"{max(more):+.2f}", ""),
    ]
    bar = Bar("seconds that the launcher costs", statistics.median(more), MOST_SECONDS)
    section = Section("From the start of spark-submit to its end", ("", "seconds", "ratio"), rows)
    show(console, [section, bars_section([bar])])


async def _first_line(client: AsyncClient, rounds: int) -> None:
    waited = []
    for _ in range(rounds):
        begun = time.monotonic()
        run = await client.run_program("bench", folder="quick", output="kept")
        async for line in client.follow_log(run["id"]):
            if "first line" in line:
                waited.append(time.monotonic() - begun)
                break
        await client.ended_application(run["id"])
    rows = [("median", f"{statistics.median(waited):.2f}"), ("largest", f"{max(waited):.2f}")]
    show(console, [Section("From the request to the first line of the program's log", ("", "seconds"), rows)])


async def _environment(client: AsyncClient) -> None:
    rows = []
    for name in ("built first", "there already"):
        begun = time.monotonic()
        run = await client.run_program("bench", folder="packed", output="kept")
        application = await client.ended_application(run["id"])
        until = [change["at"] for change in application["state_changes"] if change["state"] == "PENDING"]
        waited = datetime.fromisoformat(until[0]) - datetime.fromisoformat(application["created_at"])
        rows.append((name, f"{waited.total_seconds():.2f}", f"{time.monotonic() - begun:.2f}"))
    columns = ("environment", "seconds until it is handed over", "seconds of the whole run")
    show(console, [Section("A program with a requirements.txt (humanize)", columns, rows)])


def _submission(program: Path) -> dict[str, Any]:
    return {
        "global_specs": {
            "experiment_name": "launcher",
            "algorithm_name": "bench-program",
            "data_size_MB": 1,
            "min_scale_out": 1,
            "max_scale_out": 1,
            "max_runtime": 3600,
        },
        "spark_template_values": {"main_application_file": str(program)},
    }


def _seconds(application: Any) -> float:
    assert application["state"] == "COMPLETED", application["state_reason"]
    at = {change["state"]: datetime.fromisoformat(change["at"]) for change in application["state_changes"]}
    return (at["COMPLETED"] - at["SUBMITTED"]).total_seconds()


def _ratio(ours: list[float], base: list[float]) -> str:
    return f"{statistics.median(ours) / statistics.median(base):.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the launcher of programs costs.")
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args().rounds))
