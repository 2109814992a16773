"""MongoDB: a client that works, documents, transactions."""
