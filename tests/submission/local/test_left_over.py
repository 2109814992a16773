"""Drivers on this machine that outlived the service that started them, and its guard."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from common.errors import Conflict
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation
from submission.local.runner import LocalSparkRunner
from submission.service import SubmissionService
from tests.support.doubles import NotingRunner, OpenSubmissions
from tests.support.left_processes import has_ended
from tests.support.manifests import request_specs
from tests.support.samples import application_start

DRIVER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""

StartDriver = Callable[[str], list[psutil.Process]]


@pytest.fixture
def local(tmp_path: Path, executions: ExecutionRepository) -> LocalSparkRunner:
    return LocalSparkRunner(tmp_path, executions.record_state)


@pytest.fixture
def start_driver(tmp_path: Path) -> Iterator[StartDriver]:
    """Starts what looks like a driver of an execution, with a child; returns both."""
    started: list[psutil.Process] = []

    def start(run: str) -> list[psutil.Process]:
        properties = str(tmp_path / "applications" / run / "spark.properties")
        driver = psutil.Popen(
            [sys.executable, "-c", DRIVER, "--properties-file", properties],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        child = psutil.Process(int(driver.stdout.readline()))
        driver.stdout.close()
        started.extend((driver, child))
        return [driver, child]

    yield start
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(started)


async def contradicted(submissions: SubmissionService, executions: ExecutionRepository) -> str:
    """Failed, by whoever found it after a restart, and its driver reports."""
    run = (await submissions.submit(request_specs())).execution.id
    await executions.record_state(run, ApplicationState.SUBMISSION_FAILED, "The service that ran it ended.")
    await executions.apply_event(run, UpdateInformation.model_validate(application_start(run)).event())
    assert (await executions.get(run)).driver_reports
    return run


async def test_a_driver_that_reports_is_ended(
    submissions: SubmissionService,
    open_submissions: OpenSubmissions,
    executions: ExecutionRepository,
    local: LocalSparkRunner,
    start_driver: StartDriver,
) -> None:
    run, other = [await contradicted(submissions, executions) for _ in range(2)]
    processes, others = start_driver(run), start_driver(other)
    ended = await open_submissions(local).kill(run, "Ada")
    assert all(map(has_ended, processes))
    assert not any(map(has_ended, others))
    assert (ended.state, ended.stop_reason) == (
        ApplicationState.SUBMISSION_FAILED,
        "Killed on request of Ada.",
    )
    assert not ended.driver_reports


async def test_one_that_is_not_there_is_said(
    submissions: SubmissionService,
    open_submissions: OpenSubmissions,
    executions: ExecutionRepository,
    local: LocalSparkRunner,
) -> None:
    run = await contradicted(submissions, executions)
    with pytest.raises(Conflict, match=r"no process of it. Its driver reports as spark-1, at .* 60 minutes"):
        await open_submissions(local).kill(run)
    assert (await executions.get(run)).driver_reports


async def test_a_restarted_service_ends_what_is_left(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    local: LocalSparkRunner,
    start_driver: StartDriver,
) -> None:
    run = (await submissions.submit(request_specs())).execution.id
    await executions.record_state(run, ApplicationState.RUNNING)
    processes = start_driver(run)
    await local.resume([await executions.get(run)])
    assert all(map(has_ended, processes))
    assert (await executions.get(run)).state is ApplicationState.FAILED
