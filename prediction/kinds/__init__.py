"""Kinds of models: how each learns, is compared, is read in a worker and asked; one file each."""
