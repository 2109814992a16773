"""The Helm chart, rendered by Helm itself with the values of a test."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from common.settings.group import PROJECT_ROOT

Json = dict[str, Any]
Render = Callable[..., "Rendered"]

NAMESPACE = "enel"

CHART = PROJECT_ROOT / "deploy" / "helm" / "enel-service"
SCHEMA_VERSIONS = ("1.27", "1.37")
"""The oldest Kubernetes that Chart.yaml admits, and the newest there are schemas of."""

FULL_VALUES: Json = {
    "image": {"digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 2,
    "settings": {
        "MONGODB_ENDPOINT": "mongodb://a:27017,b:27017/?replicaSet=rs0",
        "MONGODB_USERNAME": "enel",
        "HDFS_ENDPOINT": "http://namenode-a:9870;http://namenode-b:9870",
        "HDFS_CA_FILE": "/etc/ca/ca.crt",
        "MAX_BODY_BYTES": 16777216,
        "TRAINING_SCHEDULES": {"KMeans": "0 3 * * *"},
        "TRAINING_INTERVAL": "24h",
        "TARGET_CONFIDENCE": 0.9,
        "HDFS_TLS_VERIFY": True,
        "SUBMISSION_ALLOWED_IMAGES": ["registry.example.org/spark", "apache/spark"],
    },
    "secretSettings": {
        "MONGODB_PASSWORD": {"name": "enel-mongodb", "key": "password"},
        "HDFS_TOKEN": {"name": "enel-hdfs", "key": "token"},
        "CALLBACK_TOKEN": {"name": "enel-callback", "key": "token"},
    },
    "applications": {"namespaces": ["jobs", "more-jobs"]},
    "serviceAccount": {"annotations": {"example.org/role": "enel"}},
    "persistence": {"storageClass": "fast", "annotations": {"example.org/backup": "daily"}},
    "networkPolicy": {
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "egress": {"apiServer": {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}},
        "extraEgress": [{"ports": [{"port": 88, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    },
    "podDisruptionBudget": {"enabled": True},
    "podAnnotations": {"example.org/team": "data"},
    "podLabels": {"example.org/team": "data"},
    "priorityClassName": "important",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
}
"""Everything that is optional, switched on."""


@dataclass(frozen=True)
class Rendered:
    manifests: list[Json]
    notes: str
    lint: Json

    def kind(self, kind: str) -> list[Json]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    @property
    def environment(self) -> dict[str, str]:
        [config_map] = self.kind("ConfigMap")
        return config_map["data"]

    @property
    def pod(self) -> Json:
        [stateful_set] = self.kind("StatefulSet")
        return stateful_set["spec"]["template"]

    @property
    def container(self) -> Json:
        [container] = self.pod["spec"]["containers"]
        return container


class Refused(Exception):
    """Helm renders nothing; the message is its own."""


def render_chart(values: Json | None = None) -> Rendered:
    done = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "tests" / "support" / "render_chart.py")],
        input=json.dumps({"values": values or {}, "namespace": NAMESPACE}),
        env={**os.environ, "HOME": os.devnull},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Refused(answer["error"])
    files: dict[str, str] = answer["rendered"]
    [notes] = [text for name, text in files.items() if name.endswith("NOTES.txt")]
    manifests = [
        manifest
        for name, text in sorted(files.items())
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest is not None
    ]
    return Rendered(manifests, notes, answer["lint"])
