"""What a web page in somebody's browser can make of a service on loopback: nothing."""

import re

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer
from pydantic import SecretStr

from app.factory import create_app
from app.http.csrf import CsrfTokens
from app.http.hosts import KnownHosts
from common.access.sessions import Sessions
from common.errors import Forbidden
from common.settings.settings import Settings
from tests.support.samples import application_start, specs

UNKNOWN = "/submission/schedules/none/pause"
"""Answers 404 to whoever gets through."""


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1:5000", True),
        ("localhost", True),
        ("[::1]:5000", True),
        ("LOCALHOST.:80", True),
        ("evil.example.org", False),
        ("127.0.0.1.evil.example.org", False),
        ("localhost.evil.example.org:5000", False),
        ("10.0.0.1", False),
        ("[::1", False),
        ("", False),
    ],
)
async def test_a_name_that_is_made_to_lead_here(
    service: httpx.AsyncClient, host: str, is_known: bool
) -> None:
    for method, path in (("GET", "/models"), ("POST", UNKNOWN), ("GET", "/metrics")):
        response = await service.request(method, path, headers={"Host": host})
        assert (response.status_code == 403) is not is_known, (method, path)
        if not is_known:
            assert response.headers["content-type"] == "application/problem+json"
            assert "ALLOWED_HOSTS" in response.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1:8080"}, False),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "https://evil.example.org"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[::1"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
async def test_posts_that_another_page_sends(
    service: httpx.AsyncClient, headers: dict[str, str], is_taken: bool
) -> None:
    """Without a body, which no content type could tell."""
    assert (await service.post(UNKNOWN, headers=headers)).status_code == (404 if is_taken else 403)
    assert (await service.get("/models", headers=headers)).status_code == 200, "reading changes nothing"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_bodies_that_a_form_could_send(service: httpx.AsyncClient, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    refused = await service.post("/submission/submit", content=b'{"global_specs": {}}', headers=headers)
    assert refused.status_code == 415
    assert refused.headers["content-type"] == "application/problem+json"
    assert "Content-Type: application/json" in refused.json()["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_what_listeners_send_is_taken(service: httpx.AsyncClient, kind: str) -> None:
    response = await service.post(
        "/training/update_information",
        json=application_start("none"),
        headers={"Content-Type": kind, "User-Agent": "enel-listener"},
    )
    assert response.status_code == 404, "unknown, and not refused for how it was sent"
    empty = await service.post(UNKNOWN, headers={"Content-Type": kind, "Content-Length": "0"})
    assert empty.status_code == 404


def known(**settings: object) -> KnownHosts:
    given = Settings()
    given.server.host = "0.0.0.0"
    for name, value in settings.items():
        group = given.server if name == "host" else given.access
        setattr(group, name, value)
    return KnownHosts.of(given)


def test_beyond_loopback_a_token_is_what_counts() -> None:
    anywhere = known(admin_token=SecretStr("x" * 16))
    assert anywhere.knows("whatever.example.org")
    named = known(admin_token=SecretStr("x" * 16), allowed_hosts=("enel.example.org",))
    assert [named.knows(host) for host in ("ENEL.example.org:443", "10.1.2.3:5000", "evil.example.org")] == [
        True,
        True,
        False,
    ]
    trusting = known(access_control="open")
    assert [trusting.knows(host) for host in ("10.1.2.3", "localhost", "evil.example.org")] == [
        True,
        True,
        False,
    ]


# --- what browsers are told ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/none", "/docs", "/static-offline-docs/swagger-ui.css"])
async def test_every_answer_carries_the_headers(service: httpx.AsyncClient, path: str) -> None:
    for host in ("127.0.0.1", "evil.example.org"):
        headers = (await service.get(path, headers={"Host": host})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src 'self' 'unsafe" not in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_pages_of_the_api_may_run_their_own_script(service: httpx.AsyncClient, path: str) -> None:
    page = await service.get(path)
    policy = page.headers["content-security-policy"]
    inline = len(re.findall(r"<script>", page.text))
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == inline
    assert len(page.content) == int(page.headers["content-length"])
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith("/static-offline-docs/"), source
        assert (await service.get(source)).status_code == 200


async def test_a_failure_carries_the_headers_too() -> None:
    """Without its lifespan the service fails at every request."""
    settings = Settings()
    settings.server.host = "127.0.0.1"
    transport = httpx.ASGITransport(app=create_app(settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.post("/submission/submit", json=specs())
    assert (response.status_code, response.headers["x-content-type-options"]) == (500, "nosniff")


# --- forms --------------------------------------------------------------------------------------------


def test_a_form_belongs_to_whoever_it_was_shown_to() -> None:
    forms, sessions = CsrfTokens(SecretStr("key")), [Sessions(SecretStr("key"), each) for each in (60, 3600)]
    earlier, later = [each.read(each.sign("a token")) for each in sessions]
    assert earlier is not None
    assert later is not None
    token = forms.issue(earlier.token_id, "ada")
    forms.check(later.token_id, "", token)
    forms.check("another token", "ada", token)
    others = CsrfTokens(SecretStr("another key")).issue("a token", "ada")
    of_nobody = forms.issue("", "")
    forms.check("", "", of_nobody)
    old = URLSafeTimedSerializer("key", salt="enel-csrf").dumps("a token")
    for shown in (others, of_nobody, old, "odd", ""):
        with pytest.raises(Forbidden, match="load the page again"):
            forms.check("a token", "ada", shown)
    for session, name in (("another token", "eve"), ("", ""), ("another token", "")):
        with pytest.raises(Forbidden, match="load the page again"):
            forms.check(session, name, token)
