"""Run a program of a workspace (`launch.py ADDRESS EXECUTION_ID`), as docs/programs.md says.

In this order: the service is asked what to run; files are fetched and compared; the program runs, within its
limits, and what it says of itself is passed on; what it leaves is sent, part by part. Only when the service
has all of it does this end with 0.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# By its place: the driver's Python knows nothing of the service.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from submission.launcher import files, service, spark
from submission.launcher.log import say
from submission.launcher.program import Ended, Limits, Program, surroundings
from submission.launcher.reports import Reports
from submission.launcher.signature import signature_of

STARTS = "the program starts"
"""In the line of the log from which on the program runs."""

_UNAVAILABLE = 69
_NOT_KEPT = 70
_TERMINATED = 143
"""Of a program that was ended, whatever it says itself: 128 and SIGTERM."""

_ENVIRONMENT = "environment.pex"


def main() -> int:
    """The exit code: the program's own, unless something else went wrong."""
    try:
        calls = service.from_arguments(sys.argv[1:])
    except ValueError:
        say("usage: launch.py ADDRESS EXECUTION_ID")
        return 64
    folder = Path.cwd() / "program"
    task: dict[str, Any] = {}
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        task = calls.post("start", {})
        _fetch(calls, task, folder)
        ended = _run(calls, task, folder, stopping)
        if ended.exit_code == 0:
            _keep(calls, task, folder)
            say("what the program left is kept.")
        return ended.exit_code
    except service.Refused as error:
        say(f"the service refuses: {error}")
        return _UNAVAILABLE
    except service.Away as error:
        say(f"the service is away: {error}")
        return _UNAVAILABLE
    except files.OutputRefused as error:
        return _not_kept(calls, task, str(error))
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or folder}"
        return _not_kept(calls, task, f"The launcher cannot use its own files ({what}).")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_kept(calls: service.Service, task: Mapping[str, Any], why: str) -> int:
    say(why)
    if task:
        _tell_end(calls, task, Ended(_NOT_KEPT, why))
    return _NOT_KEPT


def _fetch(calls: service.Service, task: Mapping[str, Any], folder: Path) -> None:
    for name in ("files", "output", "inputs", "feedback"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _unpack(calls, "snapshot", folder / "files", task["files"])
    if task["parent"] is not None:
        _unpack(calls, "parent", folder / "parent", task["parent"]["files"])
    if task.get("feedback"):
        calls.read(
            "archives/feedback",
            lambda response: files.unpack_until(response, folder / "feedback", "feedback.jsonl"),
        )
    for name, there in task["inputs"].items():
        _unpack(calls, f"inputs/{name}", folder / "inputs" / name, there)
    if task["environment"] is not None:
        target = folder / _ENVIRONMENT
        calls.download("environment", target)
        target.chmod(0o700)


def _unpack(calls: service.Service, what: str, folder: Path, there: list[dict[str, Any]]) -> None:
    calls.read(f"archives/{what}", lambda response: files.unpack(response, folder, there))


def _run(calls: service.Service, task: Mapping[str, Any], folder: Path, stopping: threading.Event) -> Ended:
    environment = folder / _ENVIRONMENT if task["environment"] is not None else None
    program = folder / "files"
    modules = spark.zip_modules(program, folder / "program_modules.zip")
    if environment:
        spark.distribute([environment], modules, _of_executors())
    else:
        spark.distribute([], modules, {})
    variables = surroundings(folder, f"./{_ENVIRONMENT}" if environment else None) | {
        "ENEL_RUN_ID": task["application_execution_id"],
        "ENEL_OUTPUT_DIR": str(folder / "output"),
        "ENEL_INPUT_DIR": str(folder / "inputs"),
        "ENEL_FEEDBACK_DIR": str(folder / "feedback"),
        "ENEL_PROGRESS_FILE": str(folder / "progress.jsonl"),
    }
    if task["parent"] is not None:
        variables["ENEL_PARENT_VERSION"] = str(folder / "parent")
        variables["ENEL_PARENT_VERSION_NUMBER"] = str(task["parent"]["version"])
    path = [str(program), *filter(None, [variables.get("PYTHONPATH")])]
    variables["PYTHONPATH"] = ":".join(path)
    python = str(environment) if environment else sys.executable
    if environment:
        variables["PYSPARK_DRIVER_PYTHON"] = python
        variables["PEX_ROOT"] = str(folder / "pex")
        variables["PEX_EMIT_WARNINGS"] = "0"  # of long paths, which is no news to a program's author
    limits = Limits(**task["limits"])
    say(f"{STARTS}: {task['file']}")
    running = Program([python, task["file"], *task["arguments"]], program, folder, variables, limits)
    with Reports(calls, task["attempt"], folder / "progress.jsonl", running.budget) as reports:

        def look() -> None:
            if stopping.is_set():
                running.stop("it was asked to end")
            if reports.superseded:
                running.stop(reports.superseded)

        ended = running.wait(look)
    if ended.exit_code != 0 or ended.reason:
        say(ended.reason or f"the program ended with exit code {ended.exit_code}.")
        ended = Ended(ended.exit_code or _TERMINATED, ended.reason)
        _tell_end(calls, task, ended)
    return ended


def _of_executors() -> dict[str, str]:
    """Variables with which executors run an environment: it unpacks in a folder of each one's own, and finds
    the pyspark that Spark has, since it holds none itself."""
    home = {name: os.environ[name] for name in ("SPARK_HOME",) if name in os.environ}
    return {"PEX_ROOT": "./.pex", "PEX_EMIT_WARNINGS": "0", **home}


def _keep(calls: service.Service, task: Mapping[str, Any], folder: Path) -> None:
    """Send what lies in the output folder; what the service has already is not sent again.

    Raises:
        OutputRefused: There is nothing, or it cannot be kept.
        Refused, Away: The service does not take it.
    """
    output, program = folder / "output", folder / "files"
    rules = task["output"]
    if not (output / "signature.json").exists():
        for source in (output / "predict.py", program / "predict.py", program / task["file"]):
            if signature := signature_of(source):
                (output / "signature.json").write_text(json.dumps(signature, indent=2))
                break
    found = files.outputs(
        output,
        most_files=rules["files"],
        most_bytes=rules["size_bytes"],
        part_bytes=rules["part_bytes"],
    )
    if rules["needed"] and not any(each.path != "signature.json" for each in found):
        raise files.OutputRefused("The program ended well, but left nothing in ENEL_OUTPUT_DIR.")
    described = {"attempt": task["attempt"], "files": [each.described() for each in found]}
    missing = set(calls.post("output", described)["missing"])
    for each in found:
        for number, part in enumerate(each.parts):
            if part["sha256"] in missing:
                calls.put(f"output/parts/{part['sha256']}", files.part(each, number, rules["part_bytes"]))
                missing.discard(part["sha256"])
    calls.post("output/complete", {"attempt": task["attempt"]})


def _tell_end(calls: service.Service, task: Mapping[str, Any], ended: Ended) -> None:
    """The exit code says it, too: nobody waits long for this."""
    said = {"attempt": task["attempt"], "exit_code": ended.exit_code, "reason": ended.reason}
    with contextlib.suppress(service.Refused, service.Away):
        calls.post("end", said, patience_seconds=5.0)


if __name__ == "__main__":
    sys.exit(main())
