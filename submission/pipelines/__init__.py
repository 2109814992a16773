"""Pipelines: programs of a workspace, one after another, each with what earlier ones have left."""
