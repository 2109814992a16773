"""Images as they come, made into the arrays that a model was trained with."""
