"""Workspaces: files of a person's or a team's programs, and snapshots of them that runs use."""
