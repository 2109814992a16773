"""Reports of drivers: what they change, how several are stored at once, and who waits for that."""
