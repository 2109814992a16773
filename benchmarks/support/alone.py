"""A service of a benchmark's own, whatever the caller's environment says."""

from collections.abc import Mapping

ELSEWHERE = (
    "SUBMISSION_PLATFORM",
    "KUBECONFIG",
    "KUBERNETES_ENDPOINT",
    "KUBERNETES_API_KEY",
    "KUBERNETES_API_KEY_FILE",
    "KUBERNETES_IN_CLUSTER",
    "MONGODB_ENDPOINT",
    "HDFS_ENDPOINT",
    "KAFKA_ENDPOINT",
    "RAY_ADDRESS",
)
"""Settings that lead to a database, store, broker or cluster of the caller's."""

ALONE: Mapping[str, str] = {
    "LOGGING_LEVEL": "WARNING",
    **dict.fromkeys(ELSEWHERE, ""),
    "ACCESS_CONTROL": "",
    "ADMIN_TOKEN": "",
    "ADMIN_TOKEN_FILE": "",
    "CALLBACK_TOKEN": "",
    "CALLBACK_TOKEN_FILE": "",
    "SPARK_APPLICATION_TEMPLATE": "",
    "TRAINING_INTERVAL": "",
    "TRAINING_SCHEDULES": "",
}
"""Settings. Empty is unset: nothing of the caller's elsewhere, no tokens; trainings only on request."""
