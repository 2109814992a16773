"""The Kubeflow spark-operator: its resources are what manifests of this service are written as."""

from submission.kubernetes.dialect import Dialect
from submission.kubernetes.states import observe
from submission.manifest.build import API_VERSION
from submission.manifest.platform import Platform

_BY_WEBHOOK = (
    "env",
    "envFrom",
    "volumeMounts",
    "nodeSelector",
    "tolerations",
    "affinity",
    "priorityClassName",
    "terminationGracePeriodSeconds",
)
"""Of a pod: the operator's spark-submit is told nothing of them (`buildSparkSubmitArgs` of 2.5.2)."""

KUBERNETES = Platform(
    name="kubernetes",
    in_words="Kubernetes",
    rescaling_modes=("fixed", "muted"),
    listener_jar="local:///opt/spark/jars/enel-listener.jar",
    examples_location="local:///opt/enel-service/examples",
    launcher="local:///opt/enel-service/submission/launcher/launch.py",
    jars_in_image="local:///opt/spark/jars/",
    token_by_secret=True,
    by_webhook=(
        "volumes",
        "hadoopConfigMap",
        "monitoring",
        *(f"{role}.{field}" for role in ("driver", "executor") for field in _BY_WEBHOOK),
    ),
)
"""Where jar and examples lie in the image of deploy/spark."""

_GROUP, _VERSION = API_VERSION.split("/")

KUBEFLOW = Dialect(
    platform=KUBERNETES,
    operator="spark-operator",
    group=_GROUP,
    version=_VERSION,
    render=lambda manifest: manifest,
    observe=observe,
)
