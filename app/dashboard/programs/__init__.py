"""The page with programs of workspaces: start one, follow it, see what it has left; pipelines of them."""
