"""Spark's event logs, as documents that the plugin would have sent."""
