"""A real Spark with the listener, what it reports, and its own event log."""
