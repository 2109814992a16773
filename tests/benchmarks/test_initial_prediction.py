"""Initial prediction from made-up recordings: what is compared, in several processes, and reported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.initial_report import SERVICE, all_bars, all_sections
from common.settings.group import PROJECT_ROOT

SCALE_OUTS = (2, 4, 6, 8, 10, 12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runtimes by Amdahl's law: a third does not scale."""
    rows = ["instance_count\tmachine_type\tslots\tdata_size_MB\tgross_runtime"]
    for machine, cores, factor in (("m4.xlarge", 4, 1.0), ("c4.xlarge", 4, 0.8)):
        for size in (1000, 2000):
            for x in SCALE_OUTS:
                seconds = factor * size / 10 * (1 / 3 + 4 / (3 * x))
                rows.append(f"{x}\t{machine}\t{cores * x}\t{size}\t{seconds:.1f}")
    (tmp_path / "c3o").mkdir()
    (tmp_path / "c3o" / "sort.tsv").write_text("\n".join(rows) + "\n")
    rows = ["algorithm,dataset_size_bytes,cpu_cores_per_node,memory_gb_per_node,scaleout,runtime"]
    for size in (2e10, 4e10):
        rows += [f"sort,{size:.0f},{c},16,{x},{size / c / x / 1e7:.4f}" for c in (4, 8) for x in (4, 8)]
    (tmp_path / "dataproc").mkdir()
    (tmp_path / "dataproc" / "runs.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "bell").mkdir()
    runs = "".join(f"{x},{1000 * (30 + 400 / x):.0f}\n" for x in (*SCALE_OUTS, 14, 16))
    (tmp_path / "bell" / "grep.csv").write_text("Nodes,Runtime[ms]\n" + runs)
    return tmp_path


def test_the_command_measures_everybody_and_reports_it(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/initial_prediction.py", "--data", str(folder), "--quick"]
    output = tmp_path / "out"
    ended = subprocess.run(
        [*command, "--processes", "2", "--output", str(output)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    written = json.loads((output / "initial_prediction.json").read_text())
    own = [row for row in written["values"] if row.get("method") == "ours" and row["part"] == "contexts"]
    # Four contexts, with 0 and 2 of their scale-outs known.
    assert sorted(row["points"] for row in own) == [0, 0, 0, 0, 2, 2, 2, 2]
    assert max(row["error"] for row in own if row["points"] == 2) < 0.1
    bars = {bar["name"]: bar for bar in written["bars"]}
    assert bars["contexts, n=2: error over boosting"]["is_met"]
    assert bars["Bell, n=4: error over Ernest"]["baseline"] < 0.01  # its own law
    assert "contexts, n=2: error over boosting" in ended.stdout
    by_size = [row for row in written["values"] if row["part"] == "one size known, Dataproc"]
    assert {row["method"] for row in by_size} >= {"ours", "the service", "proportional", "Ernest", "boosting"}
    assert {(row["points"], row["way"]) for row in by_size} == {
        (points, way) for points in (0, 1, 2, 3) for way in ("larger", "smaller")
    }
    # Runtimes here are proportional to size and inverse to cores.
    assert max(row["error"] for row in by_size if row["method"] in ("proportional", "Ernest")) < 1e-3
    assert {row["part"] for row in written["values"]} >= {"Dataproc", "Dataproc, unseen machine"}
    assert (output / "initial_prediction.png").stat().st_size > 10_000
    assert "| ours |" in (output / "initial_prediction.md").read_text()


def test_an_average_error_and_one_over_the_baselines_are_bars_of_their_own() -> None:
    def row(method: str, error: float) -> dict[str, object]:
        about = {"part": "contexts", "job": "sort", "points": 2, "seed": 0}
        return {**about, "method": method, "error": error, "coverage": 0.9}

    bars = {bar.name: bar for bar in all_bars([row("ours", 0.05), row("boosting", 0.2)])}
    assert bars["contexts, n=2: error over boosting"].is_met
    assert not bars["contexts, n=2: error"].is_met
    assert bars["90% intervals cover, contexts: sort"].is_met
    assert not any("n=0" in name or "Bell" in name for name in bars)  # nothing was measured


def test_what_is_asked_with_one_seed_is_shown_beside_ours_with_the_same() -> None:
    def row(method: str, seed: int, error: float) -> dict[str, object]:
        about = {"part": "bell", "job": "grep", "points": 4, "seed": seed}
        return {**about, "method": method, "error": error, "coverage": 0.9}

    rows = [row("ours", 0, 0.25), row(SERVICE, 0, 0.25), *(row("ours", seed, 0.05) for seed in (1, 2, 3))]
    table = next(section for section in all_sections(rows) if section.title.startswith("Error without any"))
    shown = {cells[0]: cells[1] for cells in table.rows}
    assert shown == {"ours": "10.0%", f"{SERVICE} (seed 0)": "25.0%", "ours (seed 0)": "25.0%"}
