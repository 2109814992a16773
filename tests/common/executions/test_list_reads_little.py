"""A page of a list reads what it shows, however many others are stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.executions.documents import ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.samples import execution

START = datetime(2026, 8, 1, tzinfo=UTC)
OTHERS = 300
ORDER = {"created_at": -1, "_id": -1}

RARE = {
    "algorithm": ExecutionFilter(algorithm_name="Rare"),
    "owner": ExecutionFilter(submitted_by="rare"),
    "schedule": ExecutionFilter(schedule_name="rare"),
    "state": ExecutionFilter(states=[ApplicationState.RUNNING, ApplicationState.SUBMITTED]),
}


@pytest.fixture
async def stored(executions: ExecutionRepository) -> None:
    """Many that have ended, and before all of them one that is different in everything."""
    for number in range(OTHERS + 1):
        run = execution()
        run.created_at = START + timedelta(minutes=number)
        run.state, run.submitted_by, run.schedule_name = ApplicationState.COMPLETED, "often", "often"
        if number == 0:
            run.state, run.submitted_by, run.schedule_name = ApplicationState.RUNNING, "rare", "rare"
            run.global_specs.algorithm_name = "Rare"
        await executions.insert(run)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("what", RARE)
async def test_what_is_rare_is_found_without_reading_all(
    executions: ExecutionRepository, mongo: Client, database: str, what: str
) -> None:
    [found] = await executions.newest(RARE[what], limit=26)
    assert found.created_at == START
    query = RARE[what].to_query()
    told = await explain(mongo, database, query)
    assert told["executionStats"]["totalDocsExamined"] == 1
    assert "SORT" not in stages(told["queryPlanner"]["winningPlan"])


@pytest.mark.usefixtures("stored")
async def test_of_what_is_common_a_page_is_read(
    executions: ExecutionRepository, mongo: Client, database: str
) -> None:
    wanted = ExecutionFilter(submitted_by="often", states=[ApplicationState.COMPLETED])
    assert len(await executions.newest(wanted, limit=26)) == 26
    told = await explain(mongo, database, wanted.to_query())
    assert told["executionStats"]["totalDocsExamined"] < OTHERS / 2


async def explain(mongo: Client, database: str, query: dict[str, Any]) -> dict[str, Any]:
    find = {"find": "application_execution", "filter": query, "sort": ORDER, "limit": 26}
    return await mongo[database].command({"explain": find, "verbosity": "executionStats"})


def stages(plan: Any) -> set[str]:
    """Names of all stages of a plan."""
    if isinstance(plan, list):
        return set().union(*map(stages, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["stage"]} if "stage" in plan else set()
    return own.union(*map(stages, plan.values()))
