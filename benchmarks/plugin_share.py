"""What the plugin takes of a Spark driver's processor time and memory, in an application of many jobs.

    python benchmarks/plugin_share.py [--jobs 2000] [--tasks 100] [--output DIR]

A service on embedded defaults runs one application on its local Spark, in a process of its own beside its
executors. `jcmd` says, while it runs, what each of its threads took; those of the plugin are `enel-…`, and
Java's HTTP client. Spark hands it events on `spark-listener-group-executorManagement`, a thread of its own;
which part of that is the plugin's, samples of Java's Flight Recorder tell. The share is of the processor
time of the whole driver, without what looking took; the bar is 1%.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.client import Client  # noqa: E402
from app.client.process import running_service  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402

PROGRAM = ROOT / "benchmarks/support/many_jobs.py"
OWN_THREADS = ("enel-", "HttpClient-")
"""What the names of the plugin's threads begin with."""
SHARED_THREAD, OWN_CODE = "spark-listener-group-executorManagement", "org.enelservice."
LOOKING = ("Attach Listener", "JFR ")
"""Threads that would not be there without this benchmark."""
_THREAD = re.compile(r'^"(?P<name>[^"]*)" #(?P<number>\d+).* cpu=(?P<ms>[\d.]+)ms', re.MULTILINE)
MOST_SHARE = 0.01
SAMPLE_SECONDS = 1.0

console = open_console()


@dataclass
class Driver:
    """What was seen of a driver last; its threads end with it."""

    seconds: float = 0.0
    """Processor time of all of it."""
    by_thread: dict[str, float] = field(default_factory=dict)
    resident_mib: float = 0.0
    samples: int = 0
    """Of the thread on which Spark hands out events."""
    own_samples: int = 0
    """Of these, with the plugin's code on the stack."""

    @property
    def own_seconds(self) -> float:
        return self._of(OWN_THREADS) + self.handling_seconds

    @property
    def handling_seconds(self) -> float:
        """Of the plugin's on Spark's own thread."""
        return self._of((SHARED_THREAD,)) * self.own_samples / max(self.samples, 1)

    @property
    def spark_seconds(self) -> float:
        """Of the driver, without what looking took."""
        return self.seconds - self._of(LOOKING)

    def _of(self, names: tuple[str, ...]) -> float:
        return sum(seconds for name, seconds in self.by_thread.items() if name.startswith(names))


def watch(service: int, driver: Driver, recording: Path, over: threading.Event) -> None:
    """Look at the driver among the service's processes until it is over, and let it record itself."""
    found: psutil.Process | None = None
    seen: dict[int, tuple[str, float]] = {}
    while not over.wait(SAMPLE_SECONDS):
        try:
            if found is None:
                found = _driver_of(psutil.Process(service))
                if found is None:
                    continue
                start = ["JFR.start", "settings=profile", "dumponexit=true", f"filename={recording}"]
                subprocess.run(["jcmd", str(found.pid), *start], capture_output=True, check=True)
            times = found.cpu_times()
            asked = ["jcmd", str(found.pid), "Thread.print"]
            told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            for thread in _THREAD.finditer(told):
                seen[int(thread["number"])] = thread["name"], float(thread["ms"]) / 1000
            driver.seconds = times.user + times.system
            driver.resident_mib = max(driver.resident_mib, found.memory_info().rss / 2**20)
        except (psutil.Error, OSError, subprocess.CalledProcessError):  # it has ended
            continue
    for name, seconds in seen.values():
        driver.by_thread[name] = driver.by_thread.get(name, 0.0) + seconds
    driver.samples, driver.own_samples = _samples(recording)


