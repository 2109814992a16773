"""Which requests send files as they are: no JSON, and larger than other bodies.

Their handlers read them once it is known who asks, and bound them (`routers.workspaces.uploads`).
"""

import re

from starlette.types import Scope

_FILE = re.compile(r"/workspaces/[^/]+/files/.*", re.DOTALL)
_PART = re.compile(r"/training/program_runs/[^/]+/output/parts/[^/]+")
_ARCHIVE = re.compile(r"/workspaces/[^/]+/archive/?")


def is_file(scope: Scope) -> bool:
    """Whether a request puts one file; no form on a page can send that."""
    return scope["method"] == "PUT" and _FILE.fullmatch(scope["path"]) is not None


def is_part(scope: Scope) -> bool:
    """Whether a request sends a part of what a program has left; it is no larger than other bodies."""
    return scope["method"] == "PUT" and _PART.fullmatch(scope["path"]) is not None


def is_archive(scope: Scope) -> bool:
    """Whether a request sends an archive."""
    return scope["method"] == "POST" and _ARCHIVE.fullmatch(scope["path"]) is not None
