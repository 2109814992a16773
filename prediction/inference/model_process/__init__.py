"""A process per model: what runs in it, with the standard library alone, and who starts, asks and ends it."""
