"""This machine: Java, the Spark plugin against the Spark it will meet, DATA_DIR and the disk below it."""

import asyncio
import os
import re
import shutil
import zipfile
from pathlib import Path

from app.doctor.finding import Finding, ok, skipped, wrong
from submission.local.spark_submit import find_java, find_spark_home, local_path

_JAVA, _PLUGIN, _FOLDER, _DISK = "Java", "Plugin", "DATA_DIR", "Disk"

_LEAST_JAVA = 17
_JAVA_SECONDS = 20.0
_JAVA_VERSION = re.compile(r'version "(\d+)')
_SPARK_CORE = re.compile(r"spark-core_[\d.]+-(\d+(?:\.\d+)+)")
_BUILT_FOR = re.compile(r"^Spark-Version: (\S+)", re.MULTILINE)
_BUILD = "Build it: `make listener` in a checkout, then install the package anew; or set LISTENER_JAR."


async def check_java() -> Finding:
    """Whether the `java` that Spark's scripts find is young enough."""
    java = find_java()
    if java is None:
        return wrong(_JAVA, "there is no java on the PATH or in JAVA_HOME", "Install a JRE of Java 17.")
    try:
        async with asyncio.timeout(_JAVA_SECONDS):
            process = await asyncio.create_subprocess_exec(
                java, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            said, _ = await process.communicate()
    except (OSError, TimeoutError) as error:
        return wrong(_JAVA, f"{java} does not run: {type(error).__name__}", "Install a JRE of Java 17.")
    version = _JAVA_VERSION.search(said.decode(errors="replace"))
    if version is None or int(version[1]) < _LEAST_JAVA:
        which = f"is Java {version[1]}" if version else "does not say its version"
        return wrong(_JAVA, f"{java} {which}", f"Spark needs Java {_LEAST_JAVA}: set JAVA_HOME to one.")
    return ok(_JAVA, f"Java {version[1]} ({java})")


def check_plugin(listener_jar: str, in_images: bool) -> Finding:
    """Whether the jar is there, and built for this Spark's line: across lines its calls fail at run time.

    Args:
        in_images: Whether drivers find it in images of their own, which cannot be seen from here.
    """
    if in_images:
        return skipped(_PLUGIN, f"{listener_jar} lies in the images of applications")
    path = local_path(listener_jar)
    if not path.startswith("/"):
        return skipped(_PLUGIN, f"{listener_jar} is not on this machine")
    try:
        with zipfile.ZipFile(path) as jar:
            manifest = jar.read("META-INF/MANIFEST.MF").decode(errors="replace")
    except FileNotFoundError:
        return wrong(_PLUGIN, f"there is no {path}", _BUILD)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        return wrong(_PLUGIN, f"{path} is no jar that can be read: {type(error).__name__}", _BUILD)
    built_for = _BUILT_FOR.search(manifest)
    if built_for is None:
        return wrong(_PLUGIN, f"{path} does not say for which Spark it was built", _BUILD)
    spark = _spark_version()
    if spark is None:
        return wrong(_PLUGIN, "there is no Spark to compare it with", "Install pyspark (requirements.txt).")
    if built_for[1].split(".")[0] != spark.split(".")[0]:
        return wrong(_PLUGIN, f"{path} was built for Spark {built_for[1]}, but Spark is {spark}", _BUILD)
    return ok(_PLUGIN, f"built for Spark {built_for[1]}, and Spark is {spark}")


def _spark_version() -> str | None:
    try:
        jars = sorted((find_spark_home() / "jars").glob("spark-core_*.jar"))
    except FileNotFoundError:
        return None
    found = _SPARK_CORE.match(jars[0].name) if jars else None
    return found[1] if found else None


def check_folder(data_dir: Path) -> Finding:
    """Whether DATA_DIR is, or could be, a folder that the service can write to."""
    place = _nearest(data_dir)
    if not place.is_dir():
        return wrong(_FOLDER, f"{place} is no folder", "Set DATA_DIR to a folder of the service's own.")
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return wrong(
            _FOLDER, f"{place} cannot be written to", f"chown it to this user, or set DATA_DIR: {place}"
        )
    return ok(_FOLDER, str(data_dir) if place == data_dir else f"{data_dir}, which the service will make")


def check_disk(data_dir: Path, least_free_bytes: int) -> Finding:
    """Whether there is room for logs, models and MongoDB's files."""
    place = _nearest(data_dir)
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return wrong(_DISK, f"{place} cannot be looked at: {error.strerror}", "Set DATA_DIR to another disk.")
    if free < least_free_bytes:
        return wrong(
            _DISK,
            f"{_gigabytes(free)} are free at {place}, less than {_gigabytes(least_free_bytes)}",
            "Free some, or set DATA_DIR to another disk; `--least-free-gb` says how much there should be.",
        )
    return ok(_DISK, f"{_gigabytes(free)} are free at {place}")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the closest one above it that is there."""
    folder = folder.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
