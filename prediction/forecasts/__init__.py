"""Distributions of runtimes per candidate scale-out, from models, curves and contexts."""
