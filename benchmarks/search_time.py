"""How long a hyperparameter search takes, on made-up runs with stages and metrics.

    python benchmarks/search_time.py --output DIR [--trials 40] [--jobs 18 36] [--seeds 1]
        [--baseline COMMIT]

The search is the service's own process (`training.search.process`), Ray and all. Processor seconds are of
it and all its descendants. An earlier commit is checked out beside this one, and runs alternately with it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.reporting import Section, open_console, show, write  # noqa: E402
from benchmarks.staged_application import make_runs  # noqa: E402
from benchmarks.support.builds import Build, earlier_build  # noqa: E402
from training.history.values import history_to_json  # noqa: E402

RUNS = 30
HERE = "this"


@dataclass(frozen=True)
class Search:
    """One search."""

    build: str
    jobs: int
    seed: int
    seconds: float
    processor_seconds: float
    epochs: int
    """Of all trials together."""
    best_loss: float
    """The validation score that the search minimises."""


def measure(build: Build, jobs: int, seed: int, trials: int) -> Search:
    """Run one search of a build.

    Raises:
        RuntimeError: It came to no result.
    """
    history = history_to_json(make_runs(RUNS, seed=seed, jobs=jobs))
    with tempfile.TemporaryDirectory() as folder:
        request = {"history": history, "trials": trials, "seed": seed}
        (Path(folder) / "request.json").write_text(json.dumps(request))
        output = Path(folder) / "events"
        begun = time.perf_counter()
        with output.open("wb") as events:
            command = [sys.executable, "-m", "training.search.process", folder]
            # Ray would take its trials, and their processor time, to the cluster that this names.
            environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
            environment["PYTHONPATH"] = build.python_path
            child = psutil.Popen(
                command, cwd=build.tree, env=environment, stdout=events, stderr=subprocess.DEVNULL
            )
            spent: dict[tuple[int, float], float] = {}
            while child.poll() is None:
                _add_processor_seconds(child.pid, spent)
                time.sleep(0.2)
        seconds = time.perf_counter() - begun
        told = [json.loads(line) for line in output.read_text().splitlines()]
    if not told or told[-1]["event"] != "result":
        raise RuntimeError(f"the search of {build.name} came to no result: {told[-1:]}")
    epochs = sum(event["curve"][-1][0] for event in told if event["event"] == "trial" and event["curve"])
    return Search(build.name, jobs, seed, seconds, sum(spent.values()), epochs, told[-1]["best_loss"])


def _add_processor_seconds(pid: int, spent: dict[tuple[int, float], float]) -> None:
    """Note what a process and its descendants have used up to now, by process and its start."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        try:
            times = process.cpu_times()
            spent[process.pid, process.create_time()] = times.user + times.system
        except psutil.Error:
            continue


def table(found: list[Search], baseline: str | None) -> Section:
    """One row per search; ratios to the baseline's with the same runs."""
    columns = ("build", "jobs", "seed", "seconds", "processor s", "epochs", "ms an epoch", "score", "ratio")
    before = {(each.jobs, each.seed): each for each in found if each.build == baseline}
    rows = []
    for each in found:
        earlier = before.get((each.jobs, each.seed))
        rows.append(
            [
                each.build, str(each.jobs), str(each.seed), f"{each.seconds:.0f}",
                f"{each.processor_seconds:.0f}", str(each.epochs),
                f"{1000 * each.processor_seconds / each.epochs:.1f}", f"{each.best_loss:.4f}",
                f"{each.processor_seconds / earlier.processor_seconds:.2f}" if earlier else "",
            ]
        )  # fmt: skip
    return Section("A search, and its processor seconds over the baseline's", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--jobs", type=int, nargs="+", default=[18, 36])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--baseline", metavar="COMMIT")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    console, found = open_console(), []
    with ExitStack() as stack:
        builds = [Build(HERE, ROOT)]
        if arguments.baseline is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            builds.insert(0, stack.enter_context(earlier_build(arguments.baseline, folder)))
        for jobs in arguments.jobs:
            for seed in range(arguments.seeds):
                for build in builds:
                    found.append(measure(build, jobs, seed, arguments.trials))
                    console.print(found[-1])
    section = table(found, arguments.baseline)
    show(console, [section])
    write(arguments.output, "search_time", [section], [], {"searches": [asdict(each) for each in found]})


if __name__ == "__main__":
    main()
