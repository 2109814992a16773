"""What is installed, and what settings are, in every place where it is written down."""

import re
import runpy
from importlib import metadata

import yaml

from common.settings.group import PROJECT_ROOT


def requirements(name: str) -> dict[str, str]:
    """Package to version; extras are part of the package's name."""
    lines = (PROJECT_ROOT / name).read_text().splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    return dict(line.split("==") for line in stripped if "==" in line)


def test_conda_and_pip_agree() -> None:
    environment = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    options = [line for line in pip if line.startswith("-")]
    assert options == ["--constraint constraints.txt"]  # of this folder, in which conda calls pip
    conda = dict(line.split("==") for line in pip if line not in options)
    assert conda == requirements("requirements.txt") | requirements("requirements-dev.txt")


def test_what_is_pinned_is_what_is_installed() -> None:
    for package, version in (requirements("requirements.txt") | requirements("requirements-dev.txt")).items():
        installed = metadata.version(package.split("[")[0])
        assert installed.split("+")[0] == version, package


def test_constraints_agree_with_requirements() -> None:
    constraints = {
        re.sub(r"[-_.]+", "-", package.lower()): version
        for package, version in requirements("constraints.txt").items()
    }
    for package, version in (requirements("requirements.txt") | requirements("requirements-dev.txt")).items():
        assert constraints[re.sub(r"[-_.]+", "-", package.split("[")[0].lower())] == version


def test_the_page_of_settings_is_what_the_code_says() -> None:
    script = PROJECT_ROOT / "docs" / "write_settings.py"
    page = runpy.run_path(str(script))["page"]
    assert (PROJECT_ROOT / "docs" / "settings.md").read_text() == page(), "`make docs` writes it anew"
