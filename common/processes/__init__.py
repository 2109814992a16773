"""Child processes: they end with the service, and report in lines of JSON."""
