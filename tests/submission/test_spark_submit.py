"""What a manifest means on this machine."""

import os
import stat
from pathlib import Path

import pytest

from submission.spark_submit import local_path, spark_environment, translate, write_properties
from tests.submission.conftest import runnable_manifest


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
    assert properties.get("spark.dynamicAllocation.enabled") is None


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
