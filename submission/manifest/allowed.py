"""What a request may have the local Spark run: programs and properties, by patterns.

There a program is the service's user, with all files that it can read. Whatever can lead Spark to other
code, other files or other addresses is a property in the end, and is checked by its name.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote

from common.addresses import parse_address
from submission.manifest.fields import Fields

HARMLESS_PROPERTIES = (
    "spark.broadcast.blockSize",
    "spark.broadcast.compress",
    "spark.default.parallelism",
    "spark.executor.heartbeatInterval",
    "spark.kryoserializer.buffer",
    "spark.kryoserializer.buffer.max",
    "spark.locality.wait",
    "spark.locality.wait.*",
    "spark.memory.fraction",
    "spark.memory.storageFraction",
    "spark.network.timeout",
    "spark.rdd.compress",
    "spark.reducer.*",
    "spark.scheduler.mode",
    "spark.shuffle.compress",
    "spark.shuffle.file.buffer",
    "spark.shuffle.spill.compress",
    "spark.speculation",
    "spark.speculation.*",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes",
    "spark.sql.adaptive.coalescePartitions.*",
    "spark.sql.adaptive.enabled",
    "spark.sql.adaptive.localShuffleReader.enabled",
    "spark.sql.adaptive.skewJoin.*",
    "spark.sql.ansi.enabled",
    "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.broadcastTimeout",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
    "spark.task.cpus",
    "spark.task.maxFailures",
)
"""How a program computes: none names code, a file or an address."""

DEPENDENCIES = {
    "files": "spark.files",
    "pyFiles": "spark.submit.pyFiles",
    "archives": "spark.archives",
    "packages": "spark.jars.packages",
    "excludePackages": "spark.jars.excludes",
    "repositories": "spark.jars.repositories",
}
"""Property for each kind of a manifest's `deps`, besides the jars."""


def move_dependencies(spec: Fields) -> None:
    """Put what properties name beside what `deps` names: of the two, spark-submit drops the former.

    Args:
        spec: Of a manifest; changed, its lists are not.
    """
    deps = dict(spec.get("deps", {}))
    for kind, key in {"jars": "spark.jars", **DEPENDENCIES}.items():
        if deps.get(kind) and key in spec["sparkConf"]:
            named = [each.strip() for each in spec["sparkConf"].pop(key).split(",")]
            deps[kind] = list(dict.fromkeys([*filter(None, named), *deps[kind]]))
    if deps:
        spec["deps"] = deps


def properties_of(overrides: Fields, log_dir: str | None) -> Iterator[tuple[str, str]]:
    """Each Spark property that a request sets, whatever it calls it, and where it says so."""
    for key in overrides.get("sparkConf", {}):
        yield key, f"sparkConf.{key}"
    for key in overrides.get("hadoopConf", {}):
        yield f"spark.hadoop.{key}", f"hadoopConf.{key}"
    for key, values in overrides.get("deps", {}).items():
        if values:
            yield DEPENDENCIES.get(key, "spark.jars"), f"deps.{key}"
    for role, prefix in (("driver", "spark.driverEnv."), ("executor", "spark.executorEnv.")):
        for variable in overrides.get(role, {}).get("env", []):
            yield prefix + variable["name"], f"{role}.env: {variable['name']}"
    if log_dir is not None:
        yield "spark.eventLog.dir", "log_dir"


def is_allowed_program(location: str, patterns: Sequence[str], examples: Mapping[str, str]) -> bool:
    """Whether it is a bundled example, or what a pattern names; a path with `..` is neither."""
    place = _place(location)
    if place is None:
        return False
    if place in {_place(example) for example in examples.values()}:
        return True
    return any(fnmatchcase(place, _place(pattern) or pattern) for pattern in patterns)


def _place(location: str) -> str | None:
    """A path on this machine as a plain one, another URI as it is; None: `..` could lead anywhere."""
    parts = parse_address(location)
    path = unquote(parts.path)
    if ".." in path.split("/"):
        return None
    return posixpath.normpath(path) if parts.scheme in ("", "local", "file") else location
