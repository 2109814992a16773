"""Where a build finds packages: pip's configuration of this machine, as variables of the child.

The child has a home of its own, so that it would not find what pip's configuration says of the user; and
of the rest it must see no more than where the index is and how it is reached.
"""

import ast
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.processes.environment import passed_environment

_INDEX = ("index-url", "extra-index-url", "find-links", "no-index")
_REACHED = ("cert", "client-cert", "proxy", "trusted-host", "timeout", "default-timeout", "constraint")
_SECTIONS = ("global", "install", "download", ":env:")
"""Later ones count more."""

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR", "NETRC")

_ASKING_SECONDS = 60.0


async def index_environment(index_url: str) -> dict[str, str]:
    """Variables that tell pip where the index is; they may hold credentials.

    Args:
        index_url: The only index; empty: what pip's configuration says.
    """
    values = _merged(await _configuration())
    if index_url:
        values = {name: value for name, value in values.items() if name not in _INDEX}
        values["index-url"] = index_url
    found = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in values.items()}
    found |= {name: os.environ[name] for name in _CERTIFICATES if os.environ.get(name)}
    netrc = Path.home() / ".netrc"
    if not index_url and "NETRC" not in found and netrc.is_file():
        found["NETRC"] = str(netrc)
    return {**found, "PIP_CONFIG_FILE": os.devnull}


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """Users and passwords of the addresses in it, as they are and as they are written."""
    found: set[str] = set()
    for value in environment.values():
        for word in value.split():
            if "@" not in word:
                continue
            user_info = urlsplit(word).netloc.rpartition("@")[0]
            password = user_info.partition(":")[2] or user_info
            found |= {user_info, password, unquote(password)}
    return {each for each in found if len(each) > 3}


def _merged(configuration: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in _SECTIONS:
        for name in (*_INDEX, *_REACHED):
            value = configuration.get(f"{section}.{name}")
            if value:
                found[name] = " ".join(value.split())
    return found


async def _configuration() -> dict[str, str]:
    """By section and name, what `pip config list` says; nothing where there is no pip."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "XDG_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pip", "--no-input", "config", "list"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**passed_environment(), **variables},
    )
    try:
        async with asyncio.timeout(_ASKING_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return {}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found: dict[str, str] = {}
    for line in output.decode(errors="replace").splitlines():
        name, separator, value = line.partition("=")
        if separator:
            try:
                found[name] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                found[name] = value
    return found
