"""Files as a ZIP archive: the same files are the same bytes, whenever it is made."""

import asyncio
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from typing import IO

from common.workspaces.documents import StoredFile

_AT_ONCE = 4
"""Files that are fetched together, and held in memory."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""What a ZIP can say; when a file was changed is no part of what it holds."""

_MODE = 0o100644 << 16


async def pack(files: Sequence[StoredFile], content: Callable[[StoredFile], Awaitable[bytes]]) -> IO[bytes]:
    """An open file without a name, at its beginning; it is gone when it is closed.

    Args:
        files: In the order in which they are packed.
        content: What a file holds; what it raises is raised.
    """
    packed = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for start in range(0, len(files), _AT_ONCE):
                some = files[start : start + _AT_ONCE]
                contents = await asyncio.gather(*map(content, some))
                await asyncio.to_thread(_add, archive, some, contents)
        await asyncio.to_thread(packed.seek, 0)
    except BaseException:
        packed.close()
        raise
    return packed


def _add(archive: zipfile.ZipFile, files: Sequence[StoredFile], contents: Sequence[bytes]) -> None:
    for file, content in zip(files, contents, strict=True):
        member = zipfile.ZipInfo(file.path, _EARLIEST)
        member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, _MODE
        archive.writestr(member, content)
