"""The service on a real Spark: runs recorded, forecasts of them evaluated, policies compared on targets.

    python benchmarks/real_runs.py --parts record evaluate loop report --output DIR
        [--recordings DIR] [--loop DIR] [--applications NAME ...] [--runs 60] [--loop-runs 20] [--seed 0]

Takes hours, in as many sittings as one likes: every finished run is stored at once and never run again, and
Ctrl-C leaves nothing running. Nothing else should run on the machine meanwhile. Parts:

- `record`: runs of five applications over six scale-outs and three sizes, some with an executor killed, a
  neighbour, or a rescaling, through a service on embedded defaults, into `--recordings`;
- `evaluate`: how well what is left of recorded runs is predicted, and their runtimes before they start;
- `loop`: runs with a runtime target, by the service, by Spark's dynamic allocation, by static choices and by
  Ellis, in turn, into `--loop`;
- `report`: targets met and executor-seconds of the runs of the loop.
"""

import argparse
import signal
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.problems import ProblemError  # noqa: E402
from app.client.process import NotReady  # noqa: E402
from benchmarks.real.applications import APPLICATIONS  # noqa: E402
from benchmarks.real.evaluation import evaluate  # noqa: E402
from benchmarks.real.loop import loop  # noqa: E402
from benchmarks.real.plan import plan  # noqa: E402
from benchmarks.real.recording import record  # noqa: E402
from benchmarks.real.recordings import Store  # noqa: E402
from benchmarks.real.report import report  # noqa: E402
from benchmarks.reporting import open_console  # noqa: E402

RECORDINGS = ROOT / "benchmarks" / "data" / "real_runs"
LOOP = ROOT / "benchmarks" / "data" / "real_loop"
PARTS = ("record", "evaluate", "loop", "report")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder of recorded runs")
    parser.add_argument("--loop", type=Path, default=LOOP, help="folder of the loop's runs")
    parser.add_argument("--output", type=Path, required=True, help="folder of reports")
    parser.add_argument("--applications", nargs="+", choices=APPLICATIONS, default=list(APPLICATIONS))
    parser.add_argument("--runs", type=int, default=60, help="to record, of each application")
    parser.add_argument("--loop-runs", type=int, default=20, help="of each policy and application")
    parser.add_argument("--trials", type=int, default=8, help="of a training")
    parser.add_argument("--retrain-runs", type=int, default=10, help="between two trainings of `evaluate`")
    parser.add_argument("--epochs", type=int, default=15, help="of a training of `evaluate`, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the plans")
    return parser.parse_args(arguments)


def carry_out(arguments: argparse.Namespace) -> None:
    console = open_console()
    recordings, parts = Store(arguments.recordings), arguments.parts
    if "record" in parts:
        # The plan is of all applications, so that it stays the same for some of them.
        runs = plan(list(APPLICATIONS), arguments.runs, arguments.seed)
        record([run for run in runs if run.application in arguments.applications], recordings, console)
    output: Path = arguments.output
    if "evaluate" in parts:
        evaluate(
            recordings,
            arguments.applications,
            console,
            output,
            seed=arguments.seed,
            epochs=arguments.epochs,
            retrain_runs=arguments.retrain_runs,
        )
    measured = Store(arguments.loop)
    if "loop" in parts:
        loop(recordings, measured, arguments.applications, arguments.loop_runs, arguments.trials, console)
    if "report" in parts:
        report(measured, arguments.applications, console, output)


def main() -> int:
    # Also where a shell has told background processes to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    arguments = parse_arguments()
    try:
        carry_out(arguments)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running. The same command goes on.", file=sys.stderr)
        return 130
    except (NotReady, ProblemError, httpx.HTTPError) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
