"""Runs on a real Spark: recorded, evaluated, and steered by one policy after the other."""
