"""Commands, a file per group: what they take, what they ask the service, and with what they end."""
