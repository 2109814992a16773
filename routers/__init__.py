"""HTTP: parse, one call, answer. One file per domain."""
