"""Versions of teams' models answer questions: what is asked, which version answers, what is remembered."""
