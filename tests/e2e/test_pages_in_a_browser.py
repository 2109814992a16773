"""People at the pages: a real Chromium, the real service, a real local Spark."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from app.client.client import AsyncClient
from app.client.process import ServiceProcess
from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from tests.support.browser import NARROW, assert_usable, opened_page
from tests.support.finished_runs import store_finished_runs
from tests.support.registered import publish
from tests.support.samples import unique_name
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(420)]

HISTORY = "KMeans"


@pytest.fixture(scope="module")
def database() -> str:
    """Of the module."""
    return unique_name("pages")


@pytest_asyncio.fixture(scope="module")
async def running(
    mongo_uri: str, mongo: Client, database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    """A service with some finished runs."""
    executions = ExecutionRepository(mongo, database)
    await executions.create_indexes()
    await store_finished_runs(executions, HISTORY, [2, 3, 4, 6])
    async with started_service(
        tmp_path_factory.mktemp("pages"),
        MONGODB_ENDPOINT=mongo_uri,
        MONGODB_DATABASE=database,
        TRAINING_TRIALS="1",
        TRAINING_HEARTBEAT_SECONDS="0.5",
    ) as service:
        yield service
    await mongo.drop_database(database)


async def test_submit_run_and_finish(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await page.goto("/")
        await page.get_by_role("link", name="Submit", exact=True).click()
        await expect(page.locator("#what-if")).to_contain_text("Would start with")
        await assert_usable(page)

        # What will be refused is said while one types.
        await page.get_by_label("Runtime target").fill("-1")
        await expect(page.locator("#what-if")).to_contain_text("This would be refused")
        await page.get_by_label("Runtime target").fill("300")
        await expect(page.locator("#what-if figure canvas")).to_be_visible()
        await page.get_by_label("Arguments").fill("--iterations 3 --partitions 4")
        await page.get_by_label("Executors, at most").fill("2")
        await page.get_by_text("More", exact=True).click()
        await page.get_by_label("Name", exact=True).fill("by-hand")
        await page.get_by_role("button", name="Submit").click()

        # It goes to the run, which is followed until it ends without another click.
        await expect(page).to_have_url(re.compile(r"/ui/applications/[0-9a-f]{24}$"))
        await expect(page.get_by_role("heading", name="by-hand")).to_contain_text("Running", timeout=120_000)
        # Candidates show for whoever points at the reason, and stay for whoever clicks, also while it lives.
        reason, candidates = (
            page.locator("[data-hover] summary").first,
            page.locator("[data-hover] table").first,
        )
        await reason.hover()
        await expect(candidates).to_be_visible()
        await page.get_by_role("heading", name="States").hover()
        await expect(candidates).to_be_hidden()
        await reason.click()
        for _ in range(2):
            async with page.expect_response(page.url):
                pass
        await page.get_by_role("heading", name="States").hover()
        await expect(candidates).to_be_visible()
        await expect(page.get_by_role("heading", name="by-hand")).to_contain_text(
            "Completed", timeout=120_000
        )
        await expect(page.locator(".facts")).to_contain_text("met")
        await expect(page.locator("figure[data-plot=executors] canvas")).to_be_visible()
        await expect(page.locator(".log pre")).to_contain_text("final cost")
        await page.locator("#stages-0 summary").click()
        await expect(page.locator("#stages-0")).to_contain_text("Tasks")
        await page.get_by_label("Search").fill("final cost")
        await expect(page.locator(".log output")).to_have_text(re.compile(r"^[12] lines?$"))
        await assert_usable(page)
        await page.goto("/ui/applications")
        await page.get_by_label("State").select_option("completed")
        await expect(page).to_have_url(re.compile("state=completed"))
        await page.get_by_role("link", name="by-hand").click()
        await page.go_back()
        await expect(page.get_by_label("State")).to_have_value("completed")
        await expect(page.locator("tbody tr .state").first).to_have_text("Completed")


async def test_kill(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await page.goto("/ui/submit")
        await page.get_by_label("Arguments").fill("--iterations 500 --partitions 4")
        await page.get_by_role("button", name="Submit").click()
        await page.get_by_role("button", name="Kill").click()
        await expect(page.get_by_role("heading", name="KMeans")).to_contain_text("Killed", timeout=90_000)


async def test_train_promote_and_roll_back(running: ServiceProcess, mongo: Client, database: str) -> None:
    """From a version whose files nobody can use, to one that is trained by hand, and back."""
    await publish(ModelRegistry(mongo, database), FolderStore(running.log.parent / "models"))
    async with opened_page(running.url) as page:
        await page.goto("/ui/trainings")
        await page.get_by_label("Algorithm").fill(HISTORY)
        await page.get_by_role("button", name="Train").click()
        await expect(page.get_by_role("heading", name=f"Training of {HISTORY}")).to_contain_text(
            "Succeeded", timeout=180_000
        )
        await expect(page.locator("figure[data-plot=trials] canvas")).to_be_visible()
        await assert_usable(page)
        await page.get_by_role("link", name=re.compile(r"onlinepredictor 2$")).click()
        served = page.locator("tr.chosen th")
        before = await served.inner_text()
        await page.locator("tr:not(.chosen)").get_by_role("button").click()
        await expect(served).not_to_have_text(before)
        await expect(page.locator(".states li").first).to_contain_text("on request")
        await assert_usable(page)


async def test_a_schedule_is_made_and_paused(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await page.goto("/ui/submit")
        await page.get_by_label("Cron").fill("0 3 1 1 *")
        await page.get_by_label("Name of the schedule").fill("yearly")
        await page.get_by_role("button", name="Submit").click()
        await expect(page.get_by_role("heading", name="yearly")).to_be_visible()
        await page.get_by_role("link", name="Schedules").click()
        await page.get_by_role("button", name="Pause yearly").click()
        await expect(page.get_by_role("row", name="yearly")).to_contain_text("Paused")
        await assert_usable(page)


async def test_what_is_open_stays_open_while_one_types(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await page.goto("/ui/submit")
        await expect(page.locator("#what-if figure canvas")).to_be_visible()
        await page.get_by_text("The same with curl or enel").click()
        await page.get_by_label("Arguments").fill("--iterations 77")
        await expect(page.locator("#curl")).to_contain_text("77")
        await expect(page.locator("#curl")).to_be_visible()
        await page.get_by_label("Runtime target").fill("-1")
        await expect(page.locator("#verdict")).to_contain_text("This would be refused")
        await page.get_by_label("Runtime target").fill("300")
        await expect(page.locator("#verdict")).to_contain_text("Would start with")
        await expect(page.locator("#what-if figure canvas")).to_be_visible()
        # Read aloud is the verdict, and not the manifest.
        await expect(page.locator("#what-if [role=status] pre, #what-if[aria-live]")).to_have_count(0)


async def test_what_cannot_be_copied_is_selected(running: ServiceProcess) -> None:
    async with opened_page(running.url) as page:
        await page.add_init_script('Object.defineProperty(navigator, "clipboard", { value: undefined })')
        await page.goto("/ui/submit")
        await page.get_by_text("The manifest").click()
        copy = page.locator("[data-copy=manifest]")
        await copy.click()
        await expect(copy).to_have_text("Selected")
        selected = await page.evaluate("String(window.getSelection())")
        assert json.loads(selected)["kind"] == "SparkApplication"
        await expect(copy).to_have_text("Copy")


async def test_times_are_told_in_utc_without_a_pointer(running: ServiceProcess) -> None:
    async with opened_page(running.url, timezone_id="Asia/Tokyo") as page:
        await page.goto("/ui/applications")
        time = page.locator("tbody time").first
        await expect(time).not_to_contain_text("UTC")
        here = await time.inner_text()
        await page.get_by_role("button", name="All in UTC").focus()
        await page.keyboard.press("Enter")
        await expect(time).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
        await page.goto("/ui/applications")
        await expect(page.get_by_role("button", name="All in UTC", pressed=True)).to_be_visible()
        await expect(time).to_contain_text("UTC")
        await page.get_by_role("button", name="All in UTC").click()
        await expect(time).to_have_text(here)


async def test_without_a_token_nobody_gets_in_and_a_reader_changes_nothing(
    mongo_uri: str, tmp_path: Path
) -> None:
    admin = "a-token-of-the-tests-alone"
    database = unique_name("pages")
    settings = {"MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": database, "ADMIN_TOKEN": admin}
    async with started_service(tmp_path, **settings) as service:
        async with AsyncClient(service.url, token=admin) as client:
            reader = (await client.create_token("rita", "reader"))["token"]
            submitter = await client.create_token("ada", "submitter")
        async with opened_page(service.url) as page:
            await page.goto("/ui/schedules")
            await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
            await assert_usable(page)
            await page.get_by_label("Token").fill("enel_wrong")
            await page.get_by_role("button", name="Log in").click()
            await expect(page.get_by_role("alert")).to_contain_text("token")
            await page.get_by_label("Token").fill(reader)
            await page.get_by_role("button", name="Log in").click()

            # Back where one wanted to go, with what a reader may.
            await expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
            await expect(page.get_by_role("link", name="Submit", exact=True)).to_have_count(0)
            await page.goto("/ui/submit")
            await expect(page.get_by_role("alert")).to_contain_text("role submitter or operator or admin")
            refused = await page.request.post("/submission/submit", data={})
            assert refused.status == 403
            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
            await page.goto("/ui/submit")
            await page.get_by_label("Token").fill(submitter["token"])
            await page.get_by_role("button", name="Log in").click()
            await expect(page.locator("#what-if")).to_contain_text("Would start with")

            # What was typed survives the network's absence, and the end of the session.
            await page.context.set_offline(True)
            await page.get_by_label("Arguments").fill("--iterations 7")
            await expect(page.locator("#troubles")).to_contain_text("does not answer")
            await page.context.set_offline(False)
            await expect(page.locator("#troubles")).to_be_empty()
            async with AsyncClient(service.url, token=admin) as client:
                await client.revoke_token(submitter["id"])
            await page.get_by_label("Arguments").fill("--iterations 8")
            await expect(page.locator("#troubles")).to_contain_text("Your session has ended. Log in")
            await expect(page.get_by_label("Arguments")).to_have_value("--iterations 8")

            # Who logs in again in another tab goes on in this one.
            async with AsyncClient(service.url, token=admin) as client:
                again = await client.create_token("ada", "submitter")
            tab = await page.context.new_page()
            await tab.goto("/ui/login")
            await tab.get_by_label("Token").fill(again["token"])
            await tab.get_by_role("button", name="Log in").click()
            await expect(tab.get_by_role("heading", name="Overview")).to_be_visible()
            await page.get_by_label("Cron").fill("0 3 1 1 *")
            await page.get_by_label("Name of the schedule").fill("kept")
            await expect(page.locator("#troubles")).to_be_empty()
            await page.get_by_role("button", name="Submit").click()
            await expect(page.get_by_role("heading", name="kept")).to_be_visible()
            await expect(page.locator("main")).to_contain_text('"--iterations"')


PAGES = ("/", "/applications", "/submit", "/training", "/schedules", "/trainings", "/models", "/nothing")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
async def test_every_page_is_usable_on_a_phone(running: ServiceProcess, scheme: str) -> None:
    async with opened_page(running.url, color_scheme=scheme, viewport=NARROW) as page:
        for path in PAGES:
            await page.goto(f"/ui{path}")
            await settled(page)
            await assert_usable(page)


async def settled(page: Page) -> None:
    """What comes later has come."""
    await expect(page.locator(".loading")).to_have_count(0)
