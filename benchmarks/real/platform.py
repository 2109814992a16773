"""The service with its local Spark, and runs on it: submitted to it, or past it to the same cluster.

Everything ends with this process, however that ends: the service, its Spark and plain spark-submits are
under guards, and a neighbour looks after its parent itself.
"""

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import psutil

from app.client.client import Client
from app.client.process import running_service
from benchmarks.real import neighbour
from benchmarks.real.applications import SCALE_OUTS, Size
from benchmarks.real.executors import executor_seconds, executors_of, kill_executor, read_log
from benchmarks.real.plan import Disturbance
from benchmarks.real.recordings import SPECS
from benchmarks.real.tap import Tap, Watched, running_tap
from benchmarks.support.alone import ALONE
from common.processes import guard
from common.processes.guarded import free_port
from common.wire.events import ApplicationEnded, ApplicationStarted
from common.wire.specs import ApplicationSpecs
from submission.local.runner import LOCAL
from submission.local.spark_submit import find_spark_home, spark_environment, translate, write_properties
from submission.manifest.build import build_manifest
from submission.manifest.options import ManifestOptions, bundled_examples

Json = dict[str, Any]

RUN_SECONDS = 600.0
"""After which a run is given up."""

_POLL_SECONDS = 0.5
_KILL_AFTER_SECONDS = 0.3
"""After the end of the job before: the next one runs by then."""

_LOG_SECONDS = 20.0
"""For the Worker to log the ends of an application's executors."""

_OF_ITS_OWN = {
    **ALONE,
    "SUBMISSION_PLATFORM": "local",
    "LOCAL_SPARK_CORES": str(max(SCALE_OUTS)),
    "LOCAL_SPARK_MAX_APPLICATIONS": "1",
}

DYNAMIC_ALLOCATION: Mapping[str, str] = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": str(min(SCALE_OUTS)),
    "spark.dynamicAllocation.maxExecutors": str(max(SCALE_OUTS)),
}
"""Its timeouts are Spark's own: a backlog of 1 s asks for more, 60 s without a task give an executor back."""

SHORT_TIMEOUTS: Mapping[str, str] = {
    **DYNAMIC_ALLOCATION,
    "spark.dynamicAllocation.executorIdleTimeout": "5s",
    "spark.dynamicAllocation.cachedExecutorIdleTimeout": "10s",
    "spark.dynamicAllocation.shuffleTracking.timeout": "10s",
}
"""As somebody would set them whose runs take less than a minute: in 60 s nothing would be given back."""

_IDLE_SHARE, _IDLE_SECONDS, _MOST_IDLE_SECONDS = 0.1, 1.0, 20.0
"""Of a core that a service at rest may take, for how long that is looked at, and for how long at most."""


class RunFailed(RuntimeError):
    """An application did not complete; the message says why."""


class NotMeasured(RunFailed):
    """An application may well have completed, but it could not be measured; it is run again."""


@dataclass(frozen=True)
class Interference:
    """What is done to a run."""

    disturbance: Disturbance = Disturbance.NONE
    after_job: int = 0
    """Whose end the kill, or the rescaling, follows."""
    rescale_to: int | None = None


@dataclass(frozen=True)
class Measured:
    """One run that completed, by the reports of its driver and the Worker's log."""

    watched: Watched
    submission: Json
    started_at: float
    """Epoch seconds, as the driver says."""
    ended_at: float
    executor_seconds: float
    executors: int
    """That were launched, those included that took the place of others."""
    injected: Json

    @property
    def runtime_seconds(self) -> float:
        return self.ended_at - self.started_at


