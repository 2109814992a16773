"""How long one decision takes in a worker: fine-tuning, forecasts of all candidates, and the choice.

    python benchmarks/decision_latency.py [--runs 30] [--jobs 18] [--candidates 33] [--epochs 60] --output DIR

The made-up application with stages and metrics (`benchmarks.staged_application`), once with laws alone
and once with the network serving, whichever of them validation would choose: only the network is
fine-tuned. Later runs are decided about after each of their jobs but the last, of long ones after some of
them, in one thread, as a worker does it. What the service adds (storing, reading, transport) is in
`recommendation_latency.py`.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.progress import track

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.staged_application import make_runs  # noqa: E402
from common.settings.prediction import PredictionSettings  # noqa: E402
from prediction.forecasts.forecast import ForecastRequest, forecast_with  # noqa: E402
from prediction.policies.policy import Situation  # noqa: E402
from prediction.policies.registry import Policies  # noqa: E402
from training.history.values import RunRecord  # noqa: E402
from training.runtime_model.artifact import Hyperparameters, TrainedModel  # noqa: E402
from training.runtime_model.loop import LAWS, NETWORK, PretrainingSession  # noqa: E402
from training.runtime_model.prepared import prepare  # noqa: E402
from training.statistics.threads import compute_in_one_thread  # noqa: E402

MEDIAN_SECONDS, P95_SECONDS = 0.15, 0.5
"""Wanted of fine-tuning and prediction."""

DECISIONS_PER_RUN = 40
"""At most, evenly spaced."""
LATER_RUNS = 6
TARGET_SECONDS = 600.0


def decide(model: TrainedModel, run: RunRecord, candidates: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Seconds of fine-tuning, forecasts and the whole decision, after jobs but the last."""
    policy, found = Policies(PredictionSettings()).get("enel"), []
    every = -(-(len(run.jobs) - 1) // DECISIONS_PER_RUN)
    for job in run.jobs[:-1:every]:
        known = RunRecord(run.run_id, run.context, run.started_at, run.jobs[: job.job_id + 1])
        started = perf_counter()
        request = ForecastRequest({}, "", known, job.job_id, job.end_scale_out, candidates, True)
        forecast = forecast_with(model, request)
        left = TARGET_SECONDS - job.end_seconds
        policy.next(Situation(forecast.choices(left), left, job.end_scale_out))
        found.append((forecast.fine_tune_seconds, forecast.predict_seconds, perf_counter() - started))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="of history")
    parser.add_argument("--jobs", type=int, default=18, help="of a run, at least 5")
    parser.add_argument("--candidates", type=int, default=33)
    parser.add_argument("--epochs", type=int, default=60, help="of the network; 1,000 jobs take long ones")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    compute_in_one_thread()
    console = open_console()
    runs = make_runs(arguments.runs + LATER_RUNS, jobs=arguments.jobs)
    candidates = tuple(range(4, 4 + arguments.candidates))
    session = PretrainingSession(
        prepare(runs[: arguments.runs]), Hyperparameters(), max_epochs=arguments.epochs
    )
    for _ in track(range(arguments.epochs), "Epochs", console=console):
        session.step()
    rows, bars, values = [], [], {}
    for serves in (LAWS, NETWORK):
        model = session.finish(serves)
        decide(model, runs[0], candidates)  # what is computed once per model
        timed = np.array([one for run in runs[arguments.runs :] for one in decide(model, run, candidates)])
        median, p95 = np.median(timed, axis=0), np.quantile(timed, 0.95, axis=0)
        cells = [f"{1000 * m:.0f} / {1000 * p:.0f}" for m, p in zip(median, p95, strict=True)]
        rows.append([f"{serves} serves", *cells, str(len(timed))])
        bars.append(Bar(f"{serves} serves: median seconds", float(median[2]), MEDIAN_SECONDS))
        bars.append(Bar(f"{serves} serves: seconds at the 95th percentile", float(p95[2]), P95_SECONDS))
        values[serves] = {"median_seconds": median.tolist(), "p95_seconds": p95.tolist()}
    columns = ("median / p95, ms", "fine-tuning", "forecasts", "whole decision", "decisions")
    title = f"One decision, {arguments.jobs} jobs, {arguments.candidates} candidates"
    sections = [Section(title, columns, rows), bars_section(bars)]
    show(console, sections)
    write(arguments.output, "decision_latency", sections, bars, values)


if __name__ == "__main__":
    main()
