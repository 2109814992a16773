"""What runs a program of a workspace: the main application file of its Spark application.

It is run by the driver's own Python, which may be older than the service's (3.10), and with the standard
library alone; py4j comes with Spark. Nothing of the service is imported here.
"""
