"""What a version is asked with: its signature.json, values of requests, and what answers mean."""
