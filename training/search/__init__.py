"""The search for hyperparameters, in a child process."""
