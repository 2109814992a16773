"""The image recipes: linted, in step with what the code needs, and the plugin really built as they do."""

import configparser
import fnmatch
import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from common.settings.group import PROJECT_ROOT
from submission.environments.requirements import own_python

SERVICE = PROJECT_ROOT / "deploy" / "Dockerfile"
SPARK = PROJECT_ROOT / "deploy" / "spark" / "Dockerfile"


def instructions(dockerfile: Path, name: str) -> list[str]:
    joined = re.sub(r"\\\n(\s*#.*\n)*", " ", dockerfile.read_text())
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def copied_from_the_repository(dockerfile: Path) -> set[str]:
    copies = (copy.split() for copy in instructions(dockerfile, "COPY") if "--from" not in copy)
    return {source for *sources, _ in copies for source in sources}


@pytest.mark.parametrize("dockerfile", [SERVICE, SPARK], ids=["service", "spark"])
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "--format", "json", str(dockerfile)], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0


@pytest.mark.parametrize("dockerfile", [SERVICE, SPARK], ids=["service", "spark"])
def test_images_end_as_a_user_whom_kubernetes_can_tell_from_root(dockerfile: Path) -> None:
    for stage in re.split(r"^FROM ", dockerfile.read_text(), flags=re.MULTILINE)[1:]:
        users = re.findall(r"^USER (\S+)", stage, flags=re.MULTILINE)
        assert all(re.fullmatch(r"\d+:\d+", user) for user in users)
        assert not users or users[-1] != "0:0"
    assert instructions(dockerfile, "USER")


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    allowed = [
        line.removeprefix("!").rstrip("/")
        for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for source in copied_from_the_repository(SERVICE) | copied_from_the_repository(SPARK):
        assert (PROJECT_ROOT / source).exists(), source
        assert any(
            source == entry or source.startswith(f"{entry}/") or entry.startswith(f"{source}/")
            for entry in allowed
        ), source


def test_the_builder_gets_nothing_else() -> None:
    lines = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "first everything is left out"
    kept = [line[1:].rstrip("/") for line in lines if line.startswith("!")]
    for name in (".git", ".venv", "deploy/.env", "deploy/helm", "tests"):
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in kept)


def test_every_package_of_the_service_is_in_its_image() -> None:
    linter = configparser.ConfigParser()
    linter.read(PROJECT_ROOT / ".importlinter")
    packages = set(linter["importlinter"]["root_packages"].split())
    assert packages | {"main.py", "examples"} <= copied_from_the_repository(SERVICE)


def test_versions_can_be_served_in_the_image() -> None:
    """By Ray Serve and onnxruntime; environments of prediction files look for a `python3.11` on the path."""
    needed = {}
    for line in (PROJECT_ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.partition("#")[0])
            needed[requirement.name] = requirement.extras
    assert "serve" in needed["ray"]
    assert {"onnxruntime", "pillow", "numpy"} <= needed.keys()
    [python] = [each for each in instructions(SERVICE, "ARG") if each.startswith("PYTHON_IMAGE=")]
    assert python.startswith(f"PYTHON_IMAGE=python:{own_python()}-")
    assert "PATH=/opt/venv/bin:$PATH" in SERVICE.read_text()


def test_applications_run_on_the_spark_that_the_plugin_is_built_for() -> None:
    [image] = [each for each in instructions(SPARK, "ARG") if each.startswith("SPARK_IMAGE=")]
    assert image == f"SPARK_IMAGE=apache/spark:{version('pyspark')}-python3"


@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK")
def test_the_image_builds_the_same_plugin_as_the_checkout(tmp_path: Path) -> None:
    sys.path.insert(0, str(PROJECT_ROOT / "listener"))
    try:
        import build
    finally:
        sys.path.pop(0)
    build.build()
    jar = tmp_path / "enel-listener.jar"
    script = PROJECT_ROOT / "deploy" / "spark" / "build-plugin.sh"
    subprocess.run(["sh", str(script), str(build.SOURCES), str(build.spark_jars()), str(jar)], check=True)
    assert contents(jar) == contents(build.JAR)


def contents(jar: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(jar) as archive:
        said = {
            "Spark-Version": archive.read("META-INF/MANIFEST.MF").partition(b"Spark-Version: ")[2].split()[0]
        }
        return said | {name: archive.read(name) for name in archive.namelist() if name.endswith(".class")}
