"""Memory sizes, in Spark's own notation, amounts of cores, in that of Kubernetes, and gangs of pods."""

import json
import re
from collections.abc import Mapping

from common.errors import InvalidRequest

MIB = 1 << 20

SMALLEST_MEMORY = "450m"
"""Below it Spark itself gives up: 1.5 times the 300 MB that it reserves."""

_POWERS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LARGEST_MIB = 2**31 - 1  # Spark counts executor memory in MiB, as a Java int


def size_in_bytes(size: str, *, default_unit: str = "m") -> int:
    """Bytes of a JVM or Kubernetes size; letters mean powers of 1024.

    Args:
        default_unit: Of a size without a letter; Spark takes MiB for memory, and bytes for little else.
    """
    match = re.fullmatch(r"([0-9]+)(?:(b)|([kmgtp])(?:i?b|i)?)?", size.strip().lower())
    if match is None:
        raise InvalidRequest(f"{size!r} is not a memory size such as 512m or 2g.")
    return int(match[1]) * int(1024 ** _POWERS[match[2] or match[3] or default_unit])


def cores_of(quantity: str) -> float:
    """Cores of a quantity such as `2`, `0.5` or `500m`."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def spark_size(size: str) -> str:
    """The size as Spark reads it everywhere (`512m`, `2g`); other units become whole MiB, rounded up.

    Raises:
        InvalidRequest: Spark cannot count that much.
    """
    mebibytes = -(-size_in_bytes(size) // MIB)
    if mebibytes > _LARGEST_MIB:
        raise InvalidRequest(f"{size} is more memory than Spark can count.")
    return size.lower() if re.fullmatch(r"[0-9]+[mMgG]", size) else f"{mebibytes}m"


_GANGS, _GANG = "yunikorn.apache.org/task-groups", "yunikorn.apache.org/task-group-name"


def follow_gang_size(driver: Mapping[str, object], executors: int) -> dict[str, str]:
    """Annotations of a driver whose gang, as YuniKorn has it, is as large as the run starts.

    Written for the executors of the request, it would wait for room that the run does not need.

    Args:
        driver: Its annotations.
        executors: That the run starts with.
    Returns:
        None of them where there is no such gang, or none that can be read.
    """
    try:
        groups = json.loads(str(driver.get(_GANGS, "")))
        others = [group for group in groups if group["name"] != driver.get(_GANG)]
        [of_executors] = others
        of_executors["minMember"] = executors
    except (ValueError, TypeError, LookupError):
        return {}
    return {_GANGS: json.dumps(groups)}