class Platform:
    """A running service, its Spark, and the tap before it."""

    def __init__(self, client: Client, tap: Tap, service: int, folder: Path) -> None:
        self.client = client
        self._tap, self._service, self._folder = tap, service, folder

    def submit(self, body: Json, interference: Interference) -> Measured:
        """A run through the service.

        Raises:
            RunFailed: It did not complete.
        """
        with self._neighbour(interference):
            entry: Json = dict(self.client.submit(body)["db_entry"])
            execution_id = entry["_id"]
            watched = self._tap.watch(execution_id)
            with self._interfering(watched, interference) as injected:
                try:
                    self._wait_for_end(execution_id)
                except RunFailed:
                    self.client.kill(execution_id)  # nothing happens where it has ended
                    raise
        return self._measured(watched, {name: entry[name] for name in SPECS}, injected)

    def settle(self) -> None:
        """Wait until the service has learned from the last run: the next one is not to pay for that."""
        deadline = time.monotonic() + _MOST_IDLE_SECONDS
        before = _processor_seconds(self._service)
        while time.monotonic() < deadline:
            time.sleep(_IDLE_SECONDS)
            now = _processor_seconds(self._service)
            if now - before < _IDLE_SHARE * _IDLE_SECONDS:
                return
            before = now

    def submit_to_spark(
        self, body: Json, interference: Interference, allocation: Mapping[str, str] = DYNAMIC_ALLOCATION
    ) -> Measured:
        """A run by plain spark-submit with Spark's dynamic allocation, which the service has no part in.

        The service sets `spark.dynamicAllocation.*` itself and refuses it in requests. All else is what it
        would submit; the plugin reports to the tap alone, and rescales nothing.

        Args:
            allocation: Settings of dynamic allocation.
        Raises:
            RunFailed: It did not complete.
        """
        specs = ApplicationSpecs.model_validate(body)
        execution_id = f"plain-{uuid4().hex[:12]}"
        watched = self._tap.watch(execution_id)
        watched.known_to_service = False
        command, environment = self._plain(specs, execution_id, allocation)
        guarding = [sys.executable, guard.__file__, "--grace", "5", "--"]
        with self._neighbour(interference), self._interfering(watched, interference) as injected:
            log = (self._folder / execution_id).with_suffix(".log")
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*guarding, *command],
                    env=environment,
                    stdin=subprocess.PIPE,  # whose end the guard waits for
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            try:
                code = process.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                code = -1
            finally:
                process.terminate()
                process.wait()
        if code != 0:
            raise RunFailed(f"spark-submit ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")
        submission = specs.model_dump(mode="json")
        return self._measured(watched, {name: submission[name] for name in SPECS}, injected)

    # --- parts of a run ---------------------------------------------------------------------------

    def _wait_for_end(self, execution_id: str) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        for application in self.client.follow_application(execution_id, pause_seconds=_POLL_SECONDS):
            state, reason = application["state"], application["state_reason"]
            if time.monotonic() > deadline:
                raise RunFailed(f"it has not ended after {RUN_SECONDS:.0f} s")
        if state != "COMPLETED":
            raise RunFailed(f"it ended as {state}: {reason}")

    @contextmanager
    def _interfering(self, watched: Watched, interference: Interference) -> Iterator[Json]:
        """What was done, as it is done: epoch seconds."""
        injected: Json = {"neighbour": interference.disturbance is Disturbance.NEIGHBOUR}
        timers: list[threading.Timer] = []

        def kill() -> None:
            assert watched.started is not None, "a job of it has ended"
            executor = kill_executor(self._service, watched.started["application_id"])
            if executor is not None:
                injected.update(executor_killed=executor, executor_killed_at=time.time())

        def after_job(job_id: int) -> None:
            if job_id >= interference.after_job and not timers:
                timers.append(threading.Timer(_KILL_AFTER_SECONDS, kill))
                timers[0].start()

        watched.rescale_to, watched.rescale_after_job = interference.rescale_to, interference.after_job
        if interference.disturbance is Disturbance.EXECUTOR_KILLED:
            watched.after_job = after_job
        try:
            yield injected
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()

    @contextmanager
    def _neighbour(self, interference: Interference) -> Iterator[None]:
        if interference.disturbance is not Disturbance.NEIGHBOUR:
            yield
            return
        burning = subprocess.Popen([sys.executable, neighbour.__file__], start_new_session=True)
        try:
            yield
        finally:
            burning.kill()
            burning.wait()

    def _measured(self, watched: Watched, submission: Json, injected: Json) -> Measured:
        if watched.started is None or watched.ended is None:
            raise NotMeasured("its driver has not reported its start and its end")
        if missing := (watched.ended.get("ended_jobs") or 0) - len(watched.jobs):
            raise NotMeasured(f"{missing} of its jobs were not reported")
        started = ApplicationStarted.model_validate(watched.started)
        ended = ApplicationEnded.model_validate({**watched.ended, "application_id": started.application_id})
        begin, end = started.start_time.timestamp(), ended.end_time.timestamp()
        log = self._folder / "spark" / "cluster" / "worker.log"
        deadline = time.monotonic() + _LOG_SECONDS
        while True:
            executors = executors_of(started.application_id, read_log(log))
            if all(each.finished_at for each in executors.values()) or time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        if (killed_at := injected.pop("executor_killed_at", None)) is not None:
            injected["executor_killed_seconds"] = killed_at - begin
        seconds = executor_seconds(executors.values(), end)
        return Measured(watched, submission, begin, end, seconds, len(executors), injected)

    def _plain(
        self, specs: ApplicationSpecs, execution_id: str, allocation: Mapping[str, str]
    ) -> tuple[list[str], Mapping[str, str]]:
        """Command and environment of a spark-submit, as the local runner would make them."""
        cluster = self._folder / "spark" / "cluster"
        jar, examples = LOCAL.listener_jar, bundled_examples(LOCAL.examples_location)
        options = ManifestOptions("127.0.0.1", self._tap.port, jar, examples=examples, platform=LOCAL)
        submit = translate(build_manifest(specs, execution_id, max(SCALE_OUTS), options, rescales=False))
        home = find_spark_home()
        properties = {
            **submit.properties,
            "spark.executorEnv.SPARK_HOME": str(cluster / "executor-home"),
            # The plugin waits for as many: with more than dynamic allocation begins with, to its time limit.
            "spark.customExtraListener.initialExecutors": str(min(SCALE_OUTS)),
            **allocation,
        }
        del properties["spark.executor.instances"]  # dynamic allocation would begin with so many
        properties_file = (self._folder / execution_id).with_suffix(".properties")
        write_properties(properties_file, properties)
        url = re.search(r"Starting Spark master at (spark://\S+)", (cluster / "master.log").read_text())
        if url is None:
            raise NotMeasured("the local Spark is not up")
        command = submit.command(home, url[1], properties_file)
        return command, {**submit.driver_environment, **spark_environment(home, cluster, sys.executable)}


