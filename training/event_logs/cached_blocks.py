"""Which partitions of which RDD are cached where, as far as a log tells of them.

Spark writes blocks into its log only where `spark.eventLog.logBlockUpdates.enabled` is set; where it is not,
nothing is known of them, which is not the same as nothing cached.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_RDD_BLOCK = re.compile(r"rdd_(\d+)_(\d+)")


@dataclass(frozen=True)
class Cached:
    """Of some RDDs together: distinct partitions of each; sizes, in bytes, count every replica."""

    partitions: int
    mem_size: int
    disk_size: int


class CachedBlocks:
    """Of one application."""

    def __init__(self) -> None:
        self.is_told = False
        """Whether the log has blocks at all."""
        self._blocks: dict[int, dict[tuple[str, int], tuple[int, int]]] = defaultdict(dict)

    def updated(self, info: dict[str, Any]) -> None:
        """Note a `Block Updated Info`."""
        self.is_told = True
        block = _RDD_BLOCK.fullmatch(info["Block ID"])
        if block is None:
            return
        place = (info["Block Manager ID"]["Executor ID"], int(block[2]))
        level = info["Storage Level"]
        blocks = self._blocks[int(block[1])]
        if (level["Use Disk"] or level["Use Memory"]) and level["Replication"] > 0:
            blocks[place] = (info["Memory Size"], info["Disk Size"])
        else:
            blocks.pop(place, None)

    def unpersisted(self, rdd_id: int) -> None:
        """Forget an RDD."""
        self._blocks.pop(rdd_id, None)

    def lost(self, executor_id: str) -> None:
        """Forget what was cached on an executor."""
        for blocks in self._blocks.values():
            for place in [each for each in blocks if each[0] == executor_id]:
                del blocks[place]

    def of(self, rdd_ids: Sequence[int]) -> Cached | None:
        """What is cached of them now; None: it cannot be known."""
        if not self.is_told:
            return None
        partitions = memory = disk = 0
        for rdd_id in rdd_ids:
            blocks = self._blocks.get(rdd_id, {})
            partitions += len({partition for _, partition in blocks})
            memory += sum(size[0] for size in blocks.values())
            disk += sum(size[1] for size in blocks.values())
        return Cached(partitions, memory, disk)
