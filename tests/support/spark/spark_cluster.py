"""A standalone Spark cluster on this machine, and applications that run on it with the listener."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

SPARK_HOME = Path(os.environ.get("ENEL_TEST_SPARK_HOME") or Path(pyspark.__file__).parent)
"""Of the Spark to test with; the jar is built against the installed one all the same."""

PROGRAMS = Path(__file__).parents[2] / "listener" / "programs"
APPLICATION_TIMEOUT_SECONDS = 200
"""Far more than any program needs; a listener that holds its application back would reach it."""

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""JVM options for processes that live a few seconds: optimising code would cost more than it saves."""


@dataclass(frozen=True)
class FinishedApplication:
    """What one run of an application left behind."""

    status: int
    output: str
    errors: str
    event_log_folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(spark_home: Path = SPARK_HOME, **extra: str) -> dict[str, str]:
    """Our environment with Spark's processes bound to the loopback interface and small enough for a test."""
    return {
        **os.environ,
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": QUICK_START,
        "PYSPARK_PYTHON": sys.executable,
        # Spark mixes them into what is printed; some lines of it warn of newer packages than they know.
        "PYTHONWARNINGS": "ignore::FutureWarning",
        **extra,
    }


@contextmanager
def standalone_cluster(folder: Path, cores: int) -> Iterator[str]:
    """Run a Master and one Worker; yields the URL of the Master.

    A worker may offer more cores than the machine has: the programs wait more than they compute.
    """
    host, port = "127.0.0.1", free_port()
    url = f"spark://{host}:{port}"
    with (
        daemon("Master", folder, "--host", host, "--port", str(port), "--webui-port", "0"),
        daemon("Worker", folder, "--host", host, "--webui-port", "0", "-c", str(cores), "-m", "4g", "-d",
               str(folder / "work"), url),
    ):  # fmt: skip
        wait_for_log(folder / "Worker.log", "Successfully registered with master")
        yield url


@contextmanager
def daemon(name: str, folder: Path, *arguments: str) -> Iterator[None]:
    """Run one of the cluster's processes in a group of its own; ends that group, executors included."""
    main_class = f"org.apache.spark.deploy.{name.lower()}.{name}"
    command = [str(SPARK_HOME / "bin" / "spark-class"), main_class, *arguments]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment(), start_new_session=True
        )
        try:
            yield
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it started in its group, gently at first."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
            process.wait(timeout=10)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def wait_for_log(path: Path, text: str, timeout_seconds: float = 60) -> None:
    deadline = time.monotonic() + timeout_seconds
    while text not in path.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} never said {text!r}:\n{path.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def submit(
    jar: Path,
    master: str,
    folder: Path,
    program: str,
    arguments: list[str],
    conf: dict[str, str],
    extra_environment: dict[str, str] | None = None,
    spark_home: Path = SPARK_HOME,
) -> FinishedApplication:
    """Run a program to its end, in a fresh folder."""
    event_log_folder = folder / "events"
    event_log_folder.mkdir(parents=True)
    logging = folder / "log4j2.properties"
    logging.write_text(LOGGING)
    settings = {
        "spark.plugins": "org.enelservice.listener.EnelPlugin",
        "spark.driver.extraClassPath": str(jar),
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{logging} {QUICK_START}",
        "spark.executor.extraJavaOptions": QUICK_START,
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file:{event_log_folder}",
        "spark.eventLog.logBlockUpdates.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        # Executors of one host could still read the files of a killed one, and no stage would run again.
        "spark.shuffle.readHostLocalDisk": "false",
        "spark.shuffle.io.maxRetries": "1",
        "spark.shuffle.io.retryWait": "100ms",
        **conf,
    }
    command = [str(spark_home / "bin" / "spark-submit"), "--master", master, "--jars", str(jar)]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    command += [str(PROGRAMS / program), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(spark_home, **(extra_environment or {})),
        cwd=folder,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=APPLICATION_TIMEOUT_SECONDS)
    finally:
        end_group(process)
    (folder / "stderr.log").write_bytes(errors)
    return FinishedApplication(process.returncode, output.decode(), errors.decode(), event_log_folder)


def listener_conf(port: int, **settings: str) -> dict[str, str]:
    """The listener's settings as a manifest has them, for a service on this machine."""
    known = {
        "method": "http",
        "service": "127.0.0.1",
        "port": str(port),
        "restTimeout": "30",
        "updateInformationEndpoint": "training%2Fupdate_information",
        "onlineScaleOutPredictionEndpoint": "prediction%2Fonline_scale_out_prediction",
        "applicationExecutionId": "66f0c0ffee",
        "isAdaptive": "true",
    }
    return {f"spark.customExtraListener.{name}": value for name, value in {**known, **settings}.items()}


def fixed_scale_out(scale_out: int, max_scale_out: int) -> dict[str, str]:
    """Conf that starts an application with a scale-out and keeps Spark from changing it by itself.

    Dynamic allocation is on, as the only way to a certain initial scale-out in standalone mode, and muted.
    Its lower bound equals the initial scale-out, or it would lower its target when few tasks are left.
    """
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": str(scale_out),
        "spark.dynamicAllocation.minExecutors": str(scale_out),
        "spark.dynamicAllocation.maxExecutors": str(max_scale_out),
        "spark.dynamicAllocation.schedulerBacklogTimeout": "10d",
        "spark.dynamicAllocation.sustainedSchedulerBacklogTimeout": "10d",
        "spark.dynamicAllocation.executorIdleTimeout": "10d",
        "spark.dynamicAllocation.cachedExecutorIdleTimeout": "10d",
        "spark.dynamicAllocation.shuffleTracking.timeout": "10d",
    }


def listener_lines(application: FinishedApplication) -> list[str]:
    """What the listener logged, without what other parts of Spark did."""
    return re.findall(r"^.*org\.enelservice\.listener.*$", application.errors, flags=re.MULTILINE)


LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss.SSS} %p %c %m%n%ex
logger.enel.name = org.enelservice.listener
logger.enel.level = debug
"""
