"""Answers of the service as tables and lines for people, a file per group; pure."""
