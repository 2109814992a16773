"""A Gaussian process over contexts, for runs that no application's model knows; no storage."""
