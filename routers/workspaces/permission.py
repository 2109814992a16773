"""Workspaces for who may read or change them."""

from common.auth import Principal
from common.errors import Forbidden
from common.workspaces.documents import Workspace
from common.workspaces.workspaces import Workspaces


async def readable(name: str, workspaces: Workspaces, principal: Principal) -> Workspace:
    """Raises WorkspaceNotFound or Forbidden."""
    found = await workspaces.stored.get(name)
    if not found.may_read(principal):
        raise Forbidden(
            f"{principal.name!r} may not read the workspace {name!r}; its owner can name them among its"
            " readers."
        )
    return found


async def changeable(name: str, workspaces: Workspaces, principal: Principal) -> Workspace:
    """Raises WorkspaceNotFound or Forbidden."""
    found = await workspaces.stored.get(name)
    check_change(found, principal)
    return found


def check_change(workspace: Workspace, principal: Principal) -> None:
    """Raises Forbidden."""
    if not workspace.may_change(principal):
        whose = f"to {workspace.owner!r}" if workspace.owner else "to nobody that is known"
        raise Forbidden(
            f"The workspace {workspace.name!r} belongs {whose}, not to {principal.name!r}; who may submit can"
            " make one of their own, and an operator may change this one."
        )
