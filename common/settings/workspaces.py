"""Settings of workspaces."""

from typing import Annotated

from pydantic import Field

from common.settings.group import SettingsGroup

_MIB = 1024 * 1024

_LARGEST_FILE = 512 * _MIB
"""Bytes. Files are held in memory while they are sent or fetched."""


class WorkspaceSettings(SettingsGroup):
    """Places for the programs of people and teams."""

    workspace_max_bytes: Annotated[int, Field(ge=1024, le=2**50)] = 256 * _MIB
    """Bytes that the files of one workspace may have together; an archive is unpacked in memory up to that
    size, two at a time."""

    workspace_max_files: Annotated[int, Field(ge=1, le=5_000)] = 2_000
    """Files that one workspace may hold; a snapshot is a document, and MongoDB bounds its size."""

    workspace_max_file_bytes: Annotated[int, Field(ge=1024, le=_LARGEST_FILE)] = 32 * _MIB
    """Bytes of one file. It is in memory while it is sent or fetched."""

    workspace_max_upload_bytes: Annotated[int, Field(ge=1024, le=2**32)] = 64 * _MIB
    """Bytes of an archive as it is sent; what is in it is bounded by the others."""
