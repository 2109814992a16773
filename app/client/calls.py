"""Requests as values: what is sent, and as what the answer is read."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import httpx

from app.client.answers import (
    Application,
    ApplicationDetails,
    Decision,
    Environment,
    JobPage,
    Json,
    Model,
    ModelDetails,
    ModelVersion,
    NewToken,
    Page,
    Preloaded,
    Recommendation,
    Schedule,
    StartedTraining,
    Submission,
    Token,
    Training,
)
from app.client.problems import ProblemError

T = TypeVar("T")

PAGE = 200
"""Items of the largest page that the service answers with."""

IDEMPOTENCY_KEY = "Idempotency-Key"

_REPEATABLE = ("GET", "PUT", "DELETE")

_CURSORS = {"next_cursor": "cursor", "next_after_job_id": "after_job_id"}
"""Field of a page to parameter of the next one."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request; `T` is what its answer is read as."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    """Other than the client's."""
    changes_nothing: bool = False
    """Whatever the method suggests, as with a dry run."""
    is_text: bool = False
    """Whether the answer is text rather than JSON."""
    content: bytes | None = None
    """A body that is no JSON."""
    is_file: bool = False
    """Whether the answer is bytes, whatever they are."""

    @property
    def is_safe_to_repeat(self) -> bool:
        """Whether sending it twice is as good as once: by its method, or because of its key."""
        return self.changes_nothing or self.method in _REPEATABLE or IDEMPOTENCY_KEY in self.headers

    def read(self, response: httpx.Response) -> T:
        """The answer. Raises ProblemError where it is none of an Enel Service."""
        if self.is_text:
            return cast(T, response.text)
        if self.is_file:
            return cast(T, response.content)
        media_type = response.headers.get("content-type", "")
        if not media_type.startswith("application/json"):
            title = "Something else than an Enel Service answers"
            raise ProblemError(response.status_code, title, media_type or "without a content type")
        return cast(T, response.json())


def path_of(*parts: str | int) -> str:
    """An address from its parts, each of which stays one; `..` as well, which httpx would carry out."""
    return "/" + "/".join(_quoted(str(part)) for part in parts)


def _quoted(part: str) -> str:
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def key_of(idempotency_key: str | None) -> dict[str, str]:
    """One of its own for every call that is given none, so that the same call can be sent again."""
    return {IDEMPOTENCY_KEY: idempotency_key or str(uuid.uuid4())}


def next_page(call: Call[T], page: Mapping[str, Any]) -> Call[T] | None:
    """What asks for the page after this one; None after the last."""
    for name, parameter in _CURSORS.items():
        if page.get(name) is not None:
            return replace(call, params={**call.params, parameter: page[name]})
    return None


# --- submissions ----------------------------------------------------------------------------------


def submit(
    body: Mapping[str, Any],
    *,
    dry_run: bool = False,
    require_feasible: bool = False,
    idempotency_key: str | None = None,
) -> Call[Submission]:
    """Submit an application.

    Args:
        idempotency_key: The same one again creates nothing; without, every call is a submission of its own.
    """
    params = {"dry_run": dry_run, "require_feasible": require_feasible}
    headers = {} if dry_run else key_of(idempotency_key)
    return Call("POST", "/submission/submit", params, body, headers, changes_nothing=dry_run)


def applications(*, limit: int = PAGE, cursor: str | None = None, **filters: Any) -> Call[Page[Application]]:
    """Newest first; filters are those of the API, such as `algorithm_name` or a list of `state`."""
    return Call("GET", "/submission/applications", given(limit=limit, cursor=cursor, **filters))


def application(execution_id: str) -> Call[ApplicationDetails]:
    return Call("GET", path_of("submission", "applications", execution_id))


def jobs(
    execution_id: str, *, after_job_id: int = -1, limit: int = PAGE, application_id: str | None = None
) -> Call[JobPage]:
    """Finished jobs with their stages and metrics; of another driver than the one in charge, by its id."""
    params = given(after_job_id=after_job_id, limit=limit, application_id=application_id)
    return Call("GET", path_of("submission", "applications", execution_id, "jobs"), params)


