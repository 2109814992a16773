"""Application executions, their jobs and decisions: documents and queries."""
