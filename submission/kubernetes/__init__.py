"""Applications on Kubernetes: resources of the spark-operator, followed by a watch."""
