"""From a manifest to a `spark-submit` on a standalone cluster, as the spark-operator does for Kubernetes.

The manifest is all that is known here. Properties travel in a file that only its owner can read:
on a command line every user of the machine could read them.

What only a cluster has is left out where the program does without it: images, placement, queues,
monitoring, restarts, time to live. Volumes and variables from Secrets are refused.
"""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from common.addresses import parse_address
from common.processes.environment import passed_environment
from submission.manifest.allowed import DEPENDENCIES
from submission.manifest.build import Manifest

_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yyyy-MM-dd}T%d{HH:mm:ss.SSS} %p %c{1}: %m%n%ex
logger.deploy.name = org.apache.spark.deploy
logger.deploy.level = info
logger.backend.name = org.apache.spark.scheduler.cluster
logger.backend.level = info
logger.listener.name = org.enelservice
logger.listener.level = info
"""
"""Quiet, except for what shows an application's life: executors, the listener, the cluster."""


_LOCAL_FILES = ("files", "pyFiles")

_SMALL_JVMS = {
    f"spark.{process}.defaultJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    for process in ("driver", "executor")
}
"""Many JVMs share few cores here: most of their time goes to starting, compiling and collecting."""


_OF_PROGRAMS = ("LANG", "LC_", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_", "https_", "no_proxy")
"""Beginnings of variables that the service has, too, and that are nothing to Spark's scripts."""


@dataclass(frozen=True)
class SparkSubmit:
    """What to run, apart from the master's address."""

    properties: Mapping[str, str]
    main_file: str
    main_class: str | None
    arguments: tuple[str, ...]
    jars: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Further files that have to be there; the properties name them."""
    driver_environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, spark_home: Path, master_url: str, properties_file: Path) -> list[str]:
        return [
            str(spark_home / "bin" / "spark-submit"),
            *("--master", master_url, "--deploy-mode", "client"),
            *("--properties-file", str(properties_file)),
            *(("--class", self.main_class) if self.main_class else ()),
            *(("--jars", ",".join(self.jars)) if self.jars else ()),
            self.main_file,
            *self.arguments,
        ]


def translate(manifest: Manifest) -> SparkSubmit:
    """What the manifest means on a standalone cluster of this machine."""
    spec: dict[str, Any] = manifest["spec"]
    driver, executor = spec["driver"], spec["executor"]
    deps = {name: [_dependency(each) for each in values] for name, values in spec.get("deps", {}).items()}
    jars = tuple(deps.pop("jars", ()))
    properties = {
        **_SMALL_JVMS,
        "spark.app.name": manifest["metadata"]["name"],
        **spec.get("sparkConf", {}),
        **{f"spark.hadoop.{key}": value for key, value in spec.get("hadoopConf", {}).items()},
        "spark.driver.cores": str(driver["cores"]),
        "spark.driver.memory": driver["memory"],
        "spark.executor.cores": str(executor["cores"]),
        "spark.executor.memory": executor["memory"],
        "spark.executor.instances": str(executor["instances"]),
        **_executors(spec),
        **{DEPENDENCIES[name]: ",".join(values) for name, values in deps.items()},
        **{f"spark.executorEnv.{name}": value for name, value in _environment(executor).items()},
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    for role, pod in (("driver", driver), ("executor", executor)):
        if options := pod.get("javaOptions"):
            key = f"spark.{role}.extraJavaOptions"
            properties[key] = " ".join(filter(None, [properties.get(key), options]))
    # A plugin is loaded before `--jars` is on the driver's class path.
    class_path = [
        properties.get("spark.driver.extraClassPath", ""),
        *(jar for jar in jars if jar.startswith("/")),
    ]
    properties["spark.driver.extraClassPath"] = os.pathsep.join(filter(None, class_path))
    return SparkSubmit(
        properties=properties,
        main_file=local_path(spec["mainApplicationFile"]),
        main_class=spec.get("mainClass"),
        arguments=tuple(spec.get("arguments", [])),
        jars=jars,
        files=tuple(path for name in _LOCAL_FILES for path in deps.get(name, ())),
        driver_environment=_environment(driver),
    )


def unsupported(manifest: Manifest) -> str | None:
    """What of a manifest a program would miss on this machine; None if nothing."""
    spec: dict[str, Any] = manifest["spec"]
    if spec.get("volumes"):
        return "volumes"
    for role in ("driver", "executor"):
        references = [each for each in spec[role].get("env", []) if "valueFrom" in each]
        for name in ("envFrom", "envSecretKeyRefs"):
            if spec[role].get(name):
                return f"{role}.{name}"
        if references:
            return f"{role}.env with valueFrom ({references[0]['name']})"
    return None


def _dependency(location: str) -> str:
    """As `local_path`, with the name that an archive is unpacked under (`#name`)."""
    path, hash_sign, name = location.partition("#")
    return local_path(path) + hash_sign + name


def _environment(pod: Mapping[str, Any]) -> dict[str, str]:
    variables = {name: str(value) for name, value in pod.get("envVars", {}).items()}
    return variables | {each["name"]: each.get("value", "") for each in pod.get("env", [])}


def driver_environment(submit: SparkSubmit, of_spark: Mapping[str, str]) -> dict[str, str]:
    """Environment of a driver: what its request says counts for the program, as it does for executors.

    Args:
        of_spark: What Spark's scripts run with (`spark_environment`): a program is not to lead them astray.
    """
    said = {
        name: value
        for name, value in submit.driver_environment.items()
        if name not in of_spark or name.startswith(_OF_PROGRAMS)
    }
    return {**of_spark, **said}


def _executors(spec: Mapping[str, Any]) -> dict[str, str]:
    allocation = spec.get("dynamicAllocation", {})
    if allocation.get("enabled"):
        properties = {
            f"spark.dynamicAllocation.{name}": str(allocation[name])
            for name in ("initialExecutors", "minExecutors", "maxExecutors")
            if name in allocation
        }
        return properties | {
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        }
    # Standalone ignores spark.executor.instances: an application takes every core that it may.
    executor = spec["executor"]
    return {"spark.cores.max": str(executor["instances"] * executor["cores"])}


def local_path(location: str) -> str:
    """The plain path of a `local:` or `file:` URI; other URIs are left to Spark. Raises ValueError."""
    parts = parse_address(location)
    return unquote(parts.path) if parts.scheme in ("local", "file") else location


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write a Java properties file that only its owner can read."""
    lines = (f"{_escape(key, is_key=True)}={_escape(value)}\n" for key, value in sorted(properties.items()))
    path.touch(mode=0o600)
    path.write_text("".join(lines), encoding="ascii")


def _escape(text: str, *, is_key: bool = False) -> str:
    escaped = []
    for index, character in enumerate(text):
        if character == "\\" or (is_key and character in " :=#!") or (character == " " and index == 0):
            escaped.append("\\" + character)
        elif " " <= character <= "~":
            escaped.append(character)
        else:
            units = character.encode("utf-16-be")
            escaped += [f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
    return "".join(escaped)


def find_spark_home() -> Path:
    """The folder of pyspark, found without importing it."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pyspark is not installed")
    return Path(spec.origin).parent


def find_java() -> str | None:
    """The `java` that Spark's scripts will use; None if there is none."""
    if home := os.environ.get("JAVA_HOME"):
        return shutil.which("java", path=str(Path(home) / "bin"))
    return shutil.which("java")


def write_configuration(folder: Path) -> None:
    """Write the configuration folder that every local Spark process uses, instead of a user's own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.properties").write_text(_LOGGING)


def spark_environment(spark_home: Path, folder: Path, python: str) -> dict[str, str]:
    """Environment of Spark's processes: nothing secret, nothing of another Spark installation."""
    return passed_environment() | {
        "SPARK_HOME": str(spark_home),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "PYTHONUNBUFFERED": "1",
    }
