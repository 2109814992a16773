"""Serving for people: who may ask which model, versions from folders, feedback for the next training."""
