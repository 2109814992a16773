"""What became of decisions, and a run as a picture."""
