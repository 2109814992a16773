"""One build: requirements to a packed file, by PEX in a process of its own.

How it is packed was measured (docs/decisions/0021-environments.md). In the mode `--venv` the file unpacks
itself once below PEX_ROOT and is then as quick as an interpreter. That mode ignores `--inherit-path`;
only scripts that are not hermetic leave PYTHONPATH alone, by which Spark brings pyspark and py4j.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from common.processes.environment import passed_environment
from common.processes.guarded import GuardedProcess
from submission.environments.limits import BuildFailed, BuildLimits, LimitReached, check_packed, watch
from submission.environments.log import BuildLog
from submission.environments.requirements import own_python

PACKED_NAME = "environment.pex"

_GRACE_SECONDS = 2.0
"""A build that is ended has nothing to save."""

_NETWORK_SECONDS = 60
"""Without a word of the index; PEX would otherwise give up after 15, whatever pip's configuration says."""

_MOST_INFO_BYTES = 4 << 20


@dataclass(frozen=True)
class Built:
    """What a build has made."""

    packed: Path
    size_bytes: int
    packages: list[str]
    """`name==version`, sorted."""


async def build(
    folder: Path,
    requirements: Sequence[str],
    limits: BuildLimits,
    log: BuildLog,
    *,
    index: dict[str, str],
    allow_source_builds: bool,
) -> Built:
    """Build below a folder of its own, which the caller removes.

    Args:
        index: Variables that say where packages are, of `index_environment`.
        allow_source_builds: Whether packages without a wheel may run their code here to become one.
    Raises:
        BuildFailed: There is no such environment, or it takes too much.
        OSError: The folder cannot be written to.
    """
    await asyncio.to_thread(_prepare, folder, requirements)
    process = await GuardedProcess.start(
        *_command(folder, allow_source_builds),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(folder, index),
        cwd=folder / "work",
        grace_seconds=_GRACE_SECONDS,
    )
    reading = asyncio.create_task(log.read(process.stdout))
    watching = asyncio.create_task(watch(process.pid, folder, limits))
    try:
        async with asyncio.timeout(limits.seconds):
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            code = await process.wait()
    except TimeoutError:
        raise LimitReached(
            f"The build took longer than ENVIRONMENT_BUILD_SECONDS ({limits.seconds:g} s)."
        ) from None
    finally:
        watching.cancel()
        await process.stop()
        await asyncio.gather(watching, return_exceptions=True)
        # Its output has ended with its processes; a moment for what lies in the pipe.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading, 5.0)
    packed = folder / PACKED_NAME
    if code != 0 or not packed.is_file():
        raise BuildFailed(_reason(log, code, allow_source_builds))
    size_bytes = packed.stat().st_size
    check_packed(size_bytes, limits)
    return Built(packed, size_bytes, await asyncio.to_thread(_packages, packed))


def remove_folder(folder: Path) -> None:
    """Remove it with what lies in it; what cannot be removed stays."""
    shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path, requirements: Sequence[str]) -> None:
    remove_folder(folder)
    folder.mkdir(parents=True, mode=0o700)
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(mode=0o700)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))


def _command(folder: Path, allow_source_builds: bool) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "pex"),
        *("--requirement", str(folder / "requirements.txt")),
        *("--output-file", str(folder / PACKED_NAME)),
        *("--python", sys.executable),
        *("--pex-root", str(folder / "pex-root")),
        *("--tmpdir", str(folder / "tmp")),
        "--no-rc",
        "--use-pip-config",
        *("--timeout", str(_NETWORK_SECONDS)),
        # The pip that PEX carries along: others it would have to fetch first, and some index lacks them.
        *("--pip-version", "vendored"),
        *("--resolver-version", "pip-2020-resolver"),
        "--build" if allow_source_builds else "--no-build",
        *("--exclude", "pyspark", "--exclude", "py4j"),
        *("--venv", "--sh-boot", "--non-hermetic-venv-scripts"),
        "-v",
    ]


def _environment(folder: Path, index: dict[str, str]) -> dict[str, str]:
    return {
        **passed_environment(),
        **index,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PEX_ROOT": str(folder / "pex-root"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _reason(log: BuildLog, code: int, allow_source_builds: bool) -> str:
    reason = log.reason or f"PEX ended with exit code {code}."
    if allow_source_builds or "No matching distribution" not in reason:
        return reason
    return (
        f"{reason}. Only wheels for Python {own_python()} count: nothing is built from source here"
        " (ENVIRONMENT_ALLOW_SOURCE_BUILDS)."
    )


def _packages(packed: Path) -> list[str]:
    """What the file says that it holds; nothing in it is run."""
    with zipfile.ZipFile(packed) as archive, archive.open("PEX-INFO") as file:
        info = json.loads(file.read(_MOST_INFO_BYTES))
    found = []
    for name in info["distributions"]:
        try:
            project, version, *_ = parse_wheel_filename(name)
        except InvalidWheelFilename:
            found.append(name)
        else:
            found.append(f"{project}=={version}")
    return sorted(found)
