"""The pages with predictions: which models are served and how they do; ask one, and say if it was right."""
