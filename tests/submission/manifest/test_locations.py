"""Requests that name files where no file can be: told so, by the whole service."""

from typing import Any

import httpx
import pytest

from tests.support.samples import specs

NO_ADDRESSES = [
    "http://[::1",
    "http://[nonsense]/a.py",
    "hdfs://namenode:99999/a.py",
    "s3a://bucket:port/a.py",
    "hdfs://namenode:0/a.py",
    "file:///a%00b.py",
    "http://user:password@a\N{FULLWIDTH SOLIDUS}b/a.py",
]


def values_with(location: str) -> dict[str, dict[str, Any]]:
    """Every place of a request that says where something lies."""
    python = {"main_application_file": "local:///opt/a.py"}
    return {
        "main_application_file": {"main_application_file": location},
        "log_dir": {**python, "log_dir": location},
        "deps.jars": {**python, "deps": {"jars": ["local:///b.jar", location]}},
        "deps.files": {**python, "deps": {"files": [location]}},
        "deps.py_files": {**python, "deps": {"py_files": [location]}},
        "deps.archives": {**python, "deps": {"archives": [location + "#unpacked"]}},
        "deps.repositories": {**python, "deps": {"repositories": [location]}},
        "jmx_exporter_jar": {**python, "monitoring": {"prometheus": {"jmx_exporter_jar": location}}},
        "spark.eventLog.dir": {**python, "spark_conf": {"spark.eventLog.dir": location}},
    }


_NAMED = {"spark.eventLog.dir": "spark_conf"}


@pytest.mark.parametrize("place", list(values_with("")))
@pytest.mark.parametrize("location", NO_ADDRESSES)
async def test_what_is_no_address_is_refused(service: httpx.AsyncClient, place: str, location: str) -> None:
    values = values_with(location)[place]
    for path in ("/submission/submit", "/submission/submit?dry_run=true"):
        answer = await service.post(path, json={**specs(), "spark_template_values": values})
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        detail = answer.json()["detail"]
        assert _NAMED.get(place, place) in detail
        assert "not a" in detail
        assert "password" not in detail


async def test_schedules_refuse_it_when_they_are_made(service: httpx.AsyncClient) -> None:
    values = {"main_application_file": "http://[::1"}
    body = {"cron": "0 3 * * *", "submission": {**specs(), "spark_template_values": values}}
    answer = await service.put("/submission/schedules/nightly", json=body)
    assert answer.status_code == 422, answer.text


async def test_a_name_that_is_longer_than_any_file_is_missing(service: httpx.AsyncClient) -> None:
    values = {"main_application_file": f"/{'a' * 1000}.py"}
    answer = await service.post("/submission/submit", json={**specs(), "spark_template_values": values})
    assert answer.status_code == 422, answer.text
    assert "does not exist" in answer.json()["detail"]
