"""The graph model of an application's runtime; no storage, no web, no search."""
