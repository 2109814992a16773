"""The rendered SparkApplication: as stored, as the CRD wants it, as the operator's webhook wants it."""

import dataclasses
import re
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidRequest
from common.wire.specs import ApplicationSpecs
from submission.manifest.build import (
    EXECUTION_LABEL,
    EXTRA_LISTENER_CLASS,
    PLUGIN_CLASS,
    Manifest,
    build_manifest,
    execution_id_of,
)
from submission.manifest.options import ManifestOptions
from submission.manifest.sizes import SMALLEST_MEMORY, size_in_bytes, spark_size
from submission.manifest.spark_conf import reserved_reason
from tests.support.doubles import rescales
from tests.support.golden import EXECUTION_ID, FOLDER, LOCAL, cases, render
from tests.support.manifests import request_specs
from tests.support.samples import specs as body_of

# As in the operator's internal/webhook/sparkconf_validator.go.
WEBHOOK_REFUSES = re.compile(
    r"spark\.master|spark\.kubernetes\.driver\.master|spark\.kubernetes\.namespace"
    r"|spark\.kubernetes\.(driver\.|executor\.)?container\.image"
    r"|spark\.kubernetes\.authenticate\..*"
)


def build(specs: ApplicationSpecs, **changes: Any) -> Manifest:
    options = dataclasses.replace(LOCAL, **changes)
    return build_manifest(specs, EXECUTION_ID, 2, options, rescales=rescales(specs))


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
def test_manifest_is_as_kept(case: tuple[str, ApplicationSpecs, ManifestOptions]) -> None:
    name, specs, options = case
    manifest = render(specs, options)
    assert manifest == yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), "see tests/support/golden.py"
    assert execution_id_of(manifest) == EXECUTION_ID


def test_every_kept_manifest_is_rendered() -> None:
    kept = {path.stem for path in FOLDER.glob("*.yaml")} - {"template"}
    assert kept == {name for name, _, _ in cases()}


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
def test_kept_manifests_are_what_the_operator_takes(
    crd: jsonschema.Draft202012Validator, case: tuple[str, ApplicationSpecs, ManifestOptions]
) -> None:
    manifest = yaml.safe_load((FOLDER / f"{case[0]}.yaml").read_text())
    crd.validate(manifest)
    assert not [key for key in manifest["spec"]["sparkConf"] if WEBHOOK_REFUSES.fullmatch(key)]


def test_jar_with_main_class(crd: jsonschema.Draft202012Validator) -> None:
    values = {
        "main_application_file": "hdfs:///jars/bench.jar",
        "main_class": "org.example.Bench",
        "image": "registry/spark:1",
        "release_name": "Nightly bench",
        "rbac_service_account": "spark",
        "unknown": {"key": 1},
    }
    manifest = build(request_specs(algorithm_name="MPC", spark_template_values=values))
    spec = manifest["spec"]
    assert (spec["type"], spec["mainClass"], spec["image"]) == (
        "Scala",
        "org.example.Bench",
        "registry/spark:1",
    )
    assert "pythonVersion" not in spec
    assert spec["driver"]["serviceAccount"] == "spark"
    assert manifest["metadata"]["name"] == f"nightly-bench-{EXECUTION_ID}"
    crd.validate(manifest)


@pytest.mark.parametrize(
    ("solution_name", "values", "adaptive"),
    [
        ("enel", {}, True),
        ("ellis", {}, True),
        ("static", {}, False),
        ("static", {"scale_out_tuner.config.is_adaptive": True}, False),
        ("enel", {"scale_out_tuner.config.is_adaptive": "False"}, False),
        ("enel", {"scale_out_tuner": {"config": {"is_adaptive": False}}}, False),
        ("enel", {"scale_out_tuner": {"config": {"is_adaptive": "true"}}}, True),
        ("enel", {"scale_out_tuner": "none"}, True),
    ],
)
def test_adaptive_means_muted_dynamic_allocation(
    solution_name: str, values: dict[str, Any], adaptive: bool
) -> None:
    spec = build(request_specs(solution_name=solution_name, spark_template_values=values))["spec"]
    conf = spec["sparkConf"]
    assert conf["spark.customExtraListener.isAdaptive"] == str(adaptive).lower()
    assert ("dynamicAllocation" in spec) is adaptive
    allocation = [value for key, value in conf.items() if key.startswith("spark.dynamicAllocation.")]
    assert allocation == (["10d"] * 5 if adaptive else ["false"])


def test_upper_bound_in_effect() -> None:
    spec = build_manifest(request_specs(max_scale_out=36), EXECUTION_ID, 2, LOCAL, max_scale_out=6)["spec"]
    assert spec["dynamicAllocation"]["maxExecutors"] == 6
    assert spec["sparkConf"]["spark.customExtraListener.maxExecutors"] == "6"


