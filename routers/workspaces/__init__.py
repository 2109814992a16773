"""Workspaces over HTTP: who may do what in them, their files, and snapshots."""
