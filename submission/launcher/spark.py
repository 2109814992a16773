"""What Spark is told before the program makes its session: files that executors have to have."""

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def distribute(files: Sequence[Path], modules: Path | None, executor_variables: Mapping[str, str]) -> None:
    """Let the session that will be made take files along to its executors.

    The gateway's JVM is the driver: a SparkConf that is made in it reads its system properties.

    Args:
        files: Each lies in an executor's working folder then.
        modules: A ZIP of Python modules, for the path of executors.
        executor_variables: Of executors' environment.
    """
    port, secret = os.environ.get("PYSPARK_GATEWAY_PORT"), os.environ.get("PYSPARK_GATEWAY_SECRET")
    if port is None or not (files or modules):
        return
    # It comes with Spark, and only there.
    from py4j.java_gateway import GatewayParameters, JavaGateway  # type: ignore[import-untyped]

    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=int(port), auth_token=secret))
    try:
        system = gateway.jvm.java.lang.System
        all_files = [*files, *([modules] if modules else [])]
        _append(system, "spark.files", [path.as_uri() for path in all_files])
        for name, value in executor_variables.items():
            system.setProperty(f"spark.executorEnv.{name}", value)
        if modules:
            _append(system, "spark.submit.pyFiles", [str(modules)])
    finally:
        gateway.close()


def _append(system: object, name: str, values: Sequence[str]) -> None:
    present = system.getProperty(name)  # type: ignore[attr-defined]
    system.setProperty(name, ",".join([*([present] if present else []), *values]))  # type: ignore[attr-defined]


def zip_modules(folder: Path, target: Path) -> Path | None:
    """A ZIP of the Python modules below a folder; None where there are none."""
    modules = sorted(path for path in folder.rglob("*.py") if path.is_file() and not path.is_symlink())
    if not modules:
        return None
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in modules:
            archive.write(path, path.relative_to(folder).as_posix())
    return target
