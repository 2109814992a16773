"""What a manifest means on this machine."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from submission.local.application import _PIECE, _RUNS, _read_on
from submission.local.spark_submit import (
    driver_environment,
    local_path,
    spark_environment,
    translate,
    unsupported,
    write_properties,
)
from submission.manifest.build import build_manifest
from tests.support.golden import LOCAL, cases, render
from tests.support.manifests import request_specs, runnable_manifest


def test_adaptive_applications_get_dynamic_allocation() -> None:
    properties = translate(runnable_manifest("one", max_scale_out=4)).properties
    assert properties["spark.dynamicAllocation.enabled"] == "true"
    assert properties["spark.dynamicAllocation.initialExecutors"] == "1"
    assert properties["spark.dynamicAllocation.maxExecutors"] == "4"
    assert properties["spark.dynamicAllocation.schedulerBacklogTimeout"] == "10d"
    assert "spark.cores.max" not in properties


def test_fixed_applications_get_exactly_their_cores() -> None:
    manifest = runnable_manifest("one", solution_name="static")
    manifest["spec"]["executor"] |= {"instances": 3, "cores": 2}
    properties = translate(manifest).properties
    assert properties["spark.cores.max"] == "6"
    assert properties["spark.dynamicAllocation.enabled"] == "false"


def test_the_plugin_is_on_the_drivers_class_path() -> None:
    manifest = runnable_manifest("one")
    manifest["spec"]["deps"]["jars"] = ["local:///a%20b/enel.jar", "https://repo/other.jar"]
    manifest["spec"]["sparkConf"]["spark.driver.extraClassPath"] = "/own"
    submit = translate(manifest)
    assert submit.jars == ("/a b/enel.jar", "https://repo/other.jar")
    assert submit.properties["spark.driver.extraClassPath"] == f"/own{os.pathsep}/a b/enel.jar"
    command = submit.command(Path("/spark"), "spark://m:1", Path("/p"))
    assert command[:5] == ["/spark/bin/spark-submit", "--master", "spark://m:1", "--deploy-mode", "client"]
    assert command[-3:] == [submit.main_file, "--iterations", "4"]


def test_variables_settings_of_hadoop_and_dependencies() -> None:
    values = {
        "main_application_file": "/a.py",
        "hadoop_conf": {"fs.defaultFS": "hdfs://n"},
        "driver": {"env": [{"name": "A", "value": 1}]},
        "executor": {"env": [{"name": "B", "value": "two"}]},
        "deps": {
            "py_files": ["local:///b.zip", "hdfs:///c.py"],
            "archives": ["local:///d%20e.tgz#env"],
            "packages": ["org.example:more:1.0"],
        },
    }
    submit = translate(build_manifest(request_specs(spark_template_values=values), "one", 1, LOCAL))
    assert submit.driver_environment == {"A": "1"}
    assert submit.files == ("/b.zip", "hdfs:///c.py")
    expected = {
        "spark.hadoop.fs.defaultFS": "hdfs://n",
        "spark.executorEnv.B": "two",
        "spark.submit.pyFiles": "/b.zip,hdfs:///c.py",
        "spark.archives": "/d e.tgz#env",
        "spark.jars.packages": "org.example:more:1.0",
    }
    assert expected.items() <= submit.properties.items()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, "volumes"),
        ({"driver": {"env_from": [{"secret_ref": {"name": "s"}}]}}, "driver.envFrom"),
        (
            {"executor": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}},
            "executor.env with valueFrom (A)",
        ),
    ],
)
def test_what_only_kubernetes_has(values: dict[str, Any], told: str) -> None:
    values = {"main_application_file": "/a.py", **values}
    manifest = build_manifest(request_specs(spark_template_values=values), "one", 1, LOCAL)
    assert unsupported(manifest) == told
    for name, specs, options in cases():
        assert (unsupported(render(specs, options)) is None) == (name == "KMeans-local"), name


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("local:///a%20b/c.py", "/a b/c.py"),
        ("file:/x/y.py", "/x/y.py"),
        ("/x", "/x"),
        ("hdfs://name/x", "hdfs://name/x"),
    ],
)
def test_local_path(location: str, path: str) -> None:
    assert local_path(location) == path


def test_properties_are_private_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "spark.properties"
    write_properties(path, {"spark.a b=c": " x\\y\nü😀", "spark.z": "a=b:c #d"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == ("spark.a\\ b\\=c=\\ x\\\\y\\u000a\\u00fc\\ud83d\\ude00\nspark.z=a=b:c #d\n")


def test_the_services_secrets_stay_with_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MONGODB_PASSWORD", "hunter2")
    monkeypatch.setenv("SPARK_HOME", "/another")
    monkeypatch.setenv("PATH", "/bin")
    environment = spark_environment(Path("/spark"), tmp_path, "/python")
    assert "hunter2" not in environment.values()
    assert (environment["SPARK_HOME"], environment["PATH"]) == ("/spark", "/bin")


def test_what_a_template_says_of_variables_and_java_holds_here_too() -> None:
    manifest = runnable_manifest("one")
    manifest["spec"]["driver"] |= {"envVars": {"DATA_URL": "x", "A": "1"}, "javaOptions": "-Da=b"}
    manifest["spec"]["driver"]["env"] = [{"name": "A", "value": "2"}]
    manifest["spec"]["executor"] |= {"envVars": {"B": "3"}, "javaOptions": "-Dc=d"}
    manifest["spec"]["sparkConf"]["spark.executor.extraJavaOptions"] = "-De=f"
    submit = translate(manifest)
    assert submit.driver_environment == {"DATA_URL": "x", "A": "2"}
    assert submit.properties["spark.executorEnv.B"] == "3"
    assert submit.properties["spark.driver.extraJavaOptions"] == "-Da=b"
    assert submit.properties["spark.executor.extraJavaOptions"] == "-De=f -Dc=d"


def test_a_programs_own_variables_count_but_lead_sparks_scripts_nowhere() -> None:
    manifest = runnable_manifest("one")
    said = {"TZ": "Europe/Berlin", "LC_ALL": "de_DE", "PATH": "/own", "SPARK_HOME": "/own", "OWN": "1"}
    manifest["spec"]["driver"]["env"] = [{"name": name, "value": value} for name, value in said.items()]
    of_spark = {"TZ": "UTC", "LC_ALL": "C", "PATH": "/bin", "SPARK_HOME": "/spark", "HOME": "/root"}
    found = driver_environment(translate(manifest), of_spark)
    assert found == {**of_spark, "TZ": "Europe/Berlin", "LC_ALL": "de_DE", "OWN": "1"}


def test_that_a_program_runs_is_seen_behind_whatever_it_has_printed(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    assert _read_on(log, 0, b"") == (b"", 0)
    line = _RUNS[0]
    # The line lies across the end of a piece.
    log.write_bytes(b"x" * (_PIECE - len(line) // 2) + line + b"\n")
    first, looked_at = _read_on(log, 0, b"")
    assert (line in first, looked_at) == (False, _PIECE)
    second, looked_at = _read_on(log, looked_at, first)
    assert (line in second, looked_at) == (True, log.stat().st_size)