def test_ipv6_callback_and_jar_url() -> None:
    spec = build(request_specs(), callback_host="::1", listener_jar="https://repo/enel.jar")["spec"]
    assert spec["sparkConf"]["spark.customExtraListener.service"] == "[::1]"
    assert spec["deps"]["jars"] == ["https://repo/enel.jar"]


def test_paths_become_local_uris() -> None:
    values = {"main_application_file": "/my programs/a.py"}
    spec = build(request_specs(algorithm_name="Mine", spark_template_values=values))["spec"]
    assert spec["mainApplicationFile"] == "local:///my%20programs/a.py"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"main_application_file": "a.py"}, "absolute path or a URI"),
        ({"main_application_file": 3}, "must be a text"),
        ({"image": "a\nb"}, "spark_template_values.image"),
        ({"log_dir": "logs"}, "absolute path or a URI"),
        ({"scale_out_tuner.config.is_adaptive": "maybe"}, "must be true or false"),
        ({"spark_conf": []}, "must be an object"),
        ({"spark_conf": {"hadoop.x": "1"}}, "not a Spark property"),
        ({"spark_conf": {"spark.x": None}}, "the value of spark.x"),
        ({"spark_conf": {"spark.x": "a\0b"}}, "the value of spark.x"),
    ],
)
def test_unusable_template_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        build(request_specs(spark_template_values=values))


@pytest.mark.parametrize(
    "key",
    [
        "spark.master",
        "spark.app.id",
        "spark.kubernetes.executor.podNamePrefix",
        "spark.kubernetes.driver.resourceNamePrefix",
        "spark.kubernetes.namespace",
        "spark.kubernetes.container.image",
        "spark.kubernetes.executor.container.image",
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        "spark.kubernetes.authenticate.oauthToken",
        "spark.customExtraListener.port",
        "spark.dynamicAllocation.enabled",
        "spark.executor.instances",
        "spark.executor.memory",
        "spark.cores.max",
    ],
)
def test_reserved_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(key)):
        build(request_specs(spark_template_values={"spark_conf": {key: "x"}}))


def test_all_that_is_refused_is_told_at_once() -> None:
    conf = {
        "spark.master": "x",
        "spark.executor.memory": "1g",
        "spark.ui.enabled": "true",
        "spark.app.id": "a",
    }
    with pytest.raises(InvalidRequest) as refusal:
        build(request_specs(spark_template_values={"spark_conf": conf}))
    told = str(refusal.value)
    assert [key for key in conf if f"{key} cannot be set" in told] == [
        "spark.master",
        "spark.executor.memory",
        "spark.app.id",
    ]


def test_other_plugins_load_beside_ours() -> None:
    values = {"spark_conf": {"spark.plugins": "org.example.One, org.example.Two"}}
    conf = build(request_specs(spark_template_values=values))["spec"]["sparkConf"]
    assert conf["spark.plugins"] == f"org.example.One,org.example.Two,{PLUGIN_CLASS}"


def test_where_the_jar_is_the_services_own_an_extra_listener_stands_in_for_the_plugin() -> None:
    """An image may carry an older jar, and Spark does not start without a listener that it is to load."""
    values = {"spark_conf": {"spark.extraListeners": "org.example.One"}}
    conf = build(request_specs(spark_template_values=values))["spec"]["sparkConf"]
    assert conf["spark.extraListeners"] == "org.example.One"
    jar = LOCAL.platform.listener_jar
    local = build(request_specs(spark_template_values=values), listener_jar=jar)["spec"]["sparkConf"]
    assert local["spark.extraListeners"] == f"org.example.One,{EXTRA_LISTENER_CLASS}"


def test_failures_of_executors_are_counted_against_what_the_run_may_be_given() -> None:
    conf = build(request_specs(max_scale_out=40))["spec"]["sparkConf"]
    assert conf["spark.executor.maxNumFailures"] == "80"
    said = {"spark_conf": {"spark.executor.maxNumFailures": 7}}
    conf = build(request_specs(max_scale_out=40, spark_template_values=said))["spec"]["sparkConf"]
    assert conf["spark.executor.maxNumFailures"] == "7"


