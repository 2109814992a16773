"""A standalone Spark cluster on this machine: one Master, one Worker, both of pyspark's own jars.

Started on first use, and again when one of the two has ended; both end with the service
(`common.processes.guarded`). Everything listens on loopback.
"""

import asyncio
import contextlib
import logging
import re
import shutil
import sys
from pathlib import Path

from common.processes.guarded import GuardedProcess
from common.processes.private_files import open_private
from submission.driver_log import read_tail
from submission.local.spark_submit import find_spark_home, spark_environment, write_configuration

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_STOP_GRACE_SECONDS = 5.0
_MASTER_STARTED = re.compile(r"Starting Spark master at (spark://\S+)")
_WORKER_REGISTERED = re.compile(r"Successfully registered with master (spark://\S+)")
_DAEMON_SETTINGS = {
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "SPARK_MASTER_OPTS": "-Dspark.deploy.retainedApplications=20",
    # Each application leaves a folder with its executors' output: kept for a day.
    "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=86400",
}


class ClusterStartError(Exception):
    """The local Spark did not start; the message says why, with what it wrote last."""


class LocalCluster:
    """Master and Worker.

    Args:
        folder: Holds their configuration, logs and work files; belongs to this cluster alone.
        cores: What the worker offers; may exceed the machine's, where tasks mostly wait.
    """

    def __init__(self, folder: Path, cores: int, memory: str, *, start_timeout_seconds: float = 90.0) -> None:
        self.folder = folder
        self.spark_home = find_spark_home()
        self._cores = cores
        self._memory = memory
        self._start_timeout_seconds = start_timeout_seconds
        self._lock = asyncio.Lock()
        self._daemons: dict[str, GuardedProcess] = {}
        self._master_url = ""

    @property
    def environment(self) -> dict[str, str]:
        """Of every process that belongs to the cluster, drivers included."""
        return spark_environment(self.spark_home, self.folder, sys.executable)

    @property
    def properties(self) -> dict[str, str]:
        """Spark properties that every application on this cluster needs.

        Executors put `$SPARK_HOME/python/lib/pyspark.zip` first on the path of their Python workers,
        and reading that archive's directory anew before every task costs 50 ms of computing. Pointed
        at an empty folder, they import the pyspark that is installed.
        """
        return {"spark.executorEnv.SPARK_HOME": str(self.folder / "executor-home")}

    @property
    def is_up(self) -> bool:
        return len(self._daemons) == 2 and all(daemon.returncode is None for daemon in self._daemons.values())

    async def ensure_up(self) -> str:
        """The Master's URL, once a Worker is registered with it.

        Raises:
            ClusterStartError: One of them ended, or took too long; nothing of it is left running.
        """
        async with self._lock:
            if not self.is_up:
                await self._stop()
                try:
                    async with asyncio.timeout(self._start_timeout_seconds):
                        self._master_url = await self._start()
                except TimeoutError:
                    await self._stop()
                    raise ClusterStartError(
                        f"The local Spark was not up after {self._start_timeout_seconds:.0f} s."
                        f" {await self._last_words()}"
                    ) from None
                except BaseException:
                    await self._stop()
                    raise
            return self._master_url

    async def wait_down(self) -> str:
        """Return when the Master or the Worker has ended, with a sentence that says which one."""
        if not self._daemons:
            return "The local Spark has ended."
        waiting = {asyncio.create_task(daemon.wait()): name for name, daemon in self._daemons.items()}
        try:
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(ended))
            return f"The local Spark's {waiting[first]} ended with exit code {first.result()}."
        finally:
            for task in waiting:
                task.cancel()

    async def aclose(self) -> None:
        async with self._lock:
            await self._stop()

    async def _start(self) -> str:
        await asyncio.to_thread(self._prepare_folder)
        loopback = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        await self._start_daemon("Master", "org.apache.spark.deploy.master.Master", *loopback)
        url = await self._wait_for("Master", _MASTER_STARTED)
        size = ("-c", str(self._cores), "-m", self._memory, "-d", str(self.folder / "work"))
        await self._start_daemon("Worker", "org.apache.spark.deploy.worker.Worker", *loopback, *size, url)
        await self._wait_for("Worker", _WORKER_REGISTERED)
        logger.info("local Spark is up at %s with %d cores and %s", url, self._cores, self._memory)
        return url

    def _prepare_folder(self) -> None:
        write_configuration(self.folder / "conf")
        shutil.rmtree(self.folder / "local", ignore_errors=True)  # blocks of applications that were killed
        for name in ("local", "work", "executor-home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    async def _start_daemon(self, name: str, main_class: str, *arguments: str) -> None:
        with open_private(self._log(name)) as log:
            self._daemons[name] = await GuardedProcess.start(
                str(self.spark_home / "bin" / "spark-class"),
                main_class,
                *arguments,
                stdout=log,
                stderr=log,
                env={**self.environment, **_DAEMON_SETTINGS},
                cwd=self.folder,
                grace_seconds=_STOP_GRACE_SECONDS,
            )

    async def _wait_for(self, name: str, pattern: re.Pattern[str]) -> str:
        while True:
            ended = self._daemons[name].returncode is not None  # before reading: what it wrote is complete
            written = await asyncio.to_thread(read_tail, self._log(name), 1000) or ""
            if match := pattern.search(written):
                return match[1]
            if ended:
                raise ClusterStartError(f"The local Spark's {name} did not start. {await self._last_words()}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _last_words(self) -> str:
        for name in ("Worker", "Master"):
            written = await asyncio.to_thread(read_tail, self._log(name), 5)
            if written and written.strip():
                return f"{self._log(name).name} ends with: {written.strip()[-800:]}"
        return "Nothing was logged."

    async def _stop(self) -> None:
        daemons, self._daemons = self._daemons, {}
        with contextlib.suppress(ProcessLookupError):
            await asyncio.gather(*(daemon.stop() for daemon in daemons.values()))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name.lower()}.log"
