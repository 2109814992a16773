"""Doubles and clusters that benchmarks and tests start."""
