"""Build the listener's jar against the jars of the installed pyspark.

Usage: python listener/build.py [--force]

Only needs a JDK (17 or newer, `javac` and `jar` on the path or under JAVA_HOME) and pyspark. The jar holds
our classes alone, since everything they use is on Spark's own class path.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LISTENER = Path(__file__).resolve().parent
SOURCES = LISTENER / "src" / "main" / "java"
JAR = LISTENER / "build" / "enel-listener.jar"
ENTRY_POINTS = ("EntryPoint.java", "EnelPlugin.java", "EnelExtraListener.java")


def main() -> int:
    """Build if needed, print one line, return the exit status."""
    parser = argparse.ArgumentParser(description="Build the listener's jar.")
    parser.add_argument(
        "--force", action="store_true", help="build even if the jar is newer than its sources"
    )
    try:
        print(build(force=parser.parse_args().force))
    except BuildFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


class BuildFailed(Exception):
    """The jar could not be built; the message says why."""


def build(force: bool = False) -> str:
    """Build the jar unless it is newer than every source, and say what was done.

    Raises:
        BuildFailed: No JDK, no pyspark, or the compiler found something.
    """
    sources = sorted(SOURCES.rglob("*.java"))
    newest = max(path.stat().st_mtime for path in [*sources, Path(__file__)])
    if not force and JAR.exists() and JAR.stat().st_mtime >= newest:
        return f"{JAR} is up to date"
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder) / "classes"
        compile_sources(sources, classes)
        # Moved into place whole, so that two builds at once never leave half a jar.
        JAR.parent.mkdir(exist_ok=True)
        unfinished = JAR.with_suffix(f".{os.getpid()}.tmp")
        manifest = Path(folder) / "MANIFEST.MF"
        manifest.write_text(f"Spark-Version: {spark_version()}\n")
        jar = [tool("jar"), "--create", "--file", str(unfinished), "--manifest", str(manifest)]
        run([*jar, "-C", str(classes), "."])
        unfinished.replace(JAR)
    return f"{JAR} built from {len(sources)} sources"


def compile_sources(sources: list[Path], classes: Path) -> None:
    """Compile the entry points for any Java that Spark runs on, so that they can say what the others need."""
    entry = [path for path in sources if path.name in ENTRY_POINTS]
    compile_for("8", entry, classes)
    compile_for("17", [path for path in sources if path not in entry], classes)


def compile_for(release: str, sources: list[Path], classes: Path) -> None:
    """Compile with every lint that concerns our own code, warnings being errors."""
    run(
        [
            tool("javac"),
            "--release", release,
            # Spark's jars name annotations and class paths that they do not carry; that is not ours to mend.
            # Newer compilers warn that 8 is old, which is why it is there.
            "-Xlint:all,-classfile,-path,-options", "-Werror", "-proc:none",
            "-encoding", "UTF-8",
            "-classpath", str(spark_jars() / "*"),
            "-d", str(classes),
            *map(str, sources),
        ]
    )  # fmt: skip


def spark_jars() -> Path:
    """Folder of Spark's jars, which pyspark brings along."""
    try:
        import pyspark
    except ImportError as missing:
        raise BuildFailed("pyspark is not installed in this Python") from missing
    return Path(pyspark.__file__).parent / "jars"


def spark_version() -> str:
    """Version that the jar is built against; its manifest says so, for `enel doctor`."""
    [core] = spark_jars().glob("spark-core_*.jar")
    return core.stem.rpartition("-")[2]


def tool(name: str) -> str:
    """Path of a JDK tool, from JAVA_HOME if it has one."""
    in_home = Path(os.environ.get("JAVA_HOME", ""), "bin", name)
    found = str(in_home) if in_home.is_file() else shutil.which(name)
    if not found:
        raise BuildFailed(f"{name} not found: a JDK 17 or newer is needed")
    return found


def run(command: list[str]) -> None:
    """Run a tool; its output becomes the error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
