"""Addresses as people write them."""

import json
from pathlib import Path

import pytest

from common.addresses import (
    check_host,
    check_location,
    check_uri_host,
    file_uri,
    http_address,
    parse_address,
)
from common.errors import StartError
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.client import kubernetes_client


@pytest.mark.parametrize(
    "location",
    [
        "local:///opt/a.py",
        "/opt/a b.py",
        "hdfs:///a",
        "hdfs://nameservice/a",
        "hdfs://[::1]:9000/a",
        "hdfs://one,two/a",
        "s3a://bucket_with.dots/a%20b",
        "abfss://container@account.dfs.core.windows.net/a",
        "s3a://key:secret@bucket/a",
        "ivy://org.apache.spark:spark-avro_2.13:4.1.0",
        "file:/opt/a.zip#unpacked",
        "gs://bucket/*.jar",
    ],
)
def test_locations_stay_as_they_are(location: str) -> None:
    assert check_location(location) == location


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://[::1", "host"),
        ("http://::1]/", "host"),
        ("http://[user]/", "host"),
        ("http://user:geheim@host\N{FULLWIDTH SOLIDUS}x/", "host"),
        ("http://host:65536/", "port"),
        ("http://host:-1/", "port"),
        ("http://host:0/", "port"),
        ("http://user:geheim@host:geheim/", "port"),
    ],
)
def test_what_is_no_address_says_why_and_repeats_nothing(address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_address(address)
    assert "geheim" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_paths_become_uris() -> None:
    assert file_uri("/opt/a b.py") == "local:///opt/a%20b.py"
    with pytest.raises(ValueError, match="absolute path"):
        file_uri("a.py")


def test_http_addresses() -> None:
    assert http_address("namenode:9870/", "such") == "http://namenode:9870"
    assert http_address("[::1]:6443", "such", "https") == "https://[::1]:6443"
    for address in (
        "",
        "http://",
        "a b",
        "ftp://a",
        "http://u:p@a",
        "http://a?b",
        "http://a:1:2",
        "http://[a",
    ):
        with pytest.raises(ValueError, match=r"such|who asks"):
            http_address(address, "such")


@pytest.mark.parametrize(
    "host", ["localhost", "10.0.0.1", "a-b.svc.cluster.local", "my_host", "::1", "fe80::1"]
)
def test_hosts(host: str) -> None:
    assert check_host(host) == host


def test_brackets_around_a_host_are_left_out() -> None:
    assert check_host("[::1]") == "::1"


@pytest.mark.parametrize(
    "host",
    [
        "http://a",
        "a:80",
        "a/b",
        "a b",
        "[::1",
        "::1]",
        "[a]",
        "a..b",
        "x" * 64,
        "-a",
        ":::",
        ".".join("a" * 200),
    ],
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match="not a host"):
        check_host(host)


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "a-b.svc.cluster.local", "a.b.", "5", "::1"])
def test_hosts_in_uris_of_drivers(host: str) -> None:
    assert check_uri_host(host) == host


@pytest.mark.parametrize("host", ["my_host", "a_.b", "node.1", "1.2.3", "256.1.1.1", "fe80::1%eth0"])
def test_hosts_that_uris_of_drivers_cannot_name(host: str) -> None:
    assert check_host(host) == host
    with pytest.raises(ValueError, match="drivers can report to"):
        check_uri_host(host)


@pytest.mark.parametrize("server", ["http://[::1", "https://host:99999", "5", "ftp://host", "https://"])
async def test_a_kubeconfig_with_an_impossible_address_is_named(tmp_path: Path, server: str) -> None:
    path = tmp_path / "config"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(config))
    with pytest.raises(StartError, match="KUBECONFIG"):
        async with kubernetes_client(KubernetesSettings(kubeconfig=str(path))):
            pass
