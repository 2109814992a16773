"""A real HDFS (NameNode and DataNode) on this machine: `python -m benchmarks.support.hdfs_cluster FOLDER`."""

import argparse
import asyncio
import getpass
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil

from benchmarks.support.hdfs_jars import JarsMissing, hdfs_jars
from common.processes.guarded import GuardedProcess, free_port

HOST = "127.0.0.1"
BLOCK_BYTES = 1 << 20
"""The smallest that a NameNode accepts: files of some megabytes have several blocks."""

_START_SECONDS = 60.0

_OPENED = (
    "java.base/java.lang",
    "java.base/java.util",
    "java.base/java.net",
    "java.security.jgss/sun.security.krb5",
)
"""What this Hadoop, older than Java's modules, looks into."""

_LOGGING = """\
log4j.rootLogger=INFO,stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""


class Daemon:
    """A Java process of Hadoop that can be ended and started again; `main` is its class in HDFS."""

    def __init__(self, main: str, class_path: str, log: Path) -> None:
        self._main = main
        self._class_path = class_path
        self.log = log
        self._process: GuardedProcess | None = None

    async def start(self, *arguments: str) -> None:
        assert self.has_ended, f"{self._main} runs already"
        with self.log.open("ab") as output:
            self._process = await GuardedProcess.start(
                java(),
                *("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
                # Otherwise its web server and Java itself leave folders among the machine's temporary files.
                *("-XX:-UsePerfData", f"-Djava.io.tmpdir={self.log.parent}"),
                "-Djava.net.preferIPv4Stack=true",
                *(option for package in _OPENED for option in ("--add-opens", f"{package}=ALL-UNNAMED")),
                *("-cp", self._class_path),
                f"org.apache.hadoop.hdfs.{self._main}",
                *arguments,
                stdout=output,
                stderr=output,
                # A machine that has a Hadoop of its own may name another user or configuration.
                env={name: value for name, value in os.environ.items() if not name.startswith("HADOOP_")},
                grace_seconds=5,
            )

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def wait(self) -> int:
        """Until it ends by itself."""
        assert self._process is not None
        code = await self._process.wait()
        self._process = None
        return code

    async def stop(self) -> None:
        """End it in order, also where it is suspended."""
        if self._process is not None:
            self.resume()
            await self._process.stop()
            self._process = None

    async def kill(self) -> None:
        """As the kernel would: no handler runs."""
        self._signal(signal.SIGKILL)
        await self.stop()

    def suspend(self) -> None:
        """It answers nothing any more, but its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self._process.pid).children():
                    child.send_signal(number)