def _samples(recording: Path) -> tuple[int, int]:
    """How often the thread of Spark's was seen at work, and how often at the plugin's. Raises SystemExit."""
    if not recording.exists():
        raise SystemExit("the driver has left no recording of the Flight Recorder")
    command = ["jfr", "print", "--events", "jdk.ExecutionSample", "--stack-depth", "64", str(recording)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    samples = [each for each in told.split("jdk.ExecutionSample {") if f'"{SHARED_THREAD}"' in each]
    return len(samples), sum(OWN_CODE in each for each in samples)


def _driver_of(service: psutil.Process) -> psutil.Process | None:
    for process in service.children(recursive=True):
        line = process.cmdline()
        # Another Java writes the command line first.
        if str(PROGRAM) in line and "org.apache.spark.launcher.Main" not in line and "java" in line[0]:
            return process
    return None


def run(
    client: Client, service: int, jobs: int, tasks: int, recording: Path
) -> tuple[Driver, Mapping[str, float]]:
    """One application; its driver, and what the service knows of it."""
    driver, over = Driver(), threading.Event()
    watching = threading.Thread(target=watch, args=(service, driver, recording, over))
    watching.start()
    begun = time.monotonic()
    try:
        body = {
            "global_specs": {
                "experiment_name": "benchmark",
                "algorithm_name": "ManyJobs",
                "algorithm_args": [jobs, tasks],
                "data_size_MB": 1,
                "min_scale_out": 1,
                "max_scale_out": 2,
                "max_runtime": 86_400.0,
            },
            "worker_specs": {"scale_out": 1, "cores": 1, "memory": "512m", "memory_overhead": "384m"},
            "master_specs": {"scale_out": 1, "cores": 1, "memory": "1g"},
            "spark_template_values": {"main_application_file": str(PROGRAM)},
            "initial_scale_out_policy": "requested",
        }
        ended = client.ended_application(client.submit(body)["db_entry"]["_id"])
    finally:
        over.set()
        watching.join()
    if ended["state"] != "COMPLETED":
        raise SystemExit(f"the application ended as {ended['state']}: {ended['state_reason']}")
    known = {
        "jobs that were reported": float(len(ended["jobs"])),
        "reports dropped by policy": float(ended.get("dropped_reports") or 0),
        "seconds": time.monotonic() - begun,
    }
    return driver, known


def judged(driver: Driver) -> Bar:
    """The plugin's share. Raises SystemExit where none of its threads was seen: that is no share of 0."""
    if not (driver.seconds and driver.own_seconds and driver.own_samples):
        raise SystemExit("nothing was seen of the plugin: jcmd has failed, or the driver has not loaded it")
    return Bar(
        "plugin over driver, processor s", driver.own_seconds, MOST_SHARE, baseline=driver.spark_seconds
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--tasks", type=int, default=100, help="of each job")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if shutil.which("jcmd") is None:
        parser.error("jcmd, which a JDK has, is needed on the PATH")
    with (
        tempfile.TemporaryDirectory(prefix="enel-plugin-") as folder,
        running_service(Path(folder), **ALONE) as service,
        Client(service.url) as client,
    ):
        recording = Path(folder) / "driver.jfr"
        driver, known = run(client, service.process.pid, arguments.jobs, arguments.tasks, recording)
    threads = sorted(driver.by_thread.items(), key=lambda each: -each[1])
    own = [each for each in threads if each[0].startswith(OWN_THREADS)]
    rows = [[name, f"{seconds:.2f}"] for name, seconds in [*own, *[t for t in threads if t not in own][:8]]]
    rows.insert(len(own), [f"of {SHARED_THREAD}, the plugin's", f"{driver.handling_seconds:.2f}"])
    rows.append(["the whole driver", f"{driver.spark_seconds:.2f}"])
    facts = [[name, f"{value:,.0f}"] for name, value in known.items()]
    facts.append(["largest resident set of the driver, MiB", f"{driver.resident_mib:,.0f}"])
    bars = [judged(driver)]
    sections = [
        Section("Processor seconds of a driver, by thread", ("thread", "seconds"), rows),
        Section(f"{arguments.jobs:,} jobs of {arguments.tasks} tasks", ("", ""), facts),
        bars_section(bars),
    ]
    show(console, sections)
    if arguments.output is not None:
        write(arguments.output, "plugin_share", sections, bars, {"by_thread": driver.by_thread, **known})
    return 0 if all(bar.is_met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
