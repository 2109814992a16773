"""Fetch what a real HDFS needs, once: `python benchmarks/support/hdfs_jars.py`.

Hadoop's NameNode and DataNode come with the source archive of an old PySpark; the JAX-RS library
that their web interfaces need, and that PySpark lacks in this version, is packaged by Debian. Only the
standard library is used, because this runs while things are still being installed.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(sys.prefix) / "hdfs"
"""Inside the virtual environment, so that it goes where that goes."""

STAMP = FOLDER / "complete"
"""Written last. Says what the folder was made from: with another choice of jars it is made anew."""

_ARCHIVE = "pyspark==2.4.8"
_ARCHIVE_SHA256 = "3a19b71b8dc8dd91ebc943604a05e1ab01bce052456d42937035632d852d78dc"

_HADOOP_JARS = re.compile(
    r"(activation|hadoop-(annotations|auth|common|hdfs)"
    r"|jetty(-util)?|javax\.servlet-api|netty(-all)?"
    r"|commons-(beanutils|cli|codec|collections|configuration|digester|httpclient|io|lang|logging|net)"
    r"|guava|htrace-core|http(client|core)|jackson-(core|mapper)-asl|jaxb-api|jsr305|leveldbjni-all|log4j|protobuf-java"
    r"|slf4j-(api|log4j12)|xercesImpl|xmlenc)-[0-9][^/]*\.jar"
)
"""A tenth of the archive; all of it works too, but starts more slowly."""

_PACKAGES = {
    "libjersey1-core-java": "jersey1-core.jar",
    "libjersey1-server-java": "jersey1-server.jar",
    "libjersey1-servlet-java": "jersey1-servlet.jar",
    "libjsr311-api-java": "jsr311-api.jar",
}
"""Debian package to the jar in it."""

_INSTALLED = Path("/usr/share/java")
"""Where Debian and its derivatives put jars."""

_COMMAND_SECONDS = 900


class JarsMissing(Exception):
    """HDFS cannot be started on this machine; the message says what to do about it."""


def hdfs_jars() -> list[Path]:
    """The jars of NameNode and DataNode. Raises JarsMissing where `prepare` has not succeeded."""
    if not STAMP.is_file():
        raise JarsMissing(f"there are no jars of Hadoop in {FOLDER}: run `make install-dev`")
    return sorted(FOLDER.glob("*.jar"))


def prepare() -> None:
    """Fetch the jars, unless they are there. Raises JarsMissing."""
    contents = "\n".join((_ARCHIVE, _ARCHIVE_SHA256, _HADOOP_JARS.pattern, *_PACKAGES, ""))
    if STAMP.is_file() and STAMP.read_text() == contents:
        STAMP.touch()  # for make, which compares times
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent, prefix="hdfs-") as scratch:
        jars = Path(scratch, "jars")
        jars.mkdir()
        # The small ones first: they may fail, and then 220 MB need not be fetched.
        for jar in _debian_jars(Path(scratch)):
            shutil.copy(jar, jars)  # follows links
        _take_hadoop_jars(Path(scratch), jars)
        jars.rename(FOLDER)
    STAMP.write_text(contents)


def _debian_jars(scratch: Path) -> Iterator[Path]:
    """The installed jars; those that are not installed are unpacked from their packages."""
    missing = [name for name, jar in _PACKAGES.items() if not (_INSTALLED / jar).exists()]
    if missing:
        _download(missing, scratch)
        for package in scratch.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(scratch / "root"))
    for name, jar in _PACKAGES.items():
        folder = scratch / "root" / _INSTALLED.relative_to("/") if name in missing else _INSTALLED
        yield folder / jar


def _download(packages: list[str], scratch: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise JarsMissing(
                f"{tool} is not there to fetch the Debian packages {' '.join(packages)}; "
                f"put their jars ({', '.join(_PACKAGES[name] for name in packages)}) into {_INSTALLED}"
            )
    install = f"install them: apt-get install {' '.join(packages)}"
    try:
        _run("apt-get", "download", *packages, folder=scratch)
    except JarsMissing:
        # Images of containers come without package lists.
        try:
            _run("apt-get", "update")
            _run("apt-get", "download", *packages, folder=scratch)
        except JarsMissing as error:
            raise JarsMissing(f"{error}; {install} (after apt-get update, as root)") from error


def _take_hadoop_jars(scratch: Path, jars: Path) -> None:
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{_ARCHIVE} --hash=sha256:{_ARCHIVE_SHA256}\n")
    _run(
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"),
        # Its setup script of 2021 fails in the isolated environment that pip would build today.
        *("--no-deps", "--no-build-isolation", "--no-cache-dir", "--require-hashes"),
        *("--no-binary", ":all:", "--dest", str(scratch), "--requirement", str(requirement)),
    )
    [archive] = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        for member in content:
            folder, _, name = member.name.rpartition("/")
            if folder.endswith("/deps/jars") and _HADOOP_JARS.fullmatch(name):
                file = content.extractfile(member)
                assert file is not None, name
                with file, (jars / name).open("wb") as copy:
                    shutil.copyfileobj(file, copy)


def _run(*command: str, folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JarsMissing(f"{command[0]} failed: {error}") from error
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        raise JarsMissing(f"`{' '.join(command[:4])} …` failed: {lines[-1] if lines else 'without a word'}")


def main() -> int:
    started = time.monotonic()
    if not STAMP.is_file():
        print("Fetching a Hadoop for the HDFS tests (220 MB, of which 30 MB are kept)", flush=True)
    try:
        prepare()
    except JarsMissing as error:
        # Everything else can be tested: this must not stop `make test`.
        print(f"The HDFS tests will be skipped: {error}.", file=sys.stderr)
        return 0
    print(f"Hadoop's jars are in {FOLDER} ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
