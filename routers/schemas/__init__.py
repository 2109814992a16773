"""What the API answers with, a file per domain."""
