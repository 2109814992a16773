"""Answers of the service, and where listeners report."""

from typing import Any

import httpx

UPDATE = "/training/update_information"
PREDICT = "/prediction/online_scale_out_prediction"


def is_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
