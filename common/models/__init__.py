"""Model versions: their files in a store, their entries in the registry."""
