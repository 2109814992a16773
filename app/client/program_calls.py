"""Requests about programs of workspaces and pipelines: started, looked at, ended, fetched."""

from collections.abc import Mapping
from typing import Any

from app.client.answers import Json, Page, PipelineRun, ProgramRun, ProgramRunDetails, TrainingMessage
from app.client.calls import PAGE, Call, given, key_of, path_of


def run_program(workspace: str, *, idempotency_key: str | None = None, **said: Any) -> Call[ProgramRun]:
    """Start a program of a workspace; everything has a default.

    Args:
        idempotency_key: Of the request; otherwise it has one of its own, and is safe to repeat.
        said: Fields of the request, such as `file`, `folder`, `arguments`, `runtime_target_seconds`, `gate`.
    """
    path = path_of("training", "programs", workspace, "runs")
    return Call("POST", path, body=given(**said), headers=key_of(idempotency_key))


def program_runs(workspace: str, *, limit: int = PAGE, cursor: str | None = None) -> Call[Page[ProgramRun]]:
    """Of one workspace, newest first."""
    return Call("GET", path_of("training", "programs", workspace, "runs"), given(limit=limit, cursor=cursor))


def program_run(run_id: str) -> Call[ProgramRunDetails]:
    """With its curves, and what it has left."""
    return Call("GET", path_of("training", "program_runs", run_id))


def cancel_program_run(run_id: str) -> Call[ProgramRun]:
    """Repeating it is safe."""
    return Call("POST", path_of("training", "program_runs", run_id, "cancel"), changes_nothing=True)


def program_result(run_id: str) -> Call[Json]:
    """Its result.json, or else its metrics.json."""
    return Call("GET", path_of("training", "program_runs", run_id, "result"))


def program_output(run_id: str, path: str) -> Call[bytes]:
    """A file that it has left."""
    parts = path.split("/")
    return Call("GET", path_of("training", "program_runs", run_id, "output", *parts), is_file=True)


def train(user: str, *, idempotency_key: str | None = None, **said: Any) -> Call[Json]:
    """What clients in the field call `run_program`: `file`, `location` and `arguments` of a workspace."""
    return Call("POST", path_of("train", user), body=given(**said), headers=key_of(idempotency_key))


def poll_log(user: str, *, offset: int = 0, run_id: str | None = None) -> Call[Json]:
    """Lines of the log of a workspace's latest run, or of the one that is named, from one on."""
    return Call("GET", path_of("logs", user), given(offset=offset, run_id=run_id))


def run_pipeline(
    workspace: str,
    *,
    file: str | None = None,
    folder: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    anew: bool = False,
    idempotency_key: str | None = None,
) -> Call[PipelineRun]:
    """Start the steps that a YAML file of a workspace declares.

    Args:
        parameters: Values in place of the file's own.
        anew: Run every step, also where nothing has changed.
    """
    body = given(file=file, folder=folder, parameters=dict(parameters) if parameters else None)
    body |= {"anew": True} if anew else {}
    headers = key_of(idempotency_key)
    return Call("POST", path_of("training", "programs", workspace, "pipelines"), body=body, headers=headers)


def train_digits(
    images_batch_path: str | None = None, *, idempotency_key: str | None = None, **said: Any
) -> Call[PipelineRun]:
    """Prepare the example of handwritten digits in a workspace of that name, and start its pipeline.

    Args:
        images_batch_path: Of an .npz; None: `mnist.npz`, which is made.
        said: `processes`, `epochs`, `learning_rate`, `anew`.
    """
    body = given(images_batch_path=images_batch_path, **said)
    return Call("POST", "/digits/train", body=body, headers=key_of(idempotency_key))


def pipeline_runs(workspace: str, *, limit: int = PAGE, cursor: str | None = None) -> Call[Page[PipelineRun]]:
    """Of one workspace, newest first."""
    path = path_of("training", "programs", workspace, "pipelines")
    return Call("GET", path, given(limit=limit, cursor=cursor))


def pipeline_run(run_id: str) -> Call[PipelineRun]:
    return Call("GET", path_of("training", "pipelines", run_id))


def cancel_pipeline_run(run_id: str) -> Call[PipelineRun]:
    """Repeating it is safe."""
    return Call("POST", path_of("training", "pipelines", run_id, "cancel"), changes_nothing=True)


def pipeline_result(run_id: str) -> Call[Json]:
    """The result of its result step."""
    return Call("GET", path_of("training", "pipelines", run_id, "result"))


def send_program(workspace: str, *, message_id: str | None = None, **said: Any) -> Call[Json]:
    """Have the service send the request through its broker; the run starts when it comes back from there.

    Args:
        message_id: Sent again with the same one, it is the same run.
        said: As `run_program` takes them.
    """
    path = path_of("training", "programs", workspace, "runs")
    return Call("POST", path, {"via": "kafka"}, given(**said), key_of(message_id))


def messages(*, limit: int = PAGE, cursor: str | None = None, **filters: Any) -> Call[Page[TrainingMessage]]:
    """Requests from the broker, newest first; UNREADABLE and REFUSED ones were set aside."""
    return Call("GET", "/training/messages", given(limit=limit, cursor=cursor, **filters))
