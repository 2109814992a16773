"""Requirements of a program, as pip writes them down: checked line by line, and what they are known by.

What names a place rather than a package (URLs, paths, other files, indexes) is refused: where packages
come from is the operator's to say, and a build is to depend on its lines alone.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator

from packaging import tags
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from common.errors import InvalidRequest

MOST_BYTES = 64 << 10
MOST_LINES = 200

BROUGHT_BY_SPARK = ("pyspark", "pyspark-client", "pyspark-connect", "py4j")

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[= ](sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})(?=\s|$)")
_PLACE = re.compile(r"[a-z+]+://|^git\+|^\.{0,2}/|^~|\.(whl|zip|tar\.gz)$", re.IGNORECASE)


class InvalidRequirements(InvalidRequest):
    """The requirements cannot be built; the message names the line."""

    title = "The requirements are not valid"


class NoRequirements(InvalidRequirements):
    """They name no package: the program needs no environment."""


def normalized(content: bytes) -> list[str]:
    """The requirements in their order, without comments and blank lines.

    Raises:
        InvalidRequirements: Naming the first line that is none.
        NoRequirements: There is none.
    """
    if len(content) > MOST_BYTES:
        raise InvalidRequirements(f"requirements: {len(content)} bytes, at most {MOST_BYTES} are read.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequirements("requirements: not UTF-8 text.") from error
    found = [_checked(number, line) for number, line in _lines(text)]
    if not found:
        raise NoRequirements("requirements: no package is named; leave the file out.")
    if len(found) > MOST_LINES:
        raise InvalidRequirements(f"requirements: {len(found)} lines, at most {MOST_LINES} are read.")
    return found


def own_python() -> str:
    """Version of the Python that this service builds for."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def own_platform() -> str:
    """The newest platform tag of this machine; on Linux the one that names its C library."""
    found = list(tags.platform_tags())
    return next((tag for tag in found if tag.startswith(("manylinux", "musllinux"))), found[0])


def environment_id(requirements: list[str], python_version: str, platform: str) -> str:
    """64 hexadecimal digits: the same for the same lines, Python and platform."""
    content = json.dumps([requirements, python_version, platform])
    return hashlib.sha256(content.encode()).hexdigest()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with something on them, and their numbers; those that end with a backslash go on."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if begun else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            begun += line[:-1].strip() + " "
            continue
        whole, begun = _COMMENT.sub("", begun + line).strip(), ""
        if whole:
            yield first, " ".join(whole.split())
    if last := _COMMENT.sub("", begun).strip():
        yield first, " ".join(last.split())


def _checked(number: int, line: str) -> str:
    where = f"requirements, line {number}"
    if not line.isprintable() or "${" in line:
        raise InvalidRequirements(f"{where}: variables and unprintable characters are not replaced; leave"
                                  " them out.")  # fmt: skip
    shown = _without_credentials(line)[:100]
    if line.startswith("-"):
        raise InvalidRequirements(
            f"{where}: {shown!r} is an option. Name packages alone, such as `humanize>=4`; lines of another"
            " file have to stand here, and which index is used the service's operator says"
            " (ENVIRONMENT_INDEX_URL)."
        )
    named = _HASH.sub("", line).strip()
    if " --" in named:
        raise InvalidRequirements(f"{where}: of options only `--hash=sha256:…` may follow a requirement.")
    if _PLACE.search(named.partition(";")[0].strip()):
        raise InvalidRequirements(
            f"{where}: {shown!r} names a place. Name a package of the index, such as `humanize==4.10.0`;"
            " a program's own modules belong into its folder."
        )
    try:
        requirement = Requirement(named)
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise InvalidRequirements(f"{where}: {shown!r} is no requirement: {why}.") from error
    if requirement.url is not None:
        raise InvalidRequirements(f"{where}: {shown!r} names a place; name a version, such as `==1.2`.")
    if canonicalize_name(requirement.name) in BROUGHT_BY_SPARK:
        raise InvalidRequirements(
            f"{where}: Spark brings {requirement.name} along, in its own version; leave the line out. What an"
            " extra of it would have brought, as pandas and pyarrow, is named by itself."
        )
    return line


def _without_credentials(line: str) -> str:
    return re.sub(r"//[^/\s]*@", "//***@", line)
