"""What one service knows of the runners of others, and does about what they have left."""

from datetime import timedelta

import pytest

from common.errors import Conflict, NotFound
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from submission.other_runners import GONE_SECONDS, OtherRunners
from tests.support.doubles import NotingRunner, OpenSubmissions
from tests.support.manifests import request_specs
from tests.support.samples import specs


class Named(NotingRunner):
    def __init__(self, executions: ExecutionRepository, name: str) -> None:
        super().__init__(executions.record_state)
        self.name = name


class Two:
    """Services on one database, of which the first has started an application."""

    def __init__(
        self, open_submissions: OpenSubmissions, executions: ExecutionRepository, mongo: Client
    ) -> None:
        self.executions = executions
        self._signs = mongo[executions.database]["runner"]
        self.runner, other = Named(executions, "local/one"), Named(executions, "local/two")
        self.one, self.two = open_submissions(self.runner), open_submissions(other)
        self.signs_of_one = OtherRunners(mongo, executions.database, executions, self.runner, "http://one")

    async def running(self) -> str:
        await self.signs_of_one.give_sign()
        execution_id = (await self.one.submit(request_specs())).execution.id
        await self.executions.record_state(execution_id, ApplicationState.RUNNING)
        return execution_id

    async def falls_silent(self, seconds: float, owner: str = "another-host/1/1.00") -> None:
        """The first, on a host that the second knows nothing of."""
        seen_at = utc_now() - timedelta(seconds=seconds)
        await self._signs.update_one({"_id": "local/one"}, {"$set": {"seen_at": seen_at, "owner": owner}})


@pytest.fixture
def services(open_submissions: OpenSubmissions, executions: ExecutionRepository, mongo: Client) -> Two:
    return Two(open_submissions, executions, mongo)


async def test_what_a_living_service_runs_is_its_own_to_end(services: Two) -> None:
    execution_id = await services.running()
    await services.falls_silent(GONE_SECONDS - 10)
    with pytest.raises(Conflict, match="service at http://one, last seen"):
        await services.two.kill(execution_id)
    execution = await services.executions.get(execution_id)
    assert execution.state is ApplicationState.RUNNING
    assert execution.kill_requested_by is None
    assert await services.two.note_about(execution) is None


async def test_what_a_lost_service_ran_is_told_and_ended_elsewhere(services: Two) -> None:
    execution_id = await services.running()
    await services.falls_silent(GONE_SECONDS + 1)
    note = await services.two.note_about(await services.executions.get(execution_id))
    assert note is not None
    assert "local/one of the service at http://one, last seen" in note
    ended = await services.two.kill(execution_id, "alice")
    assert (ended.state, ended.outcome_unknown) == (ApplicationState.KILLED, True)
    assert "Killed on request of alice." in ended.state_reason
    assert "last seen" in ended.state_reason
    assert ended.kill_requested_by == "alice"
    assert await services.two.note_about(ended) is None


async def test_a_service_that_only_stood_still_ends_its_driver_when_it_goes_on(services: Two) -> None:
    execution_id = await services.running()
    await services.falls_silent(GONE_SECONDS + 1)
    await services.two.kill(execution_id)
    assert services.runner.stopped == []
    await services.signs_of_one.give_sign()
    await services.signs_of_one.give_sign()
    assert [stopped for stopped, _ in services.runner.stopped] == [execution_id], "once"


async def test_a_dead_process_of_this_host_is_gone_at_once(services: Two) -> None:
    from common.processes.guarded import service_identity

    execution_id = await services.running()
    await services.falls_silent(0, service_identity().rsplit("/", 1)[0] + "/1.00")
    assert (await services.two.kill(execution_id)).state is ApplicationState.KILLED


async def test_a_runner_that_never_gave_a_sign_is_gone_after_a_day_of_silence(services: Two) -> None:
    for name, hours in (("young", 1), ("old", 25)):
        created_at = utc_now() - timedelta(hours=hours)
        await services.executions.insert(
            ApplicationExecution(id=name, runner="local/before", created_at=created_at, **specs())
        )
    with pytest.raises(Conflict, match="no sign of life"):
        await services.two.kill("young")
    assert (await services.two.kill("old")).state is ApplicationState.KILLED


async def test_a_log_is_told_where_it_is(services: Two) -> None:
    execution_id = await services.running()
    for asked in (
        services.two.read_log(execution_id, 10),
        services.two.follow_log(execution_id, 10),
        services.two.follow_lines(execution_id, 0),
        services.two.read_lines(execution_id, 0),
    ):
        with pytest.raises(NotFound, match="service at http://one"):
            await asked
