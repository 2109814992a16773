"""The service as its clients see it: requests and answers in Python, and a process to ask."""
