"""How answers grow with what is stored: recommendations, reports, lists and pages, at 10^4 to 10^6 jobs.

    python benchmarks/growth.py [--applications 200 2000 20000] [--jobs 50] [--requests 40] [--output DIR]

For each size it starts a service on a database of its own, trains a model on 30 runs with stages and metrics
(`benchmarks.staged_application`), and stores made-up applications besides, of which one in twenty still
runs, each with its jobs and decisions. Then it reports later runs of the trained application, asks for a
recommendation after each of their jobs, and asks for lists and pages again and again: one request at a
time, each size in turn, so that a machine that grows slower meanwhile does so for all of them. Times are
those of a client, until the last byte. The bar is a ratio: with the most jobs nothing takes more than 1.3
times as long as with the fewest (200 applications fill a page of the list).
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.process import service_process  # noqa: E402
from benchmarks.against import bodies  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.staged_application import APPLICATION, make_runs  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402
from common.executions.candidate import Candidate  # noqa: E402
from common.executions.documents import (  # noqa: E402
    ApplicationExecution,
    ApplicationState,
    JobExecution,
    ScalingDecision,
    StageExecution,
)
from common.executions.repository import ExecutionRepository  # noqa: E402
from common.mongo.document import utc_now  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402
from training.history.values import RunRecord  # noqa: E402

DATABASE = "benchmark"
JOB_SECONDS = 6.0
MOST_RATIO = 1.3
RUNNING_OF = 20
ALGORITHMS = 2
"""Of which each fills a page of what is asked for, also where the fewest applications are."""
HISTORY_RUNS, RECOMMENDED_RUNS, STAGED_JOBS = 30, 6, 18
WARM_UP_REQUESTS = 4
"""Of each address, before its time is taken."""
_COLOURS = 10
"""Of Matplotlib's lines, before it begins again."""
console = open_console()


def application(number: int, jobs: int) -> ApplicationExecution:
    started = utc_now() - timedelta(minutes=number)
    is_running = number % RUNNING_OF == 0
    ended = started + timedelta(seconds=JOB_SECONDS * jobs)
    return ApplicationExecution(
        id=f"application-{number}",
        created_at=started,
        start_time=started,
        end_time=None if is_running else ended,
        state=ApplicationState.RUNNING if is_running else ApplicationState.COMPLETED,
        runner="none",
        accuracy_measured=True,
        application_id=f"spark-{number}",
        submitted_by=f"owner-{number % 7}",
        start_scale_out=4,
        end_scale_out=4,
        global_specs={
            "experiment_name": "benchmark",
            "algorithm_name": f"Algorithm{number % ALGORITHMS}",
            "data_size_MB": 1000,
            "min_scale_out": 1,
            "max_scale_out": 8,
            "max_runtime": JOB_SECONDS * jobs + (10 if number % 3 else -10),
        },
    )


def job(run: ApplicationExecution, job_id: int) -> JobExecution:
    assert run.start_time is not None
    started = run.start_time + timedelta(seconds=JOB_SECONDS * job_id)
    ended = started + timedelta(seconds=JOB_SECONDS)
    span = {"start_time": started, "end_time": ended, "start_scale_out": 4, "end_scale_out": 4}
    stages = {
        str(number): StageExecution(stage_id=str(number), stage_name="map", num_tasks=64, **span)
        for number in (2 * job_id, 2 * job_id + 1)
    }
    return JobExecution(
        application_execution_id=run.id,
        application_id=run.application_id or "",
        job_id=job_id,
        global_specs=run.global_specs,
        optional_specs=run.optional_specs,
        stages=stages,
        **span,
    )


def decision(run: ApplicationExecution, job_id: int, jobs: int) -> ScalingDecision:
    assert run.start_time is not None
    elapsed = JOB_SECONDS * (job_id + 1)
    left = max(JOB_SECONDS * jobs - elapsed, 0.0)
    return ScalingDecision(
        id=f"{run.id}-{job_id:03}",
        application_execution_id=run.id,
        job_id=job_id,
        decided_at=run.start_time + timedelta(seconds=elapsed),
        elapsed_seconds=elapsed,
        current_scale_out=4,
        chosen_scale_out=4,
        target_seconds=run.global_specs.max_runtime,
        candidates=[Candidate(scale_out, 4 * left / scale_out, 0.1) for scale_out in range(1, 9)],
        reason="smallest scale-out that stays within the target",
    )