class HdfsCluster:
    """One NameNode, one DataNode, replication 1; both keep their ports and files when they end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http_port = free_port(HOST)
        self._rpc_port = free_port(HOST)
        class_path = os.pathsep.join([str(folder / "conf"), *map(str, hdfs_jars())])
        self.namenode = Daemon("server.namenode.NameNode", class_path, folder / "namenode.log")
        self.datanode = Daemon("server.datanode.DataNode", class_path, folder / "datanode.log")
        self._admin = Daemon("tools.DFSAdmin", class_path, folder / "admin.log")

    @property
    def endpoint(self) -> str:
        """WebHDFS address of the NameNode."""
        return f"http://{HOST}:{self.http_port}"

    async def format(self) -> None:
        """Write the configuration and an empty file system."""
        conf = self.folder / "conf"
        for name in ("hdfs", "datanode", "secondary"):
            web = conf / "webapps" / name / "WEB-INF"
            web.mkdir(parents=True)
            (web / "web.xml").write_text("<web-app></web-app>\n")
        (conf / "log4j.properties").write_text(_LOGGING)
        (conf / "core-site.xml").write_text(_configuration(self._core_site()))
        (conf / "hdfs-site.xml").write_text(_configuration(self._hdfs_site()))
        await self.namenode.start("-format", "-force", "-nonInteractive")
        if await self.namenode.wait():
            raise RuntimeError(f"HDFS could not be formatted: {self.log_tail()}")

    async def start(self) -> None:
        """Start what does not run; returns when files can be written."""
        for daemon in (self.namenode, self.datanode):
            if daemon.has_ended:
                await daemon.start()
        try:
            async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(timeout=5) as client:
                while not await self._is_ready(client):
                    if self.namenode.has_ended or self.datanode.has_ended:
                        raise TimeoutError
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(f"HDFS did not start: {self.log_tail()}") from None

    async def admin(self, *arguments: str) -> None:
        """An administrator's command, such as `-safemode enter`."""
        await self._admin.start(*arguments)
        if await self._admin.wait():
            raise RuntimeError(f"DFSAdmin failed: {self._admin.log.read_text()}")

    async def stop(self) -> None:
        await asyncio.gather(self.datanode.stop(), self.namenode.stop())

    def log_tail(self, characters: int = 3000) -> str:
        logs = (daemon.log for daemon in (self.namenode, self.datanode))
        return "\n".join(log.read_text(errors="replace")[-characters:] for log in logs if log.exists())

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        """Whether a file can be written: anything less may be true of a DataNode that is gone."""
        url = f"{self.endpoint}/webhdfs/v1/.ready"
        parameters = {"op": "CREATE", "overwrite": "true", "user.name": getpass.getuser()}
        try:
            redirect = await client.put(url, params=parameters)
            return "location" in redirect.headers and (
                (await client.put(redirect.headers["location"], content=b"?")).is_success
                and (await client.delete(url, params={**parameters, "op": "DELETE"})).is_success
            )
        except httpx.TransportError:
            return False

    def _core_site(self) -> dict[str, str]:
        return {
            "fs.defaultFS": f"hdfs://{HOST}:{self._rpc_port}",
            "hadoop.tmp.dir": str(self.folder / "tmp"),
            # The DataNode is started together with the NameNode, and calls until that listens.
            "ipc.client.connect.retry.interval": "100",
            "ipc.client.connect.max.retries": "300",
        }

    def _hdfs_site(self) -> dict[str, str]:
        return {
            "dfs.namenode.name.dir": str(self.folder / "name"),
            "dfs.datanode.data.dir": str(self.folder / "data"),
            "dfs.namenode.http-address": f"{HOST}:{self.http_port}",
            "dfs.datanode.address": f"{HOST}:{free_port(HOST)}",
            "dfs.datanode.http.address": f"{HOST}:{free_port(HOST)}",
            "dfs.datanode.ipc.address": f"{HOST}:{free_port(HOST)}",
            # Clients are redirected to this name.
            "dfs.datanode.hostname": HOST,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.webhdfs.enabled": "true",
            "dfs.replication": "1",
            "dfs.blocksize": str(BLOCK_BYTES),
            "dfs.permissions.enabled": "true",
            # Starts and failures are noticed within seconds: a DataNode counts as dead after twelve.
            "dfs.heartbeat.interval": "1",
            "dfs.namenode.heartbeat.recheck-interval": "1000",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.safemode.min.datanodes": "1",
            # Milliseconds until the end of a written file is asked for again.
            "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
            "dfs.namenode.handler.count": "4",
            "dfs.datanode.handler.count": "4",
        }


def java() -> str:
    """The Java to use. Raises JarsMissing where there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if found is None:
        raise JarsMissing("there is no Java on this machine")
    return found


@asynccontextmanager
async def hdfs_cluster(folder: Path) -> AsyncIterator[HdfsCluster]:
    """A cluster with an empty file system on `folder`. Raises JarsMissing where there cannot be one."""
    java()
    cluster = HdfsCluster(folder)
    try:
        await cluster.format()
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


def _configuration(properties: Mapping[str, str]) -> str:
    entries = (
        f"<property><name>{name}</name><value>{value}</value></property>\n"
        for name, value in properties.items()
    )
    return f"<configuration>\n{''.join(entries)}</configuration>\n"


async def _run(folder: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with hdfs_cluster(folder) as cluster:
        print(cluster.endpoint, flush=True)
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder, or one to be made")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(_run(folder.resolve()))
    except JarsMissing as error:
        print(f"Cannot start HDFS: {error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
