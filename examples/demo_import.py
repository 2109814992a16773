"""Learn from event logs alone, and meet a target (`make demo-import`).

Runs an example with spark-submit, without the service and its plugin, as people have done for years; Spark
writes an event log of each run. `enel import-event-logs` reads them, a model is pretrained, and a run that
starts too small is steered. Exit code 0 means that it was rescaled by what was learned, and met its target.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyspark

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.client import Client  # noqa: E402
from examples.demo import (  # noqa: E402
    ALGORITHM,
    APPLICATION_ARGS,
    MAX_SCALE_OUT,
    OUTPUT,
    PROFILING_SCALE_OUTS,
    STARTING_SCALE_OUT,
    DemoFailed,
    Run,
    console,
    demonstrate,
    service,
    steered_after,
)

START_SECONDS = 8.0
"""Until the first job, of an application of the service."""

LOGS = OUTPUT / "event-logs"
DATA = OUTPUT / "event-logs-data"
MAPPING = OUTPUT / "event-logs.yml"
SAID = f"""\
# What Spark's logs do not say of these runs.
applications:
  - algorithm_name: {ALGORITHM}
    algorithm_args: [{", ".join(str(each) for each in APPLICATION_ARGS)}]
    experiment_name: demo
    environment_name: demo
    machine_name: local
    data_size_MB: 1
    max_runtime: 86400    # they had no target
    min_scale_out: 1
    max_scale_out: {MAX_SCALE_OUT}
"""


def main() -> int:
    closed = "[bold green]The target was met[/] with what Spark's own event logs have told."
    return demonstrate(from_logs_alone, closed)


def from_logs_alone() -> tuple[Run, Path]:
    """The steered run, and its picture."""
    for folder in (LOGS, DATA):
        shutil.rmtree(folder, ignore_errors=True)
    LOGS.mkdir(parents=True)
    os.environ["DATA_DIR"] = str(DATA)  # what other demos have stored is nothing that these logs say
    run_without_the_service()
    with service() as client:
        return steered_after(client, learn_from_logs(client), target_seconds_of)


def run_without_the_service() -> None:
    """Write an event log for each scale-out to learn from. Raises DemoFailed."""
    console.rule("Runs of the past, without the service")
    home = Path(pyspark.__file__).parent
    for number, scale_out in enumerate(PROFILING_SCALE_OUTS, 1):
        command = [
            *(str(home / "bin" / "spark-submit"), "--master", f"local-cluster[{scale_out},1,1024]"),
            *("--name", ALGORITHM, "--driver-memory", "512m", "--executor-memory", "512m"),
            *("--conf", "spark.eventLog.enabled=true", "--conf", f"spark.eventLog.dir=file://{LOGS}"),
            *("--conf", f"spark.executor.instances={scale_out}", "--conf", "spark.ui.enabled=false"),
            *("--conf", "spark.driver.bindAddress=127.0.0.1", "--conf", "spark.driver.host=127.0.0.1"),
            *(str(ROOT / "examples" / "kmeans.py"), *map(str, APPLICATION_ARGS)),
        ]
        log = OUTPUT / f"spark-submit-{number}.log"
        environment = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
        with console.status(f"run {number}, {scale_out} executors"), log.open("wb") as output:
            began = time.monotonic()
            code = subprocess.run(
                command, env=environment, stdout=output, stderr=output, check=False
            ).returncode
        if code:
            raise DemoFailed(f"spark-submit ended with exit code {code}: {log.relative_to(ROOT)}")
        console.print(
            f"run {number}: {scale_out} executors, {time.monotonic() - began:.1f} s with spark-submit"
        )


def learn_from_logs(client: Client) -> list[Run]:
    """Import the logs twice, of which the second time adds nothing. Raises DemoFailed."""
    console.rule("Their event logs")
    MAPPING.write_text(SAID, encoding="utf-8")
    for _ in range(2):
        _import()
    imported = client.applications(algorithm_name=ALGORITHM)["items"]
    found = [client.application(each["_id"]) for each in imported]
    if len(found) != len(PROFILING_SCALE_OUTS):
        raise DemoFailed(f"{len(found)} runs were imported, and not {len(PROFILING_SCALE_OUTS)}.")
    found.sort(key=lambda each: str(each["start_time"]))
    return [Run(number, "event log", None, each) for number, each in enumerate(found, 1)]


def target_seconds_of(runs: list[Run]) -> float:
    """Between what the jobs took with the starting and with the most executors, and a start of the service's.

    Spark's local cluster starts with each run of its own, which takes longer the more executors it has; the
    service's is there already. Raises DemoFailed where executors made no difference.
    """
    in_jobs = {run.scale_outs()[0]: sum(job["runtime_seconds"] or 0.0 for job in run.jobs) for run in runs}
    slow, fast = in_jobs[STARTING_SCALE_OUT], min(in_jobs.values())
    if slow < 1.25 * fast:
        raise DemoFailed(
            f"jobs took {slow:.1f} s with {STARTING_SCALE_OUT} executors and {fast:.1f} s at best: this"
            " machine is too busy to show a difference"
        )
    return round(START_SECONDS + fast + 0.65 * (slow - fast), 1)


def _import() -> None:
    command = [sys.executable, "-m", "app.cli", "import-event-logs", str(LOGS), "--mapping", str(MAPPING)]
    port = os.environ.get("PORT") or "5000"
    environment = {**os.environ, "ENEL_URL": f"http://127.0.0.1:{port}", "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    console.print(done.stdout.rstrip(), style="dim", markup=False)
    if done.returncode:
        raise DemoFailed(f"enel import-event-logs: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