def documents(run: ApplicationExecution, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Collection and document; a run that goes on is half through its jobs."""
    yield "application_execution", run.to_mongo()
    for job_id in range(jobs if run.state.is_final else jobs // 2):
        yield "job_execution", job(run, job_id).to_mongo()
        yield "scaling_decision", decision(run, job_id, jobs).to_mongo()


async def fill(client: AsyncMongoClient[dict[str, Any]], until: int, jobs: int) -> None:
    batches: dict[str, list[dict[str, Any]]] = {}
    for number in range(until):
        for collection, document in documents(application(number, jobs), jobs):
            batches.setdefault(collection, []).append(document)
        if number % 200 == 199 or number == until - 1:
            for collection, batch in batches.items():
                await client[DATABASE][collection].insert_many(batch, ordered=False)
            batches.clear()


ADDRESSES = {
    "applications": "/submission/applications?limit=50",
    "applications, filtered": "/submission/applications?algorithm_name=Algorithm1&state=COMPLETED",
    "one application": "/submission/applications/application-3",
    "its jobs": "/submission/applications/application-3/jobs",
    "page: list": "/ui/applications",
    "page: list, filtered by algorithm": "/ui/applications?algorithm_name=Algorithm1",
    "page: list, filtered by owner": "/ui/applications?submitted_by=owner-3",
    "page: list, filtered by an owner who has none": "/ui/applications?submitted_by=nobody",
    "page: list, targets missed": "/ui/applications?target=missed",
    "page: one application": "/ui/applications/application-3",
    "page: its plot": "/ui/applications/application-3/plot",
    "page: what runs": "/ui/overview/running",
}
RECOMMENDATION, REPORT = "a recommendation", "a report"


class Place:
    """A service of its own on so many stored applications, with a model behind it."""

    def __init__(self, http: httpx.AsyncClient, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self._http, self._executions = http, ExecutionRepository(client, DATABASE)

    async def train(self, runs: Sequence[RunRecord]) -> None:
        for run in runs:
            name = await self.begun(run)
            for body in bodies(name, run):
                await self.seconds_of_report(body)
            ended = utc_now() + timedelta(seconds=run.runtime_seconds)
            await self._executions.record_state(name, ApplicationState.COMPLETED, "", at=ended)
        request = {"algorithm_name": APPLICATION, "model_name": "onlinepredictor", "trials": 2}
        started = await self._http.post("/training/trigger_model_training", json=request)
        training = started.raise_for_status().json()["training_id"]
        while (state := (await self._http.get(f"/training/runs/{training}")).json()["state"]) != "SUCCEEDED":
            if state in ("FAILED", "CANCELLED"):
                raise SystemExit(f"the training ended as {state}")
            await asyncio.sleep(0.5)

    async def seconds_of_address(self, path: str) -> float:
        begun = time.perf_counter()
        (await self._http.get(path)).raise_for_status()
        return time.perf_counter() - begun

    async def seconds_of_report(self, body: dict[str, Any]) -> float:
        begun = time.perf_counter()
        (await self._http.post("/training/update_information", json=body)).raise_for_status()
        return time.perf_counter() - begun

    async def seconds_of_recommendation(self, body: dict[str, Any], *, is_warm_up: bool) -> float:
        """Of a report that is answered with one.

        Raises:
            SystemExit: One that was to be answered so was not: it is quick for another reason.
        """
        begun = time.perf_counter()
        path = "/prediction/online_scale_out_prediction"
        answer = (await self._http.post(path, json={**body, "predict": True})).raise_for_status()
        seconds = time.perf_counter() - begun
        if not is_warm_up and not (said := answer.json())["best_predicted_scale_out_per_job"]:
            raise SystemExit(f"no recommendation after job {body['job_id']}: {said['reason']}")
        return seconds

    async def begun(self, run: RunRecord) -> str:
        """Id of an execution that runs, as a submission would have stored it."""
        context = run.context
        made = application(0, STAGED_JOBS)
        known = made.global_specs.model_copy(
            update={
                "algorithm_name": APPLICATION,
                "algorithm_args": list(context.algorithm_args),
                "data_size_MB": context.data_size_mb,
                "min_scale_out": 4,
                "max_scale_out": 36,
                "max_runtime": 600.0,
            }
        )
        name = f"staged-{time.monotonic_ns()}"
        update = {
            "id": name,
            "global_specs": known,
            "state": ApplicationState.RUNNING,
            "application_id": None,
        }
        await self._executions.insert(made.model_copy(update=update | {"start_time": None, "end_time": None}))
        return name


@asynccontextmanager
async def place_with(applications: int, jobs: int) -> AsyncIterator[Place]:
    """A service on a database that holds so many applications and the runs that its model is trained on."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="enel-growth-")))
        uri = await stack.enter_async_context(embedded_mongod(folder / "mongodb"))
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, tz_aware=True)
        stack.push_async_callback(client.close)
        await ExecutionRepository(client, DATABASE).create_indexes()
        settings = {**ALONE, "MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": DATABASE}
        url = await stack.enter_async_context(service_process(folder / "service", **settings))
        http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)
        place = Place(await stack.enter_async_context(http), client)
        await place.train(make_runs(HISTORY_RUNS, jobs=STAGED_JOBS))
        console.print(f"{applications:,} applications of {jobs} jobs are stored")
        await fill(client, applications, jobs)
        yield place