@contextmanager
def running_platform(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Platform]:
    """A service with a database and a Spark of its own, in a temporary folder.

    Raises:
        NotReady: The service did not come up.
    """
    if not Path(LOCAL.listener_jar).is_file():
        raise SystemExit("The plugin is not built: `make listener`.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="enel-real-")))
        handlers: dict[Any, Any] = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
        }
        stack.callback(_handle, handlers)
        tap = stack.enter_context(running_tap(free_port()))
        callback = {"CALLBACK_HOST": "127.0.0.1", "CALLBACK_PORT": str(tap.port)}
        service = stack.enter_context(
            running_service(folder, DATA_DIR=str(folder), **_OF_ITS_OWN, **callback, **settings)
        )
        tap.service_url = service.url
        client = stack.enter_context(Client(service.url))
        # A second Ctrl-C must not interrupt the ending of the service.
        stack.callback(_handle, dict.fromkeys(handlers, signal.SIG_IGN))
        yield Platform(client, tap, service.process.pid, folder)


def _processor_seconds(service: int) -> float:
    """Processor time of the service's own processes, those of Spark left out."""
    total = 0.0
    root = psutil.Process(service)
    for process in (root, *root.children(recursive=True)):
        try:
            if "java" not in process.name():
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.Error:  # it has ended meanwhile
            continue
    return total


def _handle(handlers: Mapping[Any, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def warm_up(platform: Platform) -> None:
    """A short run that nobody learns from: the first one starts Spark, and finds no file in memory."""
    body = submission("WarmUp", Size(("--iterations", 2, "--read-seconds-per-partition", 0), 1, ""))
    body["spark_template_values"] = {"main_application_file": LOCAL.examples_location + "/kmeans.py"}
    platform.submit({**body, "initial_scale_out_policy": "requested"}, Interference())


def submission(name: str, size: Size, learner: str = "") -> Json:
    """What every run's body has in common; without a target that anybody could miss.

    Args:
        learner: Whose history the run belongs to: an algorithm of its own for the service.
    """
    body = _submission(name, size)
    if learner:
        body["global_specs"]["algorithm_name"] = algorithm_of(name, learner)
        program = bundled_examples(LOCAL.examples_location)[name]
        body["spark_template_values"] = {"main_application_file": program}
    return body


def algorithm_of(name: str, learner: str) -> str:
    """What an application is called in the history of a learner."""
    return f"{name}-{learner}"


def _submission(name: str, size: Size) -> Json:
    return {
        "global_specs": {
            "solution_name": "static",
            "experiment_name": "real-runs",
            "algorithm_name": name,
            "algorithm_args": list(size.arguments),
            "data_size_MB": size.megabytes,
            "data_characteristics": size.characteristics,
            "machine_name": "local-2-cores",
            "environment_name": "local",
            "min_scale_out": min(SCALE_OUTS),
            "max_scale_out": max(SCALE_OUTS),
            "max_runtime": 86_400.0,
        },
        "optional_specs": {"spark_version": version("pyspark")},
        "master_specs": {"scale_out": 1, "cores": 1, "memory": "1g"},
        "worker_specs": {"scale_out": 1, "cores": 1, "memory": "512m", "memory_overhead": "384m"},
    }
