"""Models of teams that answer: asking, feedback, and which of them are served how."""
