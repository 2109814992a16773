"""Wiring: the application, its lifespan, its errors."""
