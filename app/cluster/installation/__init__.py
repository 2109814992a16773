"""From an empty cluster to the page: what is there, what is missing, and making it."""
