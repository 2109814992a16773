"""Submission: from a request to a running Spark application."""
