"""Addresses that somebody else has written: in settings, in requests, in a kubeconfig.

Python finds some mistakes when it takes an address apart, others only when its port is asked for, and
repeats what was written, a password included. Here all are found at once, and nothing is repeated.
"""

import ipaddress
import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

_NO_AUTHORITY = ("ivy",)
"""Schemes with something else in the place of host and port: `ivy://group:artifact:version`."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253


def parse_address(text: str) -> SplitResult:
    """Its parts, whose `hostname` and `port` can be read.

    Raises:
        ValueError: It cannot be an address; the message says why.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("not an address: what stands in place of its host is none") from None
    if parts.scheme in _NO_AUTHORITY:
        return parts
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("not an address: a port is a number from 1 to 65535")
    return parts


def check_location(location: str) -> str:
    """The path or URI of a file as it is. Raises ValueError where it cannot be one."""
    if "\0" in unquote(parse_address(location).path):
        raise ValueError("not a path: it contains the character NUL")
    return location


def file_uri(location: str) -> str:
    """A URI as it is; an absolute path as `local://…`, a file that is there wherever it is read.

    Raises:
        ValueError: No address, or a relative path: nobody could say relative to what.
    """
    if _URI.match(location):
        return check_location(location)
    if location.startswith("/"):
        return "local://" + PurePosixPath(location).as_uri().removeprefix("file://")
    raise ValueError("must be an absolute path or a URI such as local:///… or hdfs:///…")


def http_address(address: str, example: str, default_scheme: str = "http") -> str:
    """Scheme, host and port, without a closing slash.

    Args:
        example: Says what such an address looks like, for messages.
    Raises:
        ValueError: It is none, or says more than where something is.
    """
    if not address.isprintable() or " " in address:
        raise ValueError(f"not an address; {example}")
    try:
        parts = parse_address(address if "://" in address else f"{default_scheme}://{address}")
    except ValueError as error:
        raise ValueError(f"{error}; {example}") from None
    if not parts.hostname:
        raise ValueError(f"not an address; {example}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"only http and https are spoken; {example}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("an address is scheme, host and port; who asks is said by other settings")
    return parts.geturl().rstrip("/")


def check_host(host: str) -> str:
    """A host name or IP address alone, without brackets around it. Raises ValueError."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            raise ValueError("not a host: a name or an IP address is, without scheme and port") from None
        return bare
    names = bare.removesuffix(".").split(".")
    if bare != host or len(bare) > _LONGEST_HOST or not all(_HOST_NAME.fullmatch(name) for name in names):
        raise ValueError("not a host: a name or an IP address is, without scheme and port")
    return bare


def check_uri_host(host: str) -> str:
    """A host that Java's URIs take for one as well: drivers report to it. Raises ValueError.

    `java.net.URI` follows RFC 2396: no underscores, and the last of several names begins with a letter.
    """
    bare = check_host(host)
    if not _is_ip_address(bare):
        *above, last = bare.removesuffix(".").split(".")
        if "_" in bare or (above and not last[0].isalpha()):
            raise ValueError(
                "not a host that drivers can report to: a name has no underscores, and a letter after"
                " its last dot"
            )
    elif "%" in bare:
        raise ValueError("not a host that drivers can report to: an IP address has no zone (%)")
    return bare


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and nothing else reaches it there; no name is looked up."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