Taken = dict[str, dict[int, list[float]]]
"""What is asked, to the number of applications, to seconds of each answer."""


def in_turn(places: Mapping[int, Place], turn: int) -> list[tuple[int, Place]]:
    """Each place once, and each of them first in its turn."""
    first = turn % len(places)
    return [*places.items()][first:] + [*places.items()][:first]


async def ask_for_addresses(places: Mapping[int, Place], requests: int, taken: Taken) -> None:
    for name, path in ADDRESSES.items():
        for turn in range(-WARM_UP_REQUESTS, requests):
            for size, place in in_turn(places, turn):
                seconds = await place.seconds_of_address(path)
                if turn >= 0:
                    taken[name][size].append(seconds)


async def follow_runs(places: Mapping[int, Place], taken: Taken) -> None:
    """Report runs of the trained application to all places, and ask for recommendations in every other one.

    The first two only warm the services up, whose first answers are slower.
    """
    count = 2 * (1 + RECOMMENDED_RUNS)
    for number, run in enumerate(make_runs(HISTORY_RUNS + count, jobs=STAGED_JOBS)[HISTORY_RUNS:]):
        asks, is_warm_up = number % 2 == 1, number < 2
        reports = {size: bodies(await place.begun(run), run) for size, place in places.items()}
        for size, place in places.items():
            await place.seconds_of_report(reports[size][0])
        for job in range(1, len(run.jobs)):  # the last has nothing after it that could be recommended
            for size, place in in_turn(places, job):
                body = reports[size][job]
                if asks:
                    seconds = await place.seconds_of_recommendation(body, is_warm_up=is_warm_up)
                else:
                    seconds = await place.seconds_of_report(body)
                if not is_warm_up:
                    taken[RECOMMENDATION if asks else REPORT][size].append(seconds)


async def measure(sizes: Sequence[int], jobs: int, requests: int) -> Mapping[str, list[float]]:
    """What is asked to median seconds by size."""
    taken: Taken = {name: {size: [] for size in sizes} for name in (RECOMMENDATION, REPORT, *ADDRESSES)}
    async with AsyncExitStack() as stack:
        places = {size: await stack.enter_async_context(place_with(size, jobs)) for size in sizes}
        await follow_runs(places, taken)
        await ask_for_addresses(places, requests, taken)
    return {name: [statistics.median(by_size[size]) for size in sizes] for name, by_size in taken.items()}


def draw(jobs: list[int], found: Mapping[str, list[float]], path: Path) -> None:
    """Milliseconds over stored jobs, one line for each thing that is asked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8.0, 4.5))
    for number, (name, seconds) in enumerate(found.items()):
        style = "o-" if number < _COLOURS else "s--"
        is_read = name not in (RECOMMENDATION, REPORT)
        axis.plot(jobs, [1000 * each for each in seconds], style, lw=1 if is_read else 2.5, label=name)
    axis.set(xscale="log", yscale="log", xlabel="stored jobs", ylabel="milliseconds, median")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.grid(which="both", alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--applications", type=int, nargs="+", default=[200, 2_000, 20_000])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--requests", type=int, default=40, help="of each address, one at a time")
    parser.add_argument("--output", type=Path, help="folder for the figures and their picture")
    arguments = parser.parse_args()
    sizes = sorted(arguments.applications)
    jobs = [size * arguments.jobs for size in sizes]
    found = asyncio.run(measure(sizes, arguments.jobs, arguments.requests))
    rows = [[name, *(f"{1000 * each:.1f}" for each in seconds)] for name, seconds in found.items()]
    columns = ("median milliseconds at so many jobs", *(f"{count:,}" for count in jobs))
    bars = [
        Bar(f"{name}: {jobs[-1]:,} over {jobs[0]:,} jobs, ms", 1000 * s[-1], MOST_RATIO, baseline=1000 * s[0])
        for name, s in found.items()
    ]
    sections = [
        Section("By stored jobs, of which one application in twenty runs", columns, rows),
        bars_section(bars),
    ]
    show(console, sections)
    if arguments.output is not None:
        write(arguments.output, "growth", sections, bars, {"jobs": jobs, "seconds": dict(found)})
        draw(jobs, found, arguments.output / "growth.png")
    return 0 if all(bar.is_met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
