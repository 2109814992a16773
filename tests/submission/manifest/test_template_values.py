"""Both spellings of what a request says of its SparkApplication, and what it says that nobody reads."""

from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from common.errors import InvalidRequest
from common.wire.unknown import warnings_about
from submission.manifest.template_values import KEYS, parse_template_values
from submission.manifest.unknown import unknown_values

VALUES: dict[str, Any] = {
    "main_application_file": "local:///x.py",
    "main_class": "org.example.Main",
    "log_dir": "hdfs:///logs",
    "release_name": "nightly",
    "namespace": "spark",
    "rescaling_mode": "muted",
    "rbac_service_account": "driver",
    "scale_out_tuner": {"config": {"is_adaptive": False}},
    "scale_out_tuner.config.is_adaptive": False,
    "image": "spark:1",
    "image_pull_policy": "Always",
    "image_pull_secrets": ["pull"],
    "spark_conf": {"spark.x": "1"},
    "hadoop_conf": {"a": "b"},
    "hadoop_config_map": "hadoop",
    "volumes": [{"name": "v", "emptyDir": {}}],
    "node_selector": {"disk": "ssd"},
    "monitoring": {"expose_driver_metrics": False},
    "batch_scheduler": "volcano",
    "batch_scheduler_options": {"priority_class_name": "high"},
    "time_to_live_seconds": 60,
    "restart_policy": {"type": "OnFailure", "on_failure_retries": 2},
    "deps": {"py_files": ["local:///y.py"]},
    "driver": {"node_selector": {"disk": "ssd"}},
    "executor": {"env": [{"name": "A", "value_from": {"secret_key_ref": {"name": "s", "key": "k"}}}]},
    "labels": {"team": "data"},
    "annotations": {"team": "data"},
}


def as_in_the_crd(value: Any) -> Any:
    if isinstance(value, list):
        return [as_in_the_crd(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {".".join(map(to_camel, key.split("."))): as_in_the_crd(inner) for key, inner in value.items()}


def test_every_key_is_tried() -> None:
    assert set(VALUES) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_both_spellings_mean_the_same(key: str) -> None:
    written = {key: VALUES[key]}
    meant = parse_template_values(written)
    assert meant != parse_template_values({})
    assert parse_template_values(as_in_the_crd(written)) == meant
    assert parse_template_values(dict.fromkeys(as_in_the_crd(written), VALUES[key]) | written) == meant
    assert parse_template_values({key: ""} | as_in_the_crd(written)) == meant
    assert warnings_about(unknown_values(written | as_in_the_crd(written))) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"main_class": "A", "mainClass": "B"}, "main_class and mainClass"),
        ({"log_dir": "/a", "logDir": "/b"}, "log_dir and logDir"),
        ({"sparkConf": {"spark.x": "1"}, "spark_conf": {"spark.x": "2"}}, "spark_conf and sparkConf"),
        ({"driver": {"nodeSelector": {"a": "b"}, "node_selector": {}}}, "driver: node_selector and nodeSel"),
        ({"scaleOutTuner": {"config": {"isAdaptive": True, "is_adaptive": False}}}, "and isAdaptive"),
    ],
)
def test_spellings_that_say_different_things_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=f"spark_template_values.*{named}"):
        parse_template_values(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"mainClass": 3}, "spark_template_values.mainClass must"),
        ({"rescalingMode": "both"}, "spark_template_values.rescalingMode must"),
    ],
)
def test_a_refusal_names_what_was_written(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        parse_template_values(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"volumes": [{"name": "v", "emptyDir": {}}] * 2}, "volumes.*v: there are several of this name"),
        (
            {"driver": {"env": [{"name": "A", "value": each} for each in "12"]}},
            "driver.*A: there are several",
        ),
        (
            {"executor": {"volumeMounts": [{"name": each, "mountPath": "/data"} for each in "ab"]}},
            "executor.*/data: there are several of this mount_path",
        ),
    ],
)
def test_what_only_one_may_be_is_not_there_twice(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        parse_template_values(values)


def test_what_nobody_reads_is_told() -> None:
    values = {
        "mainApplicationFil": "local:///x.py",
        "release": "x",
        "driver": {"tolerance": []},
        "executor": {"env": [{"name": "A", "valueForm": {}}]},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "labels": {"anything": "x"},
    }
    assert warnings_about(unknown_values(values)) == [
        "unknown field spark_template_values.mainApplicationFil is ignored;"
        " did you mean mainApplicationFile?",
        "unknown field spark_template_values.release is ignored; did you mean releaseName?",
        "unknown field spark_template_values.driver.tolerance is ignored; did you mean tolerations?",
        "unknown field spark_template_values.executor.env.valueForm is ignored; did you mean valueFrom?",
    ]
