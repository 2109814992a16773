"""Apache's operator as one of those that the service can ask."""

from dataclasses import replace

from submission.kubernetes.apache.refusals import REFUSED
from submission.kubernetes.apache.rendering import GROUP, VERSION, render
from submission.kubernetes.apache.states import observe
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.kubeflow import KUBERNETES

KUBERNETES_APACHE = replace(
    KUBERNETES,
    name="kubernetes-apache",
    in_words="Kubernetes with Apache's spark-operator",
    needs_spark_version=True,
    refused_fields=REFUSED,
    by_webhook=(),
)
"""The same images, with another operator."""

APACHE = Dialect(
    platform=KUBERNETES_APACHE,
    operator="Apache spark-operator",
    group=GROUP,
    version=VERSION,
    render=render,
    observe=observe,
)
