"""Pages for people: they ask the same services as the API, and never the database."""
