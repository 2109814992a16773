"""By which names the service is known to browsers.

A page from elsewhere can have its own name lead to this machine (DNS rebinding), and is then of the same
origin as the service as far as a browser can tell. What it cannot do is to send another name than its own.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.addresses import is_loopback
from common.settings.settings import Settings


@dataclass(frozen=True)
class KnownHosts:
    """Names and addresses that requests may have been sent to."""

    names: frozenset[str]
    any_name: bool
    """Whether every name will do: where who asks has to show a token."""
    any_address: bool
    """Whether every IP address will do: none can be made to lead elsewhere."""

    @classmethod
    def of(cls, settings: Settings) -> "KnownHosts":
        """Loopback, HOST, CALLBACK_HOST and ALLOWED_HOSTS; beyond loopback also this machine's name."""
        host, allowed = settings.server.host, settings.access.allowed_hosts
        is_beyond = not is_loopback(host)
        callback_host, _ = settings.callback_address
        names = {host, callback_host, *allowed, *((socket.gethostname(),) if is_beyond else ())}
        return cls(
            names=frozenset(name.lower() for name in names),
            any_name=is_beyond and settings.access_by_tokens and not allowed,
            any_address=is_beyond,
        )

    def knows(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, names this service."""
        if self.any_name:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        return name in self.names or is_loopback(name) or (self.any_address and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
