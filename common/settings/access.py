"""Settings of who may do what."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from common.addresses import check_host, http_address
from common.settings.group import LARGEST_BYTES, LARGEST_COUNT, Names, SettingsGroup, token

_SHORTEST_TOKEN = 16
"""Characters of a token that people choose: a shorter one can be found by trying."""

_ORIGIN = "an origin is scheme, host and port, such as https://portal.example.org"
_SLASHES = 2


class AccessSettings(SettingsGroup):
    """Who may do what, and from where."""

    access_control: Literal["auto", "tokens", "open"] = "auto"
    """`tokens`: who asks has to show one; where neither ADMIN_TOKEN nor a stored token of an admin is there,
    one is printed at the start, once. `open`: everybody who reaches the service may do everything; for a
    network in which everybody may. `auto`: by tokens where ADMIN_TOKEN is set, otherwise open, which needs
    HOST to be loopback."""

    admin_token: SecretStr = SecretStr("")
    """Token of an admin, with which others are made (`POST /access/tokens`); 16 characters or more, such as
    `openssl rand -hex 32` prints."""

    session_secret: SecretStr = SecretStr("")
    """Signs the sessions of the page; services behind one address need the same. Empty: made once, and kept
    in DATA_DIR."""

    session_seconds: Annotated[float, Field(ge=60, le=30 * 86_400)] = 12 * 3600.0
    """Seconds until somebody has to log in to the page again."""

    allowed_hosts: Names = ()
    """Further names under which browsers may reach the service, separated by commas, without ports. Loopback,
    HOST and CALLBACK_HOST always do. Empty: with tokens and beyond loopback, any."""

    allowed_origins: Names = ()
    """Web pages of other origins that may change something here, such as https://portal.example.org,
    separated by commas."""

    requests_per_minute: Annotated[int, Field(ge=1, le=LARGEST_COUNT)] = 6000
    """Requests that one principal may send in a minute where access is by tokens, then 429; reports count for
    the application execution that they are of."""

    bytes_per_minute: Annotated[int, Field(ge=1024, le=LARGEST_BYTES)] = 1024**3
    """Bytes of bodies that one principal may send in a minute; the same. At least MAX_BODY_BYTES, and what a
    workspace takes at once."""

    concurrent_submissions: Annotated[int, Field(ge=1, le=100_000)] = 16
    """Submissions of one principal, dry ones and questions before them included, that are worked on at once;
    the same."""

    wrong_tokens_per_minute: Annotated[int, Field(ge=1, le=LARGEST_COUNT)] = 10
    """Wrong tokens that one address may show in a minute; then no token from there is looked at, but for
    those that counted before."""

    @field_validator("admin_token", "session_secret")
    @classmethod
    def _not_to_be_guessed(cls, value: SecretStr) -> SecretStr:
        checked = token(value)
        if 0 < len(checked.get_secret_value()) < _SHORTEST_TOKEN:
            raise ValueError(f"too short: {_SHORTEST_TOKEN} characters or more are hard to guess")
        return checked

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_host(host).lower() for host in value)

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if http_address(each, _ORIGIN) != each.rstrip("/") or each.count("/") != _SLASHES:
                raise ValueError(f"not an origin; {_ORIGIN}")
        return tuple(each.lower() for each in value)
