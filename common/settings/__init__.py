"""Every setting of the service, a file per group."""
