"""What an installed package holds: the service's packages, and below `app.bundled` what is no code of it.

Everything else is in pyproject.toml.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
SERVICE = ("app", "common", "prediction", "routers", "submission", "training")

BUNDLED = {
    "examples": ["*", "digits/*", "submissions/**"],
    "listener/build": ["*.jar"],
    "deploy/helm/enel-service": ["*", "templates/**", "files/**", ".helmignore"],
}
"""Folder of the checkout to what of it is needed; the plugin's jar is there once it was built."""

folders = {
    f"app.bundled.{folder.replace('/', '.')}": folder for folder in BUNDLED if (ROOT / folder).is_dir()
}

setup(
    packages=[*find_packages(include=[name for each in SERVICE for name in (each, f"{each}.*")]), *folders],
    package_dir=folders,
    package_data={
        "app": ["**/*"],
        **{package: BUNDLED[folder] for package, folder in folders.items()},
    },
    exclude_package_data={"": ["__pycache__/*", "*.pyc", "*.tmp"]},
)
