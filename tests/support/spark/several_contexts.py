"""Several applications in one driver: most of what a small one takes is the start of its JVM."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.spark.spark_cluster import FinishedApplication, submit


def submit_one_after_another(
    jar: Path, folder: Path, confs: Mapping[str, Mapping[str, str]]
) -> dict[str, FinishedApplication]:
    """Run three small jobs with each of these settings; by name, as if each had a driver of its own."""
    settings, marks = {}, {}
    for name, conf in confs.items():
        events = folder / "events-of" / name
        events.mkdir(parents=True)
        marks[name] = f"--- {name}"
        settings[marks[name]] = {**conf, "spark.eventLog.dir": f"file:{events}"}
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    all_of_them = submit(jar, "local[1]", folder / "run", "one_after_another.py", [str(file)], {})
    return {
        name: FinishedApplication(
            all_of_them.status,
            _between(all_of_them.output, mark, list(marks.values())),
            _between(all_of_them.errors, mark, list(marks.values())),
            folder / "events-of" / name,
        )
        for name, mark in marks.items()
    }


def _between(text: str, mark: str, marks: list[str]) -> str:
    """The lines after one of the marks, up to the next."""
    lines = text.splitlines()
    assert mark in lines, text
    found = lines[lines.index(mark) + 1 :]
    end = next((number for number, line in enumerate(found) if line in marks), len(found))
    return "".join(f"{line}\n" for line in found[:end])
