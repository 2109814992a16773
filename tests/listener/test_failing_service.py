"""Whatever the service does, the application runs on; what can still be delivered, is."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response, closed_port
from tests.support.spark.several_contexts import submit_one_after_another
from tests.support.spark.spark_cluster import (
    FinishedApplication,
    fixed_scale_out,
    listener_conf,
    listener_lines,
    submit,
)

pytestmark = pytest.mark.spark

OUTPUT = ["sum 45", "sum 190", "sum 435"]


def assert_undisturbed(application: FinishedApplication) -> None:
    assert application.status == 0, application.errors
    assert application.output.splitlines() == OUTPUT


def test_service_is_absent(listener_jar: Path, tmp_path: Path) -> None:
    with closed_port() as port:
        conf = listener_conf(port, flushTimeout="3s")
        application = submit(listener_jar, "local[1]", tmp_path / "run", "few_small_jobs.py", [], conf)
    assert_undisturbed(application)
    lines = listener_lines(application)
    # Either "and is tried again" or, where not even a first attempt has ended, "before the end".
    assert any("APPLICATION_START could not be delivered" in line for line in lines)
    assert any("5 reports did not reach the service" in line for line in lines)


@dataclass
class Breaks:
    """A service that breaks the first job's report off until it has seen the second's."""

    tried: list[int | None]

    def respond(self, request: Request) -> Response:
        job_id = request.body["job_id"]
        self.tried.append(job_id)
        if job_id == 0 and 1 not in self.tried:
            return Response(breaks=True)
        return Response(body=" " * (5 << 20)) if job_id == 1 else Response()


class Outage:
    """A service that is away for a while, and refuses the second job's report."""

    def __init__(self) -> None:
        self._left = [Response(503, "", {"Retry-After": "1"}), Response(503), Response(429), Response(500)]

    def respond(self, request: Request) -> Response:
        if request.body["job_id"] == 1:
            return Response(404, {"detail": "no such job"})
        return self._left.pop(0) if self._left else Response()


def hang_and_fail(request: Request) -> Response:
    return Response(hangs=True) if request.body["job_id"] in (None, 1) else Response(500, "no")


@dataclass
class Ended:
    """Applications that have ended, and what their services saw."""

    applications: dict[str, FinishedApplication]
    services: dict[str, RecordingService]
    tried: list[int | None]
    """Jobs whose reports came to the one that breaks connections."""