def decisions(execution_id: str, *, limit: int = PAGE, cursor: str | None = None) -> Call[Page[Decision]]:
    """Why it has the executors it has."""
    params = given(limit=limit, cursor=cursor)
    return Call("GET", path_of("submission", "applications", execution_id, "decisions"), params)


def log(execution_id: str, *, tail_lines: int = 500, attempt: int | None = None) -> Call[str]:
    """The last lines that the driver wrote; of an earlier attempt, where its number (from 1) is given."""
    params = given(tail_lines=tail_lines, attempt=attempt)
    return Call("GET", path_of("submission", "applications", execution_id, "logs"), params, is_text=True)


def log_events(execution_id: str, *, tail_lines: int = 500) -> Call[str]:
    """The last lines, then every further one, as server-sent events."""
    params = {"follow": True, "tail_lines": tail_lines}
    return Call("GET", path_of("submission", "applications", execution_id, "logs"), params)


def picture(execution_id: str) -> Call[str]:
    """Executors over time, and predicted against real remaining runtime, as SVG."""
    return Call("GET", path_of("submission", "applications", execution_id, "picture.svg"), is_text=True)


def kill(execution_id: str, *, requested_by: str | None = None) -> Call[Application]:
    """End an application; one that has ended is answered as it is."""
    params = given(requested_by=requested_by)
    return Call("DELETE", path_of("submission", "applications", execution_id), params)


def schedules() -> Call[Page[Schedule]]:
    return Call("GET", "/submission/schedules")


def schedule(name: str) -> Call[Schedule]:
    return Call("GET", path_of("submission", "schedules", name))


def create_schedule(body: Mapping[str, Any]) -> Call[Schedule]:
    return Call("POST", "/submission/schedules", body=body)


def run_schedule(name: str, *, idempotency_key: str | None = None) -> Call[Submission]:
    """Submit at once, whenever it is due."""
    return Call("POST", path_of("submission", "schedules", name, "run"), headers=key_of(idempotency_key))


def pause_schedule(name: str) -> Call[Schedule]:
    """Submit no more until it is resumed; repeating it is safe."""
    return Call("POST", path_of("submission", "schedules", name, "pause"))


def resume_schedule(name: str) -> Call[Schedule]:
    return Call("POST", path_of("submission", "schedules", name, "resume"))


def delete_schedule(name: str) -> Call[Schedule]:
    return Call("DELETE", path_of("submission", "schedules", name))


# --- what drivers do ------------------------------------------------------------------------------


def report(event: Mapping[str, Any]) -> Call[Json]:
    """Store the start of an application, or the end of a job."""
    return Call("POST", "/training/update_information", body=event)


def recommend(event: Mapping[str, Any], *, predict: bool = True) -> Call[Recommendation]:
    """Store the end of a job, and ask for a scale-out from there on."""
    path = "/prediction/online_scale_out_prediction"
    return Call("POST", path, body={**event, "predict": predict})


# --- trainings and models -------------------------------------------------------------------------


def start_training(
    algorithm_name: str,
    *,
    model_name: str = "onlinepredictor",
    experiment_name: str = "default",
    trials: int | None = None,
    wait_seconds: float | None = None,
) -> Call[StartedTraining]:
    """Queue a training.

    Args:
        wait_seconds: Answer when it has ended, and give up after so long; None: answer at once.
    """
    names = {"algorithm_name": algorithm_name, "model_name": model_name, "experiment_name": experiment_name}
    return Call(
        "POST",
        "/training/trigger_model_training",
        {"wait": wait_seconds is not None},
        {**names, **given(trials=trials)},
        timeout_seconds=wait_seconds,
    )


def import_run(piece: Json) -> Call[Json]:
    """Store a piece of a run of the past, as `training.event_logs.pieces` makes them from its event log."""
    return Call("POST", "/training/import", body=piece)


