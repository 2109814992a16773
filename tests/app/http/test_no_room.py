"""What is answered where a disk takes nothing: a device that is always full, a read-only file system."""

import errno
import os
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.http import problems


def app() -> FastAPI:
    made = FastAPI()
    problems.install(made)

    @made.post("/full")
    def full() -> None:
        with Path("/dev/full").open("wb", buffering=0) as device:
            device.write(b"x")

    @made.post("/read-only")
    def read_only() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/secret/place")

    @made.post("/missing")
    def missing() -> None:
        Path("/nowhere/at/all").read_bytes()

    return made


@pytest.mark.parametrize(("path", "why"), [("/full", "is full"), ("/read-only", "is read-only")])
async def test_no_room_is_507_and_says_which_kind_without_a_path(path: str, why: str) -> None:
    transport = httpx.ASGITransport(app=app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.post(path)
    assert answer.status_code == 507
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "30"
    assert answer.json()["detail"] == f"The disk of this service {why}; nothing was stored."
    assert "secret" not in answer.text


async def test_other_faults_of_files_are_not_the_disks() -> None:
    transport = httpx.ASGITransport(app=app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.post("/missing")
    assert answer.status_code == 500
    assert "nowhere" not in answer.text