@pytest.fixture(scope="module")
def ended(listener_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """Those that need no environment of their own, one after another in one driver."""
    breaks = Breaks([])
    responses = {
        "hangs": lambda _: Response(hangs=True),
        "hangs-and-fails": hang_and_fail,
        "outage": Outage().respond,
        "breaks": breaks.respond,
    }
    settings = {
        "hangs": {"restTimeout": "150", "flushTimeout": "1s"},
        "hangs-and-fails": {"restTimeout": "1", "flushTimeout": "3s"},
        "outage": {"isAdaptive": "false"},
        "breaks": {"isAdaptive": "false"},
    }
    with ExitStack() as stack:
        services = {
            name: stack.enter_context(RecordingService(respond)) for name, respond in responses.items()
        }
        confs = {name: listener_conf(services[name].port, **settings[name]) for name in services}
        confs["missing-setting"] = listener_conf(1)
        del confs["missing-setting"]["spark.customExtraListener.applicationExecutionId"]
        folder = tmp_path_factory.mktemp("one-after-another")
        yield Ended(submit_one_after_another(listener_jar, folder, confs), services, breaks.tried)


def test_an_attempt_that_is_under_way_at_the_end_is_told(ended: Ended) -> None:
    application = ended.applications["hangs"]
    assert_undisturbed(application)
    lines = listener_lines(application)
    assert any("APPLICATION_START could not be delivered before the end" in line for line in lines)
    assert any("reports did not reach the service" in line for line in lines)


def test_service_hangs_and_fails(ended: Ended) -> None:
    assert_undisturbed(ended.applications["hangs-and-fails"])
    # The first event is never answered; that does not keep the others from being tried.
    requests = ended.services["hangs-and-fails"].requests
    assert {request.body["job_id"] for request in requests} >= {None, 0}


def test_nonsense_is_ignored(listener_jar: Path, spark_master: str, tmp_path: Path) -> None:
    nonsense = [
        "<html>",
        {"best_predicted_scale_out_per_job": [[9, 10**9]]},
        {"best_predicted_scale_out_per_job": [[9, -2]]},
    ]

    def respond(request: Request) -> Response:
        job_id = request.body["job_id"]
        return Response(body="null" if job_id is None else nonsense[job_id])

    with RecordingService(respond) as service:
        conf = listener_conf(service.port, initialExecutors="1", maxExecutors="3") | fixed_scale_out(1, 3)
        application = submit(listener_jar, spark_master, tmp_path / "run", "few_small_jobs.py", [], conf)
    assert_undisturbed(application)
    assert EventLog.read(application.event_log_folder).executor_counts() == [0, 1]
    asked = [body["job_id"] for body in service.events("JOB_END") if body["predict"]]
    ignored = [line for line in listener_lines(application) if "is ignored" in line]
    # The last question may be given up because the application ends.
    assert asked
    assert len(asked) - 1 <= len(ignored) <= len(asked)


def test_everything_arrives_after_an_outage_but_what_is_refused(ended: Ended) -> None:
    application, service = ended.applications["outage"], ended.services["outage"]
    assert_undisturbed(application)
    assert len(service.events("APPLICATION_START")) == 1
    assert sorted(body["job_id"] for body in service.events("JOB_END")) == [0, 2]
    assert not any(body["predict"] for body in service.events("JOB_END"))
    # What was refused is told with what follows.
    told = {
        request.body["job_id"]: request.body["updates"].get("refused_reports")
        for request in service.acknowledged
    }
    assert told == {None: 1, 0: None, 2: 1}
    # A refusal is final: told once, not tried again.
    assert [request.body["job_id"] for request in service.requests].count(1) == 1
    warnings = [line for line in listener_lines(application) if " WARN " in line]
    assert len([line for line in warnings if "no such job" in line]) == 1


def test_missing_setting_switches_the_listener_off(ended: Ended) -> None:
    application = ended.applications["missing-setting"]
    assert_undisturbed(application)
    (line,) = listener_lines(application)
    assert "switched off" in line
    assert "spark.customExtraListener.applicationExecutionId is missing" in line


def test_a_refused_token_is_told_once(listener_jar: Path, tmp_path: Path) -> None:
    def respond(request: Request) -> Response:
        shown = request.headers.get("Authorization")
        return Response() if shown == "Bearer expected" else Response(401, {"detail": "who are you?"})

    with RecordingService(respond) as service:
        application = submit(
            listener_jar,
            "local[1]",
            tmp_path / "run",
            "few_small_jobs.py",
            [],
            listener_conf(service.port),
            {"ENEL_CALLBACK_TOKEN": "another"},
        )
    assert_undisturbed(application)
    assert not service.acknowledged
    # One attempt for the start, for each job, and for the end: a refusal is final.
    assert len(service.requests) == 5
    warnings = [line for line in listener_lines(application) if " WARN " in line and "status 401" in line]
    assert len(warnings) == 1
    assert "ENEL_CALLBACK_TOKEN" in warnings[0]
    assert "who are you?" in warnings[0]


def test_a_report_that_breaks_its_connection_holds_no_other_back(ended: Ended) -> None:
    """Nor does one whose answer is too long to be read: by its status it has arrived."""
    service = ended.services["breaks"]
    assert_undisturbed(ended.applications["breaks"])
    assert sorted(body["job_id"] for body in service.events("JOB_END")) == [0, 1, 2]
    assert len(service.events("APPLICATION_END")) == 1
    assert ended.tried.count(1) == 1