def trainings(*, limit: int = PAGE, cursor: str | None = None, **filters: Any) -> Call[Page[Training]]:
    return Call("GET", "/training/runs", given(limit=limit, cursor=cursor, **filters))


def training(training_id: str) -> Call[Training]:
    return Call("GET", path_of("training", "runs", training_id))


def training_events(training_id: str) -> Call[str]:
    """A training whenever something about it changes, as server-sent events."""
    return Call("GET", path_of("training", "runs", training_id, "events"))


def cancel_training(training_id: str) -> Call[Training]:
    return Call("POST", path_of("training", "runs", training_id, "cancel"))


def training_schedules() -> Call[Page[Json]]:
    """Periodic trainings: when next, and what came of the last ones."""
    return Call("GET", "/training/schedules")


def models(*, limit: int = PAGE, cursor: str | None = None, **filters: Any) -> Call[Page[Model]]:
    return Call("GET", "/models", given(limit=limit, cursor=cursor, **filters))


def model(name: str) -> Call[ModelDetails]:
    """With what its aliases have named, newest first."""
    return Call("GET", path_of("models", name))


def versions(name: str, *, limit: int = PAGE, cursor: str | None = None) -> Call[Page[ModelVersion]]:
    """Newest first."""
    return Call("GET", path_of("models", name, "versions"), given(limit=limit, cursor=cursor))


def set_alias(name: str, alias: str, version: int, *, reason: str | None = None) -> Call[ModelDetails]:
    """Let an alias name a version; `champion` is the one that serves."""
    return Call("PUT", path_of("models", name, "aliases", alias), body=given(version=version, reason=reason))


def delete_version(name: str, version: int) -> Call[ModelVersion]:
    return Call("DELETE", path_of("models", name, "versions", version))


def preload(base_name: str) -> Call[Preloaded]:
    """Load an algorithm's model into the cache of the service that is asked."""
    return Call("GET", path_of("prediction", "preload", base_name))


def initial_scale_out(body: Mapping[str, Any]) -> Call[Json]:
    """What a submission would start with, and what else there is to choose from."""
    return Call("POST", "/prediction/initial_scale_out", body=body, changes_nothing=True)


# --- environments ---------------------------------------------------------------------------------


def environments(*, limit: int = PAGE, cursor: str | None = None, **filters: Any) -> Call[Page[Environment]]:
    """Newest first."""
    return Call("GET", "/environments", given(limit=limit, cursor=cursor, **filters))


def environment(environment_id: str) -> Call[Environment]:
    return Call("GET", path_of("environments", environment_id))


def environment_log(environment_id: str) -> Call[str]:
    """What its last build wrote."""
    return Call("GET", path_of("environments", environment_id, "log"), is_text=True)


def build_environment(environment_id: str) -> Call[Environment]:
    """Build one again that has failed."""
    return Call("POST", path_of("environments", environment_id, "build"))


# --- who may do what ------------------------------------------------------------------------------


def me() -> Call[Json]:
    """Who asks, as the service sees it."""
    return Call("GET", "/access/me")


def tokens(*, limit: int = PAGE, cursor: str | None = None) -> Call[Page[Token]]:
    """Newest first, revoked ones too, without their texts."""
    return Call("GET", "/access/tokens", given(limit=limit, cursor=cursor))


def token(token_id: str) -> Call[Token]:
    return Call("GET", path_of("access", "tokens", token_id))


def create_token(name: str, role: str, *, expires_at: str | None = None) -> Call[NewToken]:
    """Make a token; the answer is the only one that ever has its text.

    Args:
        expires_at: ISO 8601; None: never.
    """
    return Call("POST", "/access/tokens", body=given(name=name, role=role, expires_at=expires_at))


def revoke_token(token_id: str) -> Call[Token]:
    return Call("DELETE", path_of("access", "tokens", token_id))
