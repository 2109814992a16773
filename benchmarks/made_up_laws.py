"""How well a single context is predicted whose law is known: flat, parallel, steep at one end, with a cliff.

    python benchmarks/made_up_laws.py [--points 2 4 6] [--noise 0.05 0.15 0.3] [--draws 20] [--output DIR]

Recordings at hand have few laws; those of others may have any. Of a made-up application one run is known at
each of some scale-outs, with log-normal noise; its true runtimes at the others are predicted, by the context
model, by Ernest, and by the median of what is known. Errors are means over laws and draws.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.initial_baselines import Array  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from prediction.forecasts.curves import fit_ernest  # noqa: E402
from training.context_model.model import fit_context_model  # noqa: E402
from training.context_model.questions import EarlierRun, NoPrediction, Query  # noqa: E402

SCALE_OUTS = np.array([2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 48, 60], dtype=np.float64)

LAWS: Mapping[str, Callable[[Array], Array]] = {
    "flat": lambda x: np.full(x.shape, 100.0),
    "parallel": lambda x: 1000.0 / x,
    "Amdahl": lambda x: 60.0 + 800.0 / x,
    "steep at one end": lambda x: np.where(x <= 4, 400.0 * (4.0 / x) ** 0.3, 100.0),
    "steep, then flat": lambda x: np.where(x <= 10, 100.0 * (10.0 / x) ** 1.2, 100.0),
    "cliff": lambda x: np.where(x < 20, 400.0, 120.0),
    "slower again": lambda x: 80.0 + 300.0 / x + 2.0 * x,
}
Method = Callable[[Array, Array, Array], Array]


def by_model(x: Array, seconds: Array, asked: Array) -> Array:
    runs = [EarlierRun({}, float(a), float(b)) for a, b in zip(x, seconds, strict=True)]
    predicted = fit_context_model(runs).predict([Query({}, float(each)) for each in asked])
    assert not isinstance(predicted, NoPrediction)
    return np.asarray(np.exp(predicted.log_mean))


def by_ernest(x: Array, seconds: Array, asked: Array) -> Array:
    return np.maximum(fit_ernest(x, seconds).predict(asked), 1e-3)


def by_median(x: Array, seconds: Array, asked: Array) -> Array:
    return np.full(len(asked), np.median(seconds))


METHODS: Mapping[str, Method] = {"model": by_model, "Ernest": by_ernest, "median": by_median}


def errors(law: Callable[[Array], Array], points: int, noise: float, draws: int) -> dict[str, float]:
    """Mean absolute relative errors by method."""
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for draw in range(draws):
        random = np.random.default_rng([draw, points])
        known = random.choice(len(SCALE_OUTS), points, replace=False)
        seconds = law(SCALE_OUTS[known]) * random.lognormal(0.0, noise, points)
        asked = np.delete(SCALE_OUTS, known)
        for name, method in METHODS.items():
            predicted = method(SCALE_OUTS[known], seconds, asked)
            found[name].append(float(np.mean(np.abs(predicted / law(asked) - 1.0))))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, nargs="+", default=[2, 4, 6])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.05, 0.15, 0.3])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows, bars, values = [], [], []
    for noise in arguments.noise:
        for points in arguments.points:
            of_law = {name: errors(law, points, noise, arguments.draws) for name, law in LAWS.items()}
            mean = {name: float(np.mean([each[name] for each in of_law.values()])) for name in METHODS}
            values.append({"noise": noise, "points": points, **of_law})
            for law, found in {**of_law, "all": mean}.items():
                rows.append([f"{noise:.0%}", str(points), law, *(f"{100 * found[m]:.1f}" for m in METHODS)])
            best = min(("Ernest", "median"), key=lambda name: mean[name])
            what = f"{noise:.0%} noise, {points} points: error over {best}"
            bars.append(Bar(what, mean["model"], 1.0, mean[best], percent=True))
    columns = ("noise", "points", "law", *(f"{name}, %" for name in METHODS))
    sections = [Section("Mean relative errors", columns, rows), bars_section(bars)]
    show(open_console(), sections)
    if arguments.output is not None:
        write(arguments.output, "made_up_laws", sections, bars, values)
    return 0 if all(bar.is_met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