def test_executors_that_may_be_taken_in_hand_over_what_they_hold() -> None:
    conf = build(request_specs(max_scale_out=6))["spec"]["sparkConf"]
    on = {"spark.decommission.enabled", "spark.storage.decommission.enabled"}
    assert {conf[name] for name in on} == {"true"}
    assert conf["spark.stage.maxConsecutiveAttempts"] == "10"
    said = {"spark_conf": {"spark.decommission.enabled": False, "spark.stage.maxConsecutiveAttempts": 2}}
    conf = build(request_specs(max_scale_out=6, spark_template_values=said))["spec"]["sparkConf"]
    assert conf["spark.decommission.enabled"] == "false"
    assert conf["spark.stage.maxConsecutiveAttempts"] == "2"
    fixed = build(request_specs(solution_name="static"))["spec"]["sparkConf"]
    assert not [name for name in fixed if "decommission" in name]


def test_a_limit_of_attempts_that_is_set_is_not_raised_by_ours() -> None:
    """Of the two Spark takes the larger one."""
    said = {"spark_conf": {"spark.stage.maxAttempts": 6}}
    conf = build(request_specs(max_scale_out=40, spark_template_values=said))["spec"]["sparkConf"]
    assert conf["spark.stage.maxAttempts"] == "6"
    assert "spark.stage.maxConsecutiveAttempts" not in conf


def test_no_memory_overhead_but_what_is_asked_for() -> None:
    body = body_of()
    for part in ("master_specs", "worker_specs"):
        body[part] = {"memory": "16g"}
    spec = build(ApplicationSpecs.model_validate(body))["spec"]
    assert "memoryOverhead" not in spec["driver"]
    assert "memoryOverhead" not in spec["executor"]


def test_algorithm_without_an_example_needs_a_main_file() -> None:
    with pytest.raises(InvalidRequest, match=r"main_application_file is missing.*Mine \(bundled: KMeans, "):
        build(request_specs(algorithm_name="Mine"))
    assert build(request_specs(algorithm_name="kmeans"))["spec"]["type"] == "Python"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("512m", "512m"),
        ("2G", "2g"),
        ("1Gi", "1024m"),
        ("2gb", "2048m"),
        ("1k", "1m"),
        ("2048", "2048m"),
        ("1048577b", "2m"),
        ("1t", "1048576m"),
    ],
)
def test_memory_sizes(written: str, meant: str) -> None:
    assert spark_size(written) == meant
    assert size_in_bytes(meant) >= size_in_bytes(written)


@pytest.mark.parametrize("size", [2048, 2048.0, "2048", "2048m"])
@pytest.mark.parametrize("specs_of", ["master_specs", "worker_specs"])
def test_sizes_without_a_unit_are_mebibytes_as_for_spark(specs_of: str, size: object) -> None:
    body = {**body_of(), specs_of: {"memory": size, "memory_overhead": size}}
    spec = build(ApplicationSpecs.model_validate(body))["spec"]
    pod = spec["driver" if specs_of == "master_specs" else "executor"]
    assert (pod["memory"], pod["memoryOverhead"]) == ("2048m", "2048m")


def test_more_memory_than_spark_counts_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more memory"):
        spark_size("9999999999p")


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255}", fullmatch=True).filter(
    lambda name: name == name.strip()
)
memory = st.from_regex(r"[1-9][0-9]{0,5}([bkmgBKMG]|[KMG]i|[kmg]b)?", fullmatch=True)
enough_memory = memory.filter(lambda size: size_in_bytes(size) >= size_in_bytes(SMALLEST_MEMORY))
machines = st.fixed_dictionaries(
    {"cores": st.integers(1, 1024), "memory": enough_memory, "memory_overhead": memory}
)


@st.composite
def legal_specs(draw: st.DrawFn) -> ApplicationSpecs:
    lowest, highest = sorted(draw(st.tuples(st.integers(1, 100_000), st.integers(1, 100_000))))
    arguments = st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    )
    return ApplicationSpecs.model_validate(
        {
            "global_specs": {
                "solution_name": draw(st.sampled_from(["enel", "ellis", "static"])),
                "experiment_name": draw(names),
                "algorithm_name": draw(names),
                "algorithm_args": draw(st.lists(arguments, max_size=4)),
                "data_size_MB": draw(st.integers(1, 2**63 - 1)),
                "min_scale_out": lowest,
                "max_scale_out": highest,
                "max_runtime": 60,
            },
            "master_specs": draw(machines),
            "worker_specs": draw(machines),
            "spark_template_values": {
                "main_application_file": draw(st.sampled_from(["/a b/ü.py", "s3a://bucket/x.jar"])),
                "release_name": draw(st.none() | names),
            },
        }
    )


