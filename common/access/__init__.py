"""Tokens, sessions, and how a request's principal is found."""
