"""Learning: histories, the runtime model, its training and the hyperparameter search."""
