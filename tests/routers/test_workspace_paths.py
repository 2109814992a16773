"""Paths of files as they come over the network, and bodies that nobody may send, to a real server."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.support.services import started_service
from tests.support.tokens import ADMIN_TOKEN, bearer

pytestmark = pytest.mark.service


@pytest_asyncio.fixture(scope="module")
async def url(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("paths")
    environment = {"MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": folder.name, "ADMIN_TOKEN": ADMIN_TOKEN}
    async with started_service(folder, **environment) as service:
        async with httpx.AsyncClient(base_url=service.url, headers=bearer(ADMIN_TOKEN)) as client:
            for name in ("one", "two"):
                assert (await client.put(f"/workspaces/{name}")).status_code == 201
            await client.put("/workspaces/two/files/a", content=b"of two")
        yield service.url


async def ask(url: str, method: str, target: str, body: bytes = b"") -> int:
    """Status of an answer to exactly this target, which HTTP libraries would tidy up."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
        f"Authorization: Bearer {ADMIN_TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + body)
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


@pytest.mark.parametrize(
    "path",
    [
        "../../two/files/a",
        "%2e%2e/%2e%2e/two/files/a",
        "%2e%2e%2f%2e%2e%2ftwo%2ffiles%2fa",
        "..%2F..%2Ftwo",
        "a/../b",
        "a/..",
        "a%00",
        "%00",
        "a%0d%0aX: y",
        "a%5c..%5cb",
        "%ff",
        "%ed%a0%80",
        "%c0%ae%c0%ae/x",
        "a%20",
        "%E2%80%8B",
    ],
)
async def test_no_path_leads_out_of_a_workspace(url: str, path: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        status = await ask(url, method, f"/workspaces/one/files/{path}", b"x" if method == "PUT" else b"")
        assert status in (400, 404, 422), (method, status)
    async with httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN)) as client:
        assert (await client.get("/workspaces/two/files/a")).content == b"of two"
        listed = (await client.get("/workspaces/one/files")).json()["items"]
        assert [file["path"] for file in listed] == []


async def test_slashes_in_a_row_are_one(url: str) -> None:
    assert await ask(url, "PUT", "//workspaces//one//files//a///b", b"x") == 201
    assert await ask(url, "GET", "/workspaces/one/files/a/b") == 200
    assert await ask(url, "GET", "/workspaces/one/files/%2Fa%2F%2Fb") == 200
    assert await ask(url, "DELETE", "/workspaces/one/files/a%2Fb") == 200


async def test_a_large_body_of_nobody_is_refused_with_an_answer(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        for headers in ({}, bearer(ADMIN_TOKEN)):
            refused = await client.put(
                "/workspaces/one/files/large", content=bytes(40 * 1024 * 1024), headers=headers
            )
            assert refused.status_code == (413 if headers else 401)
        kept = await client.put(
            "/workspaces/one/files/large", content=bytes(32 * 1024 * 1024), headers=bearer(ADMIN_TOKEN)
        )
        assert kept.status_code == 201
        got = await client.get("/workspaces/one/files/large", headers=bearer(ADMIN_TOKEN))
        assert len(got.content) == 32 * 1024 * 1024
        await client.delete("/workspaces/one/files/large", headers=bearer(ADMIN_TOKEN))
