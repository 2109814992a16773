"""Training runs: asked for, carried out, published."""
