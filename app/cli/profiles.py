"""Which service is asked, and with which token: options, environment, or a file with profiles."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from app.cli.exits import CliError

LOOPBACK = "http://127.0.0.1:5000"
"""Where `enel serve` listens unless it is told otherwise."""

DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Connection:
    """A service, and how to show who asks."""

    url: str
    token: str = field(default="", repr=False)


def profile_file() -> Path:
    """`~/.config/enel/config.toml`, or where XDG_CONFIG_HOME says."""
    return Path(platformdirs.user_config_dir("enel")) / "config.toml"


def connection(
    url: str | None = None, profile: str | None = None, environment: Mapping[str, str] = os.environ
) -> Connection:
    """The service to ask: `url`, `profile`, ENEL_URL, the profile `default`, loopback; the first that is set.

    ENEL_TOKEN is shown to whichever it is, a profile's token only to that profile's service.

    Raises:
        CliError: The file cannot be used, is readable by others although it holds a token, or has no such
            profile.
    """
    token = environment.get("ENEL_TOKEN", "").strip()
    named_url = (url or "").strip() or (None if profile else environment.get("ENEL_URL", "").strip())
    if named_url:
        return Connection(_address(named_url), token)
    path = profile_file()
    known = _read(path)
    chosen = known.get(profile or DEFAULT_PROFILE)
    if chosen is None:
        if profile is None:
            return Connection(LOOPBACK, token)
        names = ", ".join(sorted(known)) or "none"
        raise CliError(f"{path} has no profile {profile!r}.", f"It has: {names}.")
    own = chosen.get("token", "")
    if not isinstance(own, str) or not isinstance(chosen.get("url", LOOPBACK), str):
        raise CliError(f"{path}: url and token of a profile are texts.", 'Write url = "https://…".')
    return Connection(_address(chosen.get("url", LOOPBACK)), own if profile and own else token or own)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
        found = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise CliError(f"{path} cannot be read: {error}.", "Make it readable, or name --url.") from error
    except tomllib.TOMLDecodeError as error:
        raise CliError(
            f"{path} is no TOML: {error}.", 'Write [default] and below it url = "https://…".'
        ) from error
    profiles = {name: value for name, value in found.items() if isinstance(value, dict)}
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and any("token" in value for value in profiles.values()):
        raise CliError(f"{path} holds a token, and others can read it.", f"chmod 600 {path}")
    return profiles


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise CliError(f"{url!r} is no address of a service.", f"Write one such as {LOOPBACK}.")
    return url.rstrip("/")
