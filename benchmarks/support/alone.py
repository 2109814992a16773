"""A service of a benchmark's own, whatever the caller's environment says."""

from collections.abc import Mapping

ALONE: Mapping[str, str] = {
    "LOGGING_LEVEL": "WARNING",
    "KUBECONFIG": "",
    "KUBERNETES_API_KEY": "",
    "KUBERNETES_IN_CLUSTER": "",
    "MONGODB_ENDPOINT": "",
    "HDFS_ENDPOINT": "",
    "RAY_ADDRESS": "",
    "CALLBACK_TOKEN": "",
    "SPARK_APPLICATION_TEMPLATE": "",
    "TRAINING_INTERVAL": "",
    "TRAINING_SCHEDULES": "",
}
"""Settings. Empty is unset: no database, store or cluster of the caller's; trainings only on request."""
