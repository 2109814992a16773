"""The manifests that are kept in `tests/submission/manifests/`, and what they are rendered from.

After a wanted change: `python -m tests.support.golden` writes them anew; look at the difference.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from common.settings.group import PROJECT_ROOT
from common.wire.specs import ApplicationSpecs
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.kubeflow import KUBERNETES as KUBERNETES_PLATFORM
from submission.local.runner import LOCAL as LOCAL_PLATFORM
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.limits import ManifestLimits
from submission.manifest.options import ManifestOptions, SecretKey, bundled_examples
from submission.manifest.template import load_template
from submission.manifest.template_values import RescalingMode
from tests.support.doubles import rescales
from tests.support.manifests import request_specs

FOLDER = PROJECT_ROOT / "tests" / "submission" / "manifests"
EXECUTION_ID = "66f0c0ffee0123456789abcd"

LOCAL = ManifestOptions(
    "127.0.0.1",
    5000,
    "/opt/enel/enel-listener.jar",
    examples=bundled_examples("local:///opt/enel/examples"),
    spark_version="4.1.4",
    platform=LOCAL_PLATFORM,
)
KUBERNETES = ManifestOptions(
    "enel-service.enel.svc",
    5000,
    "local:///opt/spark/jars/enel-listener.jar",
    callback_token_secret=SecretKey("enel-callback", "token"),
    examples=bundled_examples("local:///opt/enel-service/examples"),
    spark_version="4.1.4",
    platform=KUBERNETES_PLATFORM,
    namespace="spark",
    namespaces=("spark-nightly",),
)
WITH_TEMPLATE = ManifestOptions(
    "enel-service.enel.svc",
    5000,
    "https://repository.example.org/enel-listener-1.0.jar",
    callback_token_secret=SecretKey("enel-callback", "token"),
    spark_version="4.1.4",
    platform=KUBERNETES_PLATFORM,
    namespace="spark",
    namespaces=("spark-nightly",),
    template=load_template(str(FOLDER / "template.yaml")),
    limits=ManifestLimits(
        max_executors=36,
        max_executor_cores=8,
        max_executor_memory="16g",
        max_driver_cores=2,
        max_driver_memory="4g",
        images=("registry.example.org/spark/",),
        service_accounts=("spark", "spark-nightly"),
        secrets=("spark-*", "registry"),
    ),
)

ALGORITHMS = {
    "KMeans": ["--iterations", 10, "--points", 1_000_000],
    "LogisticRegression": ["--iterations", 10],
    "MPC": ["--iterations", 10],
    "GradientBoostedTrees": ["--iterations", 10],
}

EVERY_OPTION: dict[str, Any] = {
    "main_application_file": "hdfs:///jars/bench.jar",
    "main_class": "org.example.Bench",
    "release_name": "Nightly bench",
    "namespace": "spark-nightly",
    "log_dir": "hdfs:///spark/nightly-logs",
    "rbac_service_account": "spark-nightly",
    "scale_out_tuner": {"config": {"is_adaptive": True}},
    "labels": {"kueue.x-k8s.io/queue-name": "nightly"},
    "annotations": {"example.org/ticket": "DATA-17"},
    "image": "registry.example.org/spark/bench:2",
    "image_pull_policy": "IfNotPresent",
    "image_pull_secrets": ["registry"],
    "spark_conf": {"spark.task.maxFailures": 2, "spark.speculation": True},
    "hadoop_conf": {"dfs.client.use.datanode.hostname": True},
    "hadoop_config_map": "hadoop-nightly",
    "volumes": [
        {"name": "krb5", "configMap": {"name": "krb5-nightly"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "keys", "secret": {"secretName": "spark-keys"}},
    ],
    "monitoring": {"exposeExecutorMetrics": True, "prometheus": {"port": 8091, "portName": "metrics"}},
    "batch_scheduler": "volcano",
    "batch_scheduler_options": {
        "queue": "nightly",
        "priorityClassName": "low",
        "resources": {"cpu": 4, "memory": "8Gi"},
    },
    "time_to_live_seconds": 3600,
    "restart_policy": {"type": "OnFailure", "onFailureRetries": 1, "onFailureRetryInterval": 30},
    "deps": {
        "jars": ["hdfs:///jars/functions.jar"],
        "files": ["hdfs:///conf/bench.yaml"],
        "pyFiles": ["hdfs:///py/helpers.zip"],
        "archives": ["hdfs:///env/python.tgz#python"],
        "packages": ["org.example:more:1.0"],
        "excludePackages": ["org.example:less"],
        "repositories": ["https://repository.example.org/maven"],
    },
    "driver": {
        "labels": {"role": "driver"},
        "annotations": {"example.org/scrape": True},
        "env": [
            {"name": "TZ", "value": "UTC"},
            {"name": "S3_KEY", "valueFrom": {"secretKeyRef": {"name": "spark-s3", "key": "key"}}},
            {"name": "REGION", "value_from": {"config_map_key_ref": {"name": "region", "key": "name"}}},
        ],
        "env_from": [{"secretRef": {"name": "spark-common"}}],
        "volume_mounts": [{"name": "keys", "mount_path": "/keys", "read_only": True}],
        "node_selector": {"pool": "on-demand"},
        "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}],
        "priority_class_name": "normal",
        "core_request": "500m",
        "core_limit": "1",
        "termination_grace_period_seconds": 60,
    },
    "executor": {
        "labels": {"role": "executor"},
        "env": [{"name": "OMP_NUM_THREADS", "value": 1}],
        "env_from": [{"configMapRef": {"name": "common", "optional": True}, "prefix": "COMMON_"}],
        "volume_mounts": [{"name": "data", "mountPath": "/data", "subPath": "nightly"}],
        "node_selector": {"pool": "spot"},
        "tolerations": [
            {
                "key": "spot",
                "operator": "Equal",
                "value": "true",
                "effect": "NoExecute",
                "tolerationSeconds": 60,
            }
        ],
        "affinity": {
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "labelSelector": {"matchLabels": {"role": "executor"}},
                            "topologyKey": "topology.kubernetes.io/zone",
                        },
                    }
                ]
            }
        },
        "service_account": "spark",
    },
}


def cases() -> Iterator[tuple[str, ApplicationSpecs, ManifestOptions]]:
    """Name of the file, and what it is rendered from."""
    modes: tuple[RescalingMode, ...] = ("fixed", "muted")
    for mode in modes:
        for algorithm, arguments in ALGORITHMS.items():
            specs = request_specs(
                algorithm_name=algorithm,
                algorithm_args=arguments,
                spark_template_values={"rescaling_mode": mode},
            )
            yield f"{algorithm}-{mode}", specs, KUBERNETES
        values = EVERY_OPTION | {"rescaling_mode": mode}
        yield f"every-option-{mode}", request_specs(spark_template_values=values), WITH_TEMPLATE
    yield "KMeans-local", request_specs(), LOCAL
    yield (
        "template-alone",
        request_specs(spark_template_values={"main_application_file": "/a.py"}),
        WITH_TEMPLATE,
    )


def render(specs: ApplicationSpecs, options: ManifestOptions) -> Manifest:
    return build_manifest(specs, EXECUTION_ID, 2, options, rescales=rescales(specs))


APACHE_FOLDER = FOLDER / "apache"

_ONLY_KUBEFLOW = ("monitoring", "batch_scheduler", "batch_scheduler_options")


def apache_cases() -> Iterator[tuple[str, ApplicationSpecs, ManifestOptions]]:
    """As `cases`, of what Apache's operator has something for."""
    plain = dataclasses.replace(KUBERNETES, platform=APACHE.platform)
    own_template = {
        "metadata": WITH_TEMPLATE.template["metadata"],
        "spec": {
            field: value
            for field, value in WITH_TEMPLATE.template["spec"].items()
            if field not in ("monitoring", "batchScheduler", "batchSchedulerOptions")
        },
    }
    with_template = dataclasses.replace(WITH_TEMPLATE, platform=APACHE.platform, template=own_template)
    every = {name: value for name, value in EVERY_OPTION.items() if name not in _ONLY_KUBEFLOW}
    modes: tuple[RescalingMode, ...] = ("fixed", "muted")
    for mode in modes:
        yield f"KMeans-{mode}", request_specs(spark_template_values={"rescaling_mode": mode}), plain
        specs = request_specs(spark_template_values=every | {"rescaling_mode": mode})
        specs.optional_specs.spark_version = "4.1.4"
        yield f"every-option-{mode}", specs, with_template
    yield (
        "template-alone",
        request_specs(spark_template_values={"main_application_file": "/a.py"}),
        with_template,
    )


def render_apache(specs: ApplicationSpecs, options: ManifestOptions) -> Manifest:
    return APACHE.render(render(specs, options))


def _write(path: Path, manifest: Manifest) -> None:
    text = yaml.safe_dump(manifest, sort_keys=False, width=110)
    path.write_text(f"# Written by python -m tests.support.golden.\n{text}")


if __name__ == "__main__":
    for name, specs, options in cases():
        _write(FOLDER / f"{name}.yaml", render(specs, options))
    for name, specs, options in apache_cases():
        _write(APACHE_FOLDER / f"{name}.yaml", render_apache(specs, options))
