"""From settings to running objects: a function per domain."""
