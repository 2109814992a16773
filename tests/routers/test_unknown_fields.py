"""Fields that nobody reads are accepted, and each answer says so."""

from typing import Any

import httpx

from tests.support.samples import specs, unique_name

RUNTIME = "unknown field global_specs.max_runtim is ignored; did you mean max_runtime?"
FILE = "unknown field spark_template_values.mainApplicationFil is ignored; did you mean mainApplicationFile?"


def misspelt(**fields: Any) -> dict[str, Any]:
    body = specs(max_runtim=1) | fields
    body["spark_template_values"] = {"mainApplicationFil": "local:///x.py"}
    return body


async def test_a_dry_run_names_them(service: httpx.AsyncClient) -> None:
    answer = await service.post("/submission/submit?dry_run=true", json=misspelt(shadwo=True))
    assert answer.status_code == 200, answer.text
    told = answer.json()["k8s_api_response"]["warnings"]
    assert told[-3:] == ["unknown field shadwo is ignored; did you mean shadow?", RUNTIME, FILE]


async def test_the_crd_s_spelling_is_read(service: httpx.AsyncClient) -> None:
    values = {"mainApplicationFile": "local:///nowhere/x.py"}
    body = {**specs(), "spark_template_values": values}
    answer = await service.post("/submission/submit", json=body)
    assert answer.status_code == 422
    assert "/nowhere/x.py does not exist" in answer.json()["detail"]
    values["main_application_file"] = "local:///nowhere/y.py"
    answer = await service.post("/submission/submit", json=body)
    assert answer.status_code == 422
    assert "main_application_file and mainApplicationFile" in answer.json()["detail"]


async def test_what_if_names_them_but_not_what_a_submission_may_say(service: httpx.AsyncClient) -> None:
    body = misspelt(shadow=True, name="nightly", initial_scale_out_policy="requested")
    answer = await service.post("/prediction/initial_scale_out", json=body)
    assert answer.json()["warnings"] == [RUNTIME, FILE]


async def test_schedules_name_them(service: httpx.AsyncClient) -> None:
    path = f"/submission/schedules/{unique_name('schedule')}"
    body = {"cron": "0 3 * * *", "submission": misspelt(), "pausd": True}
    created = await service.put(path, json=body)
    assert created.status_code == 200, created.text
    assert created.json()["warnings"] == [
        "unknown field pausd is ignored; did you mean paused?",
        "unknown field submission.global_specs.max_runtim is ignored; did you mean max_runtime?",
        FILE.replace("spark_template", "submission.spark_template"),
    ]
    again = await service.post("/submission/schedules", json={**body, "name": path.rsplit("/", 1)[1]})
    assert (again.status_code, again.json()["warnings"]) == (200, created.json()["warnings"])
    shown = (await service.get(path)).json()
    assert "warnings" not in shown
    shown["submission"]["spark_template_values"] = {}
    assert (await service.put(path, json={**shown, "warnings": []})).json()["warnings"] == []
    await service.delete(path)
