"""Which versions answer: how a model is served, its files, and changing from one version to another."""
