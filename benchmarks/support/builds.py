"""Builds of the service to compare: a commit of this repository, checked out beside this one, and this one.

What an earlier build needed and this one does not is installed into a folder of its own, at the versions
that it had pinned; everything else is what is installed here, so that the code alone differs.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import httpx
import psutil

from benchmarks.support.alone import ALONE
from common.processes.guarded import GuardedProcess, free_port

ROOT = Path(__file__).resolve().parents[2]

_READY_SECONDS = 120.0


@dataclass(frozen=True)
class Build:
    """A checkout that can be started."""

    name: str
    tree: Path
    also: Path | None = None
    """Packages that only this build needs."""

    @property
    def python_path(self) -> str:
        return os.pathsep.join(str(each) for each in (self.tree, self.also) if each is not None)


@contextmanager
def earlier_build(commit: str, folder: Path) -> Iterator[Build]:
    """The build of a commit, as long as the context lasts.

    Raises:
        subprocess.CalledProcessError: There is no such commit, or a package cannot be installed.
    """
    tree, also = folder / "tree", folder / "packages"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
    try:
        jar = Path("listener/build/enel-listener.jar")
        if (ROOT / jar).exists():
            (tree / jar).parent.mkdir(parents=True, exist_ok=True)
            (tree / jar).symlink_to(ROOT / jar)
        _install_missing(tree / "requirements.txt", also)
        yield Build(commit, tree, also)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def letting_the_network_serve(build: Build, folder: Path) -> Build:
    """Copy of a build whose trainings let the network serve, whatever validation says of it.

    So how long a decision by the network takes can be asked of any build, whether or not the network is worth
    it on the runs at hand.
    """
    return _with_another(build, folder, r"CLEARLY_BETTER = ", r"[\d.]+", 'float("inf")')


def training_for_a_moment(build: Build, folder: Path) -> Build:
    """Copy of a build whose trainings end after ten epochs: where only what comes later is timed."""
    return _with_another(build, folder, r"    max_epochs: int = ", r"\d+", "10")


def _with_another(build: Build, folder: Path, name: str, value: str, other: str) -> Build:
    """Copy of a build in whose code one value is another.

    Args:
        name: All of the line in front of the value; a regular expression, as is the value.
    Raises:
        RuntimeError: There is no such line, or there are several.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=build.tree, check=True, capture_output=True)
    line, changed = re.compile(rf"^({name}){value}$", re.MULTILINE), 0
    for path in filter(None, listed.stdout.decode().split("\0")):
        if Path(path).parts[0] in ("benchmarks", "tests", "docs"):
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = (build.tree / path).read_bytes()
        if Path(path).parts[0] == "training" and path.endswith(".py"):
            text, count = line.subn(rf"\g<1>{other}", content.decode())
            content, changed = text.encode(), changed + count
        target.write_bytes(content)
    if changed != 1:
        raise RuntimeError(f"{build.name}: a line {name!r} was looked for once, and found {changed} times")
    return Build(build.name, folder, build.also)


def _install_missing(requirements: Path, target: Path) -> None:
    missing = [line for line in _pins(requirements.read_text()) if not _is_installed(line)]
    if missing:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", target, *missing], check=True)


def _pins(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def _is_installed(pin: str) -> bool:
    name = re.split(r"[\[=<>~! ]", pin, maxsplit=1)[0]
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True)
class Running:
    """A service that is ready."""

    build: Build
    url: str
    pid: int
    ready_seconds: float
    """From the start of its process to the first answer of `/readyz`."""

    def memory(self) -> dict[str, float]:
        """MiB by kind of process, each with its share of what is shared (PSS): `web`, `worker`, `rest`.

        MongoDB is left out.
        """
        found = {"web": 0.0, "worker": 0.0, "rest": 0.0}
        web = psutil.Process(self.pid)
        for process in (web, *web.children(recursive=True)):
            try:
                line, mib = " ".join(process.cmdline()), process.memory_full_info().pss / 2**20
            except psutil.NoSuchProcess:
                continue
            if process.name() == "mongod" or "mongod" in line:
                continue
            kind = "web" if process.pid == self.pid else "worker" if "spawn_main" in line else "rest"
            found[kind] += mib
        return found

    def cpu_seconds(self) -> float:
        """Of the web process, since its start."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def running(build: Build, folder: Path, **environment: str) -> AsyncIterator[Running]:
    """Start a build, with nothing of the caller's settings that leads elsewhere; it is stopped in the end.

    Raises:
        RuntimeError: It ended, or was not ready in time.
    """
    port = free_port()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    settings = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(folder),
        "LOGGING_LEVEL": "WARNING",
        "PYTHONPATH": build.python_path,
        **environment,
    }
    # Unset rather than empty: earlier builds may not take an empty text for none. And bytecode is kept, as
    # with whoever uses a build: without, most of a start is compiling.
    unset = {*ALONE, "PYTHONDONTWRITEBYTECODE"}
    of_its_own = {name: value for name, value in os.environ.items() if name.upper() not in unset}
    with (folder / "service.log").open("wb") as output:
        guard = await GuardedProcess.start(
            *(sys.executable, "main.py"),
            cwd=build.tree,
            env={**of_its_own, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        service = await _service_of(guard)
        begun = time.perf_counter()
        await _ready(guard, url, folder)
        yield Running(build, url, service.pid, time.perf_counter() - begun)
    finally:
        await guard.stop()


async def _service_of(guard: GuardedProcess) -> psutil.Process:
    """Returns as soon as the guard has started it."""
    while guard.returncode is None:
        for child in psutil.Process(guard.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "main.py" in child.cmdline():
                    return child
        await asyncio.sleep(0.002)
    raise RuntimeError("The service did not start.")


async def _ready(process: GuardedProcess, url: str, folder: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        while process.returncode is None and time.monotonic() < deadline:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)
    log = (folder / "service.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"The service did not become ready:\n{log}")
