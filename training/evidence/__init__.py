"""A history as a table over one graph of stages, and what it shows; no torch, no storage."""
