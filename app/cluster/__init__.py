"""The service in a Kubernetes cluster, for whoever installs it: the chart, what it waits for, the way in."""
