"""Training by message: requests that people send to a broker, and what they are told there."""
