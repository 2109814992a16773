"""Model versions that serve: found, kept in memory, asked in worker processes."""
