"""What the plugin and the import of event logs do on each line of Spark.

    python benchmarks/spark_lines.py [--lines 3.5 4.0 4.1 4.2 4.3] [--folder DIR]

Installs the newest pyspark of each line into a folder of its own (about 400 MB each), and runs the test of
reports and rescaling with it: one program on a standalone cluster with jobs and stages of every kind, cached
data, a failed job and a lost executor, scaled out and in by the plugin, whose event log is imported then.
The jar is the same for all, built against the installed pyspark. Needs `requirements-dev.txt`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
LINES = ("3.5", "4.0", "4.1", "4.2", "4.3")
TESTS = "tests/listener/test_reports_and_rescaling.py"

COLUMNS = {
    "loads": (
        "run_is_of_the_spark_to_test_with",
        "application_is_not_disturbed",
        "application_start_is_reported_to_the_escaped_endpoint",
    ),
    "reports": (
        "reported_jobs_are_those_of_sparks_event_log",
        "run_had_what_the_comparison_is_to_prove",
        "first_job_starts_with_the_initial_scale_out",
        "application_end_is_reported_last_with_how_many_jobs_there_were",
    ),
    "rescales": (
        "recommendations_are_carried_out_within_the_bounds",
        "scale_out_in_force_is_reported_with_the_next_job",
    ),
    "import equals plugin": ("its_event_log_says_the_same_as_the_plugin",),
}
"""Tests that have to pass for a yes."""

NONE = "PyPI has none"


def main(lines: list[str], folder: Path) -> int:
    """Print the table; returns 1 where anything does not work, or could not be tried."""
    console = Console()
    table = Table("Spark", "Scala", *COLUMNS)
    all_work = True
    for line in lines:
        home = folder / line / "pyspark"
        if not home.is_dir() and (why := _install(line, folder / line)):
            all_work = all_work and why == NONE
            table.add_row(line, "", *[why] + [""] * (len(COLUMNS) - 1))
            continue
        version, scala = _versions(home)
        console.print(f"Spark {version} with Scala {scala}")
        passed = _passed_tests(home, folder)
        works = [all(f"test_{name}" in passed for name in names) for names in COLUMNS.values()]
        all_work = all_work and all(works)
        table.add_row(version, scala, *["yes" if each else "NO" for each in works])
    console.print(table)
    return 0 if all_work else 1


def _install(line: str, target: Path) -> str:
    """Nothing where it is installed; otherwise why not, for the table."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    asked = [*pip, "--target", str(target), f"pyspark=={line}.*"]
    done = subprocess.run(asked, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return ""
    print(done.stderr, file=sys.stderr)
    return why_not_installed(done.stderr)


def why_not_installed(pip_says: str) -> str:
    """That there is no such line, or that it was not to be had: no index, no versions."""
    is_unknown = "No matching distribution found" in pip_says and "(from versions: none)" not in pip_says
    return NONE if is_unknown else "NOT INSTALLED"


def _versions(home: Path) -> tuple[str, str]:
    """Of Spark and of its Scala, by the name of its main jar."""
    [core] = (home / "jars").glob("spark-core_*.jar")
    scala, version = core.stem.removeprefix("spark-core_").split("-", 1)
    return version, scala


def _passed_tests(home: Path, folder: Path) -> set[str]:
    report = folder / "tests.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    environment = {**os.environ, "ENEL_TEST_SPARK_HOME": str(home)}
    subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if not report.exists():
        return set()
    cases = ElementTree.parse(report).iter("testcase")
    return {case.get("name", "") for case in cases if len(case.findall("*")) == 0}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the plugin does on each line of Spark.")
    parser.add_argument("--lines", nargs="+", default=LINES, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, help="where they are installed, and stay; default: nowhere")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(list(arguments.lines), (arguments.folder or Path(temporary)).resolve()))
