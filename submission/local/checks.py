"""What of a manifest could never start on this machine."""

from pathlib import Path

from common.errors import InvalidRequest, Unavailable
from submission.local.spark_submit import find_java, translate, unsupported
from submission.manifest.build import Manifest
from submission.manifest.sizes import SMALLEST_MEMORY, size_in_bytes


def check(manifest: Manifest) -> None:
    """Look at its files and sizes; blocks on the file system.

    Raises:
        InvalidRequest: The manifest asks for what is not there, or for what only Kubernetes has.
        Unavailable: Java or the Spark plugin is missing.
    """
    if find_java() is None:
        raise Unavailable("Java is missing: the local Spark needs Java 17 on the PATH or in JAVA_HOME.")
    submit = translate(manifest)
    if missing := unsupported(manifest):
        raise InvalidRequest(f"The local Spark has none of what Kubernetes provides: {missing}.")
    for jar in submit.jars[-1:]:  # the others are the request's
        if _is_missing(jar):
            raise Unavailable(f"The Spark plugin {jar} is missing; `make install` builds it (LISTENER_JAR).")
    if _is_missing(submit.main_file):
        raise InvalidRequest(f"The main application file {submit.main_file} does not exist on this machine.")
    for location in (*submit.jars, *submit.files):
        if _is_missing(location):
            raise InvalidRequest(f"deps: {location} does not exist on this machine.")
    for role in ("driver", "executor"):
        memory = submit.properties[f"spark.{role}.memory"]
        if size_in_bytes(memory) < size_in_bytes(SMALLEST_MEMORY):
            raise InvalidRequest(
                f"Spark needs at least {SMALLEST_MEMORY} of memory for the {role}, not {memory}."
            )


def _is_missing(location: str) -> bool:
    try:
        return location.startswith("/") and not Path(location).is_file()
    except OSError:  # such as a name that is longer than any file's
        return True
