"""Recommendations: the forecast of what is left of a run, and the choice of a scale-out."""
