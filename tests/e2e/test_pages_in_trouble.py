"""People at the pages while something fails: a real Chromium and service; what fails lies between the two."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect
from pymongo import AsyncMongoClient

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation
from tests.support.browser import asked, assert_usable, once, opened_page
from tests.support.finished_runs import store_finished_runs
from tests.support.samples import application_start, execution, job_end, unique_name
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

JOBS = 6

TURNS_AWAY = """
(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


NOTES = """
Object.assign(window, { said: [], shown: [] });
new MutationObserver(() => {
  const text = document.querySelector(".log [role=status]")?.textContent;
  const lines = [...document.querySelectorAll(".log pre > div")].map((line) => line.textContent).join(" ");
  if (text && text !== said.at(-1)) said.push(text);
  if (lines !== (shown.at(-1) ?? "")) shown.push(lines);
}).observe(document, { subtree: true, childList: true, characterData: true });
"""
"""Notes what stands beside a log, and in it."""


@dataclass(frozen=True)
class Running:
    url: str
    executions: ExecutionRepository

    async def finished(self) -> str:
        """Id of a run that has ended, with jobs."""
        await store_finished_runs(self.executions, unique_name("Ended"), [2])
        [run] = await self.executions.newest(limit=1)
        return run.id

    async def going_on(self) -> str:
        """Id of a run that has not, with jobs."""
        run = execution()
        await self.executions.insert(run)
        for report in (application_start(run.id), *(job_end(run.id, job_id) for job_id in range(JOBS))):
            await self.executions.apply_event(run.id, UpdateInformation.model_validate(report).event())
        await self.executions.record_state(run.id, ApplicationState.RUNNING)
        return run.id


@pytest_asyncio.fixture(scope="module")
async def running(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    database = unique_name("trouble")
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(mongo_uri, tz_aware=True)
    executions = ExecutionRepository(client, database)
    await executions.create_indexes()
    settings = {"MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": database}
    async with started_service(tmp_path_factory.mktemp("trouble"), **settings) as service:
        yield Running(service.url, executions)
    await client.drop_database(database)
    await client.close()


# --- the corner ---------------------------------------------------------------------------------------


async def test_what_is_wrong_stays_while_other_parts_come(running: Running) -> None:
    async with opened_page(running.url) as page:
        await once(page, "**/overview/week", status=500)
        await page.goto("/ui/")
        await asked(page, "**/overview/running")
        troubles = page.locator("#troubles")
        await expect(troubles).to_contain_text("The service answered 500")
        await expect(troubles).to_contain_text("Trying again.")
        await assert_usable(page)
        await troubles.get_by_role("button", name="Close").click()
        await expect(troubles).to_be_empty()


async def test_stages_come_after_all(running: Running) -> None:
    run = await running.finished()
    async with opened_page(running.url) as page:
        await page.goto(f"/ui/applications/{run}")
        await once(page, "**/jobs/0*", status=503)
        await page.locator("#stages-0 summary").click()
        await expect(page.locator("#troubles")).to_contain_text("The service answered 503")
        await expect(page.locator("#stages-0")).to_contain_text("collectAsMap")
        await expect(page.locator("#troubles")).to_be_empty()


async def test_who_types_too_fast_gets_figures_of_the_latest_input(running: Running) -> None:
    async with opened_page(running.url) as page:
        await page.goto("/ui/submit")
        await expect(page.locator("#what-if")).to_contain_text("Would start with")
        await once(
            page, "**/what-if", status=429, headers={"Retry-After": "1"}, body="Too many requests: wait."
        )
        await page.get_by_label("Runtime target").fill("-1")
        await expect(page.locator("#troubles")).to_contain_text("Too many requests: wait. Trying again.")
        await expect(page.locator("#what-if")).to_contain_text("This would be refused")
        await expect(page.locator("#troubles")).to_be_empty()


# --- plots --------------------------------------------------------------------------------------------


async def test_a_plot_that_failed_once_is_drawn(running: Running) -> None:
    run = await running.finished()
    async with opened_page(running.url) as page:
        await once(page, "**/plot", status=503)
        await page.goto(f"/ui/applications/{run}")
        await expect(page.locator("figure[data-plot=executors] canvas")).to_be_visible()


async def test_an_answer_that_others_have_overtaken_is_not_drawn(running: Running) -> None:
    run = await running.going_on()
    may_answer = [asyncio.Event() for _ in range(100)]
    number = 0

    async def answer(route: Route) -> None:
        nonlocal number
        number += 1
        mine = number
        await may_answer[mine - 1].wait()
        other = {"application_id": f"driver-{mine}", "executors": [[0, 5], [1, 2]], "jobs": [[5], [0]]}
        drawn = {"executors": [[0, 5], [1, 2]], "jobs": [[5], [0]], "remaining": [[], [], [], [], []]}
        await route.fulfill(json={"target_seconds": 9, "runtime_seconds": None, "others": [other], **drawn})

    async with opened_page(running.url) as page:
        await page.route("**/plot", answer)
        await page.goto(f"/ui/applications/{run}")
        legend = page.locator("figure[data-plot=executors] .u-legend")
        may_answer[1].set()
        await expect(legend).to_contain_text("driver-2")
        async with page.expect_response("**/plot"):
            may_answer[0].set()
        await page.evaluate("() => new Promise((done) => setTimeout(done, 200))")
        await expect(legend).to_contain_text("driver-2")
        await page.unroute_all(behavior="ignoreErrors")


async def test_what_somebody_looks_at_stays_while_a_run_goes_on(running: Running) -> None:
    run = await running.going_on()
    async with opened_page(running.url) as page:
        await page.goto(f"/ui/applications/{run}")
        plot = page.locator("figure[data-plot=executors] .u-over")
        await plot.scroll_into_view_if_needed()
        left, right, middle = await _box(plot)
        await page.mouse.move((left + right) / 2, middle)
        await page.mouse.down()
        await page.mouse.move(right - 10, middle, steps=5)
        await page.mouse.up()
        await page.mouse.move(left + 3, middle)
        first = page.locator("figure[data-plot=executors] .u-legend .u-value").first
        seen = await first.inner_text()
        assert float(seen.partition(" ")[0]) > 8, "it has 21 s, and its second half is shown"
        await asked(page, "**/plot", times=3)
        assert await first.inner_text() == seen
        await plot.dblclick()
        await page.mouse.move(left + 4, middle)
        await expect(first).not_to_have_text(seen)


async def _box(element: Locator) -> tuple[float, float, float]:
    """Its left and right end, and the middle of its height."""
    box = await element.bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"], box["y"] + box["height"] / 2


# --- the log ------------------------------------------------------------------------------------------


def events(*lines: str, ends: bool = False) -> dict[str, Any]:
    """An answer with these lines; and their end, unless the connection breaks off."""
    end = "event: end\ndata: The application has ended.\n\n" if ends else ""
    body = "".join(f"event: log\ndata: {line}\n\n" for line in lines) + end
    return {"status": 200, "content_type": "text/event-stream", "body": body}


async def answer_in_turn(page: Page, answers: Sequence[dict[str, Any] | None]) -> None:
    """What the log's requests get, one after the other; None: nothing for as long as they wait."""
    left = list(answers)

    async def answer(route: Route) -> None:
        if (found := left.pop(0)) is not None:
            await route.fulfill(**found)

    await page.route("**/logs?*", answer)


async def test_a_log_says_why_it_does_not_come_and_keeps_what_has(running: Running) -> None:
    run = await running.finished()
    gone = {"title": "Not found", "detail": "Its log is not here."}
    forbidden = json.dumps({"status": 503, "title": "No", "detail": "The service may not read pods/log."})
    refused: list[dict[str, Any]] = [
        {"status": 404, "json": gone},
        {
            "status": 200,
            "content_type": "text/event-stream",
            "body": f"event: problem\ndata: {forbidden}\n\n",
        },
        {"status": 503, "body": "<html>a proxy</html>"},
    ]
    async with opened_page(running.url) as page:
        await page.add_init_script(NOTES)
        await answer_in_turn(page, [events("one"), *refused, events("one", "two", ends=True)])
        await page.goto(f"/ui/applications/{run}")
        status = page.locator(".log [role=status]")
        await expect(status).to_have_text("The application has ended.")
        assert await page.evaluate("said") == [
            "The connection was lost. Trying again.",
            "Its log is not here. Trying again.",
            "The service may not read pods/log. Trying again.",
            "The service answered 503. Trying again.",
            "The application has ended.",
        ]
        await expect(page.locator(".log pre > div")).to_have_count(2)
        assert await page.evaluate("shown") == ["one", "one two"], "what was there stays until more comes"
        await page.get_by_label("Search").fill("TWO")
        await expect(page.locator(".log output")).to_have_text("1 line")
        await expect(status).to_have_text("The application has ended.")
        await assert_usable(page)


async def test_a_tab_that_nobody_sees_holds_no_log(running: Running) -> None:
    run = await running.finished()
    async with opened_page(running.url) as page:
        many = [f"line {number}" for number in range(20_000)]
        await answer_in_turn(page, [None, events(*many, ends=True)])
        async with page.expect_request("**/logs?*"):
            await page.goto(f"/ui/applications/{run}")
        async with page.expect_event("requestfailed", lambda request: "/logs?" in request.url):
            await page.evaluate(TURNS_AWAY, True)
        await page.evaluate(TURNS_AWAY, False)
        await expect(page.locator(".log [role=status]")).to_have_text("The application has ended.")
        await expect(page.locator(".log pre > div")).to_have_count(5000)
        await expect(page.locator(".log pre > div").last).to_have_text("line 19999")
