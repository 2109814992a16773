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
    rf"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"  # a UUID
    rf"|0x{_HEX}+"
    r"|(?<!\d)\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:[.,]\d+)?Z?)?(?!\d)"  # a day, or a moment
    rf"|(?<![0-9A-Za-z])(?=[a-fA-F]*\d){_HEX}{{8,}}(?![0-9A-Za-z])"  # a hash, or a long number
)

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
    found = f"{_in_text(operation)} at {_file(place)}" if at and _LINE.search(place) else None
    if found is None:
        found = _in_text(operation) + (f" at {_in_text(place)}" if at else "")
    return " ".join(found.split()) or UNNAMED


def _without_numbers(name: str) -> str:
    name = _COUNTERS.sub("", _LAMBDAS.sub("$$Lambda", name))
    return " ".join(_SPARKS_COUNTS.sub("", _CODEGEN.sub(r"\1", name)).split())


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
