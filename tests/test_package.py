"""What `pip install .` brings: a wheel that has what a checkout has, and works where there is none."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.settings.group import PROJECT_ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves folders beside what it builds from."""
    source = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("no git, or no repository: what belongs to the package cannot be told from the rest")
    for name in filter(None, tracked.stdout.split("\0")):
        if name.startswith(("tests/", "docs/")) or not (PROJECT_ROOT / name).is_file():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((PROJECT_ROOT / name).read_bytes())
    jar = source / "listener" / "build" / "enel-listener.jar"
    jar.parent.mkdir()
    jar.write_bytes(b"built before")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", "."],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [built] = (source / "wheels").iterdir()
    return built


def test_it_holds_the_service_and_what_comes_with_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [name for name in names if name.endswith("METADATA")]
        required = archive.read(metadata).decode().count("Requires-Dist: ")
    lines = (PROJECT_ROOT / "requirements.txt").read_text().splitlines()
    assert required == len([line for line in lines if line and not line.startswith("#")])
    packages = ("app", "common", "prediction", "routers", "submission", "training")
    for package in packages:
        for path in (PROJECT_ROOT / package).rglob("*.py"):
            assert str(path.relative_to(PROJECT_ROOT)) in names
    for bundled in (
        "examples/kmeans.py",
        "examples/submissions/kmeans.json",
        "listener/build/enel-listener.jar",
        "deploy/helm/enel-service/templates/statefulset.yaml",
        "deploy/helm/enel-service/templates/mongodb/statefulset.yaml",
        "deploy/helm/enel-service/files/mongodb/start.sh",
    ):
        assert f"app/bundled/{bundled}" in names
    assert {name.split("/")[0] for name in names} <= {*packages, metadata.split("/")[0]}


def test_it_works_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = (
        "from common.settings.settings import Settings; from submission.local.runner import LOCAL;"
        "import pathlib; print(Settings().server.data_dir);"
        "print(pathlib.Path(LOCAL.listener_jar).is_file(), pathlib.Path(LOCAL.examples_location).is_dir());"
        "from app.cli.main import run; print(run(['--version']))"
    )
    environment = {"PYTHONPATH": str(installed), "HOME": str(empty), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == [str(empty / ".local" / "share" / "enel"), "True", "True"]
