"""What is remembered of predictions: what was asked and answered, what people say of it, and figures."""
