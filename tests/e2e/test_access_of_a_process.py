"""The service as a process: who is let in from where, and what others can find of its secrets."""

import stat
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.left_processes import command_line
from tests.support.services import failing_start, on_mongodb, started_service
from tests.support.tokens import bearer

pytestmark = pytest.mark.service

SECRETS = {
    "ADMIN_TOKEN": "hunter2-of-the-admin",
    "CALLBACK_TOKEN": "hunter2-of-listeners",
    "session_secret": "hunter2-of-the-page",
    "MONGODB_PASSWORD": "hunter2-of-mongodb",
}


async def test_beyond_loopback_it_says_what_would_do(tmp_path: Path) -> None:
    code, message = await failing_start(tmp_path, HOST="0.0.0.0")
    assert code == 2
    [line] = [line for line in message.splitlines() if line.startswith("Enel Service cannot start: ")]
    assert "HOST: 0.0.0.0" in line
    assert "ADMIN_TOKEN" in line
    assert "ACCESS_CONTROL=tokens" in line
    assert not (tmp_path / "service.lock").exists(), "nothing was begun"


async def test_beyond_loopback_with_the_first_token(tmp_path: Path, mongo_uri: str) -> None:
    async with (
        started_service(
            tmp_path, HOST="0.0.0.0", ACCESS_CONTROL="tokens", **on_mongodb(mongo_uri)
        ) as service,
        httpx.AsyncClient(base_url=service.url) as client,
    ):
        [text] = [word for word in service.log.read_text().split() if word.startswith("enel_")]
        assert (await client.get("/models")).status_code == 401
        assert (await client.get("/models", headers=bearer(text))).status_code == 200
        assert (await client.get("/access/me", headers=bearer(text))).json()["name"] == "first-admin"


async def test_beyond_loopback_where_everybody_may(tmp_path: Path, mongo_uri: str) -> None:
    async with (
        started_service(tmp_path, HOST="0.0.0.0", ACCESS_CONTROL="open", **on_mongodb(mongo_uri)) as service,
        httpx.AsyncClient(base_url=service.url) as client,
    ):
        assert (await client.get("/models")).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/<pid>/environ is Linux's")
async def test_no_secret_is_in_an_environment_that_others_can_read(tmp_path: Path) -> None:
    async with (
        started_service(tmp_path, **SECRETS) as service,
        httpx.AsyncClient(base_url=service.url, headers=bearer(SECRETS["ADMIN_TOKEN"])) as client,
    ):
        assert (await client.get("/access/me")).json()["role"] == "admin"
        parent = psutil.Process(service.process.pid)
        family = [parent, *parent.children(recursive=True)]
        assert {"mongod"} <= {process.name() for process in family}
        assert len(family) >= 4, "mongod with its guard, and a worker with what tracks its resources"
        for process in family:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"hunter2" not in environment, command_line(process)
            assert b"hunter2" not in b" ".join(part.encode() for part in command_line(process))
            assert b"DATA_DIR" not in environment or process == parent, command_line(process)
        assert await service.stop() == 0
    assert "hunter2" not in service.log.read_text()


async def test_secrets_from_files_and_what_it_keeps_is_nobody_elses_to_read(
    tmp_path: Path, mongo_uri: str
) -> None:
    (tmp_path / "admin").write_text("hunter2-from-a-file\n")
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    async with (
        started_service(folder, ADMIN_TOKEN_FILE=str(tmp_path / "admin"), **on_mongodb(mongo_uri)) as service,
        httpx.AsyncClient(base_url=service.url) as client,
    ):
        me = await client.get("/access/me", headers=bearer("hunter2-from-a-file"))
        assert me.json()["role"] == "admin"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "session.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ADMIN_TOKEN_FILE": "/none"}, "ADMIN_TOKEN_FILE: the file that it names cannot be read"),
        ({"admin_token_file": "/none", "ADMIN_TOKEN": "hunter2-hunter2-hunter2"}, "is set, too"),
        ({"ADMIN_TOKEN": "hunter2"}, "ADMIN_TOKEN: too short"),
        ({"ALLOWED_ORIGINS": "portal"}, "ALLOWED_ORIGINS"),
        ({"ALLOWED_HOSTS": "http://enel"}, "ALLOWED_HOSTS"),
    ],
)
async def test_settings_of_access_that_cannot_work(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    code, message = await failing_start(tmp_path, **settings)
    assert (code, "hunter2" in message) == (2, False)
    assert said in message
