"""The house as it is meant to be: no circle of files, no crowded room, no file that is two."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("app", "routers", "submission", "prediction", "training", "common")

MOST_FILES = 15
MOST_LINES = 400


def product_files() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]


def test_no_circle_of_files() -> None:
    """Imports in functions and under TYPE_CHECKING count: grimp reads all of them."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_no_room_is_crowded() -> None:
    rooms: dict[Path, int] = {}
    for file in product_files():
        if file.name != "__init__.py":
            rooms[file.parent] = rooms.get(file.parent, 0) + 1
    assert not {str(room): files for room, files in rooms.items() if files > MOST_FILES}


def test_no_file_is_two() -> None:
    lines = {str(file): len(file.read_text().splitlines()) for file in product_files()}
    assert not {file: count for file, count in lines.items() if count > MOST_LINES}


def test_every_room_says_what_it_is() -> None:
    """An `__init__.py` is one line, and hands nothing on."""
    rooms = {file.parent for file in product_files()}
    said = {room: (room / "__init__.py").read_text().strip() for room in rooms}
    assert not [str(room) for room, text in said.items() if not text.startswith('"""') or "\n" in text]


def test_nothing_is_imported_out_of_a_test() -> None:
    """What tests share lies in `tests/support`; and benchmarks never need the tests."""
    pattern = re.compile(r"^\s*(?:from|import) tests[.\w]*\b(?:test_\w+|conftest)\b", re.MULTILINE)
    asked = [file for file in (PROJECT / "tests").rglob("*.py") if pattern.search(file.read_text())]
    of_tests = re.compile(r"^\s*(?:from|import) tests\b", re.MULTILINE)
    asked += [file for file in (PROJECT / "benchmarks").rglob("*.py") if of_tests.search(file.read_text())]
    assert not [str(file.relative_to(PROJECT)) for file in asked]


def test_processes_that_may_have_ended_are_asked_in_one_place() -> None:
    """psutil answers a look at one that ended meanwhile with an exception, now and then."""
    asking = re.compile(r"\.cmdline\(\)|pid_exists\(")
    tests = [file for file in (PROJECT / "tests").rglob("*.py") if "fixtures" not in file.parts]
    found = [file for file in tests if asking.search(file.read_text())]
    assert {file.name for file in found} <= {"left_processes.py", Path(__file__).name}