@settings(max_examples=60, deadline=None)
@given(specs=legal_specs(), execution_id=st.from_regex(r"[0-9a-f]{24}", fullmatch=True))
def test_any_legal_specs_give_a_valid_manifest(
    crd: jsonschema.Draft202012Validator, specs: ApplicationSpecs, execution_id: str
) -> None:
    manifest = build_manifest(
        specs, execution_id, specs.global_specs.min_scale_out, LOCAL, rescales=rescales(specs)
    )
    crd.validate(manifest)
    name, labels = manifest["metadata"]["name"], manifest["metadata"]["labels"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 50
    assert name.endswith(execution_id)
    assert labels[EXECUTION_LABEL] == execution_id
    assert all(
        re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value) for value in labels.values()
    )
    assert not [key for key in manifest["spec"]["sparkConf"] if WEBHOOK_REFUSES.fullmatch(key)]


def test_webhook_rules_are_reserved() -> None:
    for key in (
        "spark.master",
        "spark.kubernetes.authenticate.submission.oauthToken",
        "spark.kubernetes.namespace",
    ):
        assert WEBHOOK_REFUSES.fullmatch(key)
        assert reserved_reason(key)


@pytest.mark.parametrize(
    ("template", "request_", "both"),
    [
        ("org.t.One ,", "org.r.Two, ,org.t.One", "org.t.One,org.r.Two"),
        ("org.t.One", None, "org.t.One"),
        (None, " org.r.Two ", "org.r.Two"),
    ],
)
@pytest.mark.parametrize("name", ["spark.extraListeners", "spark.sql.extensions", "spark.plugins"])
def test_who_adds_a_class_takes_none_away(
    name: str, template: str | None, request_: str | None, both: str
) -> None:
    conf = {} if request_ is None else {name: request_}
    beneath = {"spec": {"sparkConf": {} if template is None else {name: template}}}
    values = {"main_application_file": "local:///a.py", "spark_conf": conf}
    wanted = request_specs(spark_template_values=values)
    found = build(wanted, template={"metadata": {}, **beneath})["spec"]["sparkConf"][name]
    assert found == (f"{both},{PLUGIN_CLASS}" if name == "spark.plugins" else both)


@pytest.mark.parametrize("memory", ["449m", "2048k", "100", "460799k"])
@pytest.mark.parametrize("role", ["master_specs", "worker_specs"])
def test_less_memory_than_spark_starts_with_is_refused(role: str, memory: str) -> None:
    specs = request_specs(spark_template_values={"main_application_file": "local:///a.py"})
    part = getattr(specs, role).model_copy(update={"memory": memory})
    with pytest.raises(InvalidRequest, match=f"at least 450m of memory for the .*, not {memory}"):
        build(specs.model_copy(update={role: part}))


@pytest.mark.parametrize(
    ("memory", "rendered"),
    [("450m", "450m"), ("460800k", "450m"), ("2GB", "2048m"), ("2GiB", "2048m"), ("2048", "2048m")],
)
def test_sizes_as_spark_reads_them(memory: str, rendered: str) -> None:
    specs = request_specs(spark_template_values={"main_application_file": "local:///a.py"})
    workers = specs.worker_specs.model_copy(update={"memory": memory})
    manifest = build(specs.model_copy(update={"worker_specs": workers}))
    assert manifest["spec"]["executor"]["memory"] == rendered


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"executor": {"core_request": "4", "core_limit": "2"}},
            "executor.coreLimit is 2, but it asks for 4 cores",
        ),
        ({"driver": {"core_limit": "500m"}}, "driver.coreLimit is 500m, but it asks for 1 cores"),
        (
            {"driver": {"tolerations": [{"key": "a"}, {"key": "b", "operator": "Exists", "value": "x"}]}},
            "driver.tolerations.1: with the operator Exists there is no value",
        ),
        (
            {"executor": {"tolerations": [{"operator": "Equal", "value": "x"}]}},
            "without a key, the operator is",
        ),
        (
            {"executor": {"tolerations": [{"key": "a", "toleration_seconds": 5, "effect": "NoSchedule"}]}},
            "tolerationSeconds is for the effect NoExecute",
        ),
        ({"volumes": [{"name": "my.data", "emptyDir": {}}]}, "volumes.0.name: .*up to 63 lower-case letters"),
    ],
    ids=str,
)
def test_what_no_pod_may_say_is_refused_here(values: dict[str, Any], told: str) -> None:
    """An API server that is asked about the resource says nothing of it; its pods would be refused."""
    with pytest.raises(InvalidRequest, match=told):
        build(request_specs(spark_template_values=values))


def test_what_pods_may_say_is_rendered() -> None:
    pod = {
        "core_request": "500m",
        "core_limit": "1",
        "tolerations": [{"operator": "Exists"}, {"key": "a", "effect": "NoExecute", "toleration_seconds": 5}],
    }
    spec = build(request_specs(spark_template_values={"executor": pod}))["spec"]
    assert spec["executor"]["coreLimit"] == "1"
    assert len(spec["executor"]["tolerations"]) == 2
