"""What lasts of the name of a Spark stage: its operation and the file that called it.

Spark names a stage by its call site, `count at /tmp/spark-<uuid>/app.py:3`. The folder is another one in
every run, the line moves with each edit above it, and stages of thread pools are named by frames of Spark
and the JDK, `$anonfun$withThreadLocalCaptured$2 at CompletableFuture.java:1768`, whose numbers are those of
their versions. None of that says what a stage does. Stages that are called alike afterwards are told
apart by their order.
"""

import re
from functools import lru_cache

UNNAMED = "stage"
"""What a stage is called of whose name nothing lasts."""

_HEX = "[0-9a-fA-F]"

_LAMBDAS = re.compile(rf"\$\$Lambda(?:\$\d+)?(?:/(?:0x)?{_HEX}+)?")

_COUNTERS = re.compile(r"\$\d+(?![0-9A-Za-z_])")
"""The compiler's: `$anonfun$main$2`, `lambda$main$0`."""

_CODEGEN = re.compile(r"(wholestagecodegen)\s*\(\d+\)", re.IGNORECASE)

_MADE_UP = re.compile(
    rf"{_HEX}{{8}}(?P<dash>[-_]?)(?:{_HEX}{{4}}(?P=dash)){{3}}{_HEX}{{12}}"  # a UUID
    rf"|0x{_HEX}+"
    r"|(?<![0-9A-Za-z])(?:application|app|job|attempt|local)[-_]\d{10,}(?:[-_]\d+)*"  # of Spark and Hadoop
    r"|(?<!\d)\d{4}-\d{2}-\d{2}"  # a day, or a moment
    r"(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?: ?UTC|Z|[+-]\d{2}:?\d{2}(?!\d))?)?(?!\d)"
    r"|(?<!\d)(?:19|20)\d{2}[01]\d[0-3]\d[T_-]?[0-2]\d[0-5]\d(?:[0-5]\d)?Z?(?![0-9A-Za-z])"
    r"|(?<![0-9:])[0-2]\d:[0-5]\d:[0-5]\d(?:[.,]\d+)?(?![0-9:])"  # a time
    rf"|(?<![0-9A-Za-z])(?=[a-fA-F]*\d){_HEX}{{8,}}(?![0-9A-Za-z])"  # a hash, or a long number
)

_DAY_FOLDERS = re.compile(
    r"(?<=[\\/])(?:19|20)\d{2}[\\/][01]?\d(?:[\\/][0-3]?\d(?:[\\/][0-2]\d)?)?(?=[\\/]|$|[\s'\"])"
)
"""Folders for each month, day or hour: `/events/2026/11/29`."""

_PARTITIONS = re.compile(r"(?<![0-9A-Za-z])(year|month|day|hour|dt|ds|date)=\d[\d-]*")
"""Of tables, each filled once: `dt=2026-11-29/hour=02`."""

_CELLS = re.compile(
    r"<(?P<cell>ipython-input|python-input|command|cell)-[^<>]*>"
    r"|(?<![0-9A-Za-z])(?P<file>command|cmd|cell)-\d+(?:-\d+)*(?![0-9A-Za-z-])"
)
"""Of notebooks, by the number of its run, a hash or an id: `<ipython-input-12-0a1b2c>`, `<command-123>`."""

_KERNEL_CELL = re.compile(r"[\\/]ipykernel_\d+[\\/]\d+\.py")
"""A cell as ipykernel calls it: the kernel's process and a hash of its text."""

_REPL_LINES = re.compile(r"\$line\d+(?=\.)")
"""Classes of a Scala shell, one for each input."""

_LINE = re.compile(r"(?::-?\d+)+$")
"""The JDK says -2 for what is native, or 0."""

_SPARKS_COUNTS = re.compile(r"(?<=directories for )\d+(?= paths)|(?<=\bbatch = )\d+")
"""In what Spark itself calls a stage: how many files there are, and which batch of a stream it is."""

_JAR = re.compile(r"[-_]v?\d[0-9A-Za-z._-]{0,80}?(?=\.(?:jar|egg|whl|zip)\b)", re.IGNORECASE)
"""Versions before the ending of an archive's name: `examples_2.13-4.1.4.jar`."""

_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]*|(?<![^\s'\"(])(?:[A-Za-z]:)?[\\/][^\s'\"]*")
"""A URL, or a path from the root, within a free text."""

_PLATFORM_FRAMES = re.compile(
    r"(?:CompletableFuture|FutureTask|ThreadPoolExecutor|ForkJoin\w*|Thread|NativeMethodAccessorImpl"
    r"|DirectMethodHandleAccessor|DelegatingMethodAccessorImpl|Method)\.java"
)
"""Files of the JDK: which one a pool's thread is in says its version, and nothing of the application."""

_PLATFORM = "java"


@lru_cache(maxsize=8192)
def lasting_name(name: str) -> str:
    """The part of a stage's name that is the same in other runs, and for other versions; never empty.

    Of what this returns, all lasts: applied again, it changes nothing.
    """
    for _ in range(8):  # what is left after one pass may look like a path or a line
        found = _lasting(name)
        if found == name:
            break
        name = found
    return name


def _lasting(name: str) -> str:
    operation, at, place = _without_numbers(name).partition(" at ")
    is_call_site = bool(at and _LINE.search(place) and not _MADE_UP.fullmatch(place))  # `load at 02:30:00`
    found = f"{_in_text(operation)} at {_file(place)}" if is_call_site else None
    if found is None:
        found = _in_text(operation) + (f" at {_in_text(place)}" if at else "")
    return " ".join(found.split()) or UNNAMED


def _without_numbers(name: str) -> str:
    name = _KERNEL_CELL.sub("/<cell>", _CELLS.sub(_cell, _DAY_FOLDERS.sub("", name)))
    name = _PARTITIONS.sub(r"\1=", name)
    name = _COUNTERS.sub("", _LAMBDAS.sub("$$Lambda", _REPL_LINES.sub("$line", name)))
    return " ".join(_SPARKS_COUNTS.sub("", _CODEGEN.sub(r"\1", name)).split())


def _cell(match: re.Match[str]) -> str:
    return f"<{match['cell']}>" if match["cell"] else match["file"]


def _file(place: str) -> str:
    """Base name of a call site's file, which may lie in folders with any names."""
    base = re.split(r"[\\/]", _LINE.sub("", place).split("?")[0].rstrip("\\/"))[-1]
    if _PLATFORM_FRAMES.fullmatch(base.strip()):
        return _PLATFORM
    return _JAR.sub("", _MADE_UP.sub("", base)).strip(" -_") or "file"


def _in_text(text: str) -> str:
    """A text without what is made up anew for each run; places in it by their base names."""
    text = _PLACE.sub(lambda match: _file(match[0]), text)
    return _JAR.sub("", _MADE_UP.sub("", text))
