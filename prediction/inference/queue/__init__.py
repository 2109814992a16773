"""Rows that wait: how many may, whose turn it is, and which of them go together."""
