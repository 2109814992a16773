"""Runs as the models see them: plain values, and where they come from."""
