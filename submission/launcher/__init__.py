"""What runs a program of a workspace, in the driver's own Python (3.10 or later): standard library alone."""
