"""Workspaces over HTTP: who may do what, files, archives, snapshots, and how much of them."""

import asyncio
import hashlib
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from common.auth import Role
from common.models.folder import FolderStore
from common.mongo.types import Client
from common.settings.settings import Settings
from common.workspaces.documents import Quota
from common.workspaces.repository import WorkspaceRepository
from common.workspaces.workspaces import Workspaces
from tests.support.samples import unique_name
from tests.support.services import service_in_process
from tests.support.tokens import Guarded, bearer, guarded_service

KIB = 1024
ZIP = {"Content-Type": "application/zip"}
PEOPLE = {"ada": Role.SUBMITTER, "bob": Role.SUBMITTER, "eve": Role.READER, "op": Role.OPERATOR}


def small(settings: Settings) -> None:
    settings.workspaces.workspace_max_bytes = 64 * KIB
    settings.workspaces.workspace_max_files = 10
    settings.workspaces.workspace_max_file_bytes = 32 * KIB
    settings.workspaces.workspace_max_upload_bytes = 16 * KIB
    settings.server.max_body_bytes = 2 * KIB


@pytest_asyncio.fixture(scope="module")
async def service(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    async with service_in_process(
        mongo_uri, tmp_path_factory.mktemp("workspaces"), configure=small
    ) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded"), small) as service:
        yield service


@pytest_asyncio.fixture(scope="module")
async def people(guarded: Guarded) -> dict[str, httpx.AsyncClient]:
    return {name: await guarded.of(await guarded.new(name, role)) for name, role in PEOPLE.items()}


@pytest_asyncio.fixture
async def workspace(service: httpx.AsyncClient) -> str:
    """Address of a new one."""
    made = await service.put(f"/workspaces/{unique_name('w').replace('_', '-').lower()}")
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


def a_zip(files: dict[str, bytes], level: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", level) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def a_tar(*members: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return made.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_workspace_from_its_creation_to_its_end(service: httpx.AsyncClient) -> None:
    made = await service.put("/workspaces/first")
    again = await service.put("/workspaces/first", json={"readers": []})
    assert (made.status_code, made.headers["location"]) == (201, "/workspaces/first")
    assert (again.status_code, again.json()["readers"], again.json()["runners"]) == (200, [], [])
    shown = (await service.get("/workspaces/first")).json()
    assert (shown["files"], shown["size_bytes"], shown["can_change"]) == (0, 0, True)
    assert shown["quota"] == {
        "files": 10,
        "size_bytes": 64 * KIB,
        "file_bytes": 32 * KIB,
        "archive_bytes": 16 * KIB,
    }
    assert "first" in [each["name"] for each in (await service.get("/workspaces")).json()["items"]]
    assert (await service.delete("/workspaces/first")).status_code == 200
    for request in ("GET", "DELETE"):
        assert (await service.request(request, "/workspaces/first")).status_code == 404


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a.b", "a" * 64, "ä", "%2e%2e", "a%00", "a%0a"])
async def test_names_that_are_refused(service: httpx.AsyncClient, name: str) -> None:
    refused = await service.put(f"/workspaces/{name}")
    assert (refused.status_code, "lower-case" in refused.text or "63" in refused.text) == (422, True)


@pytest.mark.parametrize("name", ["a", "0", "team-a", "a" * 63])
async def test_names_that_are_taken(service: httpx.AsyncClient, name: str) -> None:
    assert (await service.put(f"/workspaces/{name}")).status_code == 201


async def test_lists_come_in_pages(service: httpx.AsyncClient, workspace: str) -> None:
    transport = service._transport
    name = workspace.rpartition("/")[2]
    async with AsyncClient("http://127.0.0.1", transport=transport) as client:
        for path in ("b", "a/2", "a/1"):
            await client.put_file(name, path, path.encode())
        assert [file["path"] async for file in client.iterate_files(name, limit=1)] == ["a/1", "a/2", "b"]
        assert [file["path"] async for file in client.iterate_files(name, folder="a")] == ["a/1", "a/2"]
        await client.create_workspace("another")
        found = [each["name"] async for each in client.iterate_workspaces(limit=1)]
        assert {name, "another"} <= set(found)
    assert (await service.get(f"{workspace}/files", params={"folder": "none"})).json()["hint"]


# --- files --------------------------------------------------------------------------------------


async def test_a_file_is_given_back_as_it_was_and_never_as_a_page(
    service: httpx.AsyncClient, workspace: str
) -> None:
    content = b"<script>alert(1)</script>"
    url = f"{workspace}/files/a/%C3%A4%20%22.html"
    made = await service.put(url, content=content, headers={"Content-Type": "text/html"})
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    assert (made.status_code, made.headers["etag"], made.json()["path"]) == (201, etag, 'a/ä ".html')
    got = await service.get(url)
    assert (got.content, got.headers["etag"]) == (content, etag)
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A4%20%22.html"
    assert got.headers["x-content-type-options"] == "nosniff"
    same = await service.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert (await service.put(url, content=b"")).status_code == 200
    assert (await service.get(url)).content == b""
    assert (await service.delete(url)).json()["files"] == 0
    assert (await service.get(url)).status_code == 404


async def test_preconditions_hold_in_the_moment_of_the_change(
    service: httpx.AsyncClient, workspace: str
) -> None:
    url, absent = f"{workspace}/files/a", {"If-None-Match": "*"}
    assert (await service.put(url, content=b"1", headers={"If-Match": "*"})).status_code == 412
    made = await asyncio.gather(
        *(service.put(url, content=b"%d" % number, headers=absent) for number in range(8))
    )
    assert sorted(each.status_code for each in made) == [201] + [412] * 7
    [winner] = [each.headers["etag"] for each in made if each.status_code == 201]
    assert (await service.get(url)).headers["etag"] == winner
    changed = await asyncio.gather(
        *(service.put(url, content=b"new %d" % number, headers={"If-Match": winner}) for number in range(8))
    )
    assert sorted(each.status_code for each in changed) == [200] + [412] * 7
    assert (await service.delete(url, headers={"If-Match": winner})).status_code == 412
    now = (await service.get(url)).headers["etag"]
    assert (await service.delete(url, headers={"If-Match": f'"x", {now}'})).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e%2fx",
        "a/%2e%2e/%2e%2e/x",
        "..%2f..%2fx",
        "a%00b",
        "%ff",
        "a%5cb",
        "a%0ab",
        "%e2%80%ae",
        "a%20/b",
        "",
        "a/",
        "%2e",
        "x" * 201,
        "/".join("a" * 17),
    ],
)
async def test_paths_that_are_refused(service: httpx.AsyncClient, workspace: str, path: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        refused = await service.request(method, f"{workspace}/files/{path}")
        assert refused.status_code in (404, 422), (method, refused.text)
        assert refused.headers["content-type"] == "application/problem+json"
    assert (await service.get(f"{workspace}/files")).json()["items"] == []


async def test_quotas_hold_in_bytes_and_files(service: httpx.AsyncClient, workspace: str) -> None:
    async def put(path: str, size: int) -> int:
        return (await service.put(f"{workspace}/files/{path}", content=bytes(size))).status_code

    assert await put("large", 32 * KIB + 1) == 413
    sizes = await asyncio.gather(*(put(f"{number}", 20 * KIB) for number in range(5)))
    assert sorted(sizes) == [201, 201, 201, 413, 413]
    assert [await put(f"small{number}", 1) for number in range(8)] == [201] * 7 + [413]
    shown = (await service.get(workspace)).json()
    assert (shown["files"], shown["size_bytes"]) == (10, 60 * KIB + 7)


async def test_bodies_are_bounded_while_they_are_read(service: httpx.AsyncClient, workspace: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * 32 * KIB:
            sent += KIB
            yield bytes(KIB)

    refused = await service.put(f"{workspace}/files/a", content=endless())
    assert (refused.status_code, "WORKSPACE_MAX_FILE_BYTES" in refused.text) == (413, True)
    refused = await service.post(f"{workspace}/archive", content=bytes(16 * KIB + 1), headers=ZIP)
    assert (refused.status_code, "WORKSPACE_MAX_UPLOAD_BYTES" in refused.text) == (413, True)
    refused = await service.put(workspace, json={"readers": ["x" * 200] * 20})
    assert (refused.status_code, "MAX_BODY_BYTES" in refused.text) == (413, True)


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
)
async def test_what_a_form_could_send_is_no_archive(
    service: httpx.AsyncClient, workspace: str, kind: str
) -> None:
    headers = {"Content-Type": kind}
    refused = await service.post(f"{workspace}/archive", content=a_zip({"a": b""}), headers=headers)
    assert refused.status_code == 415
    assert "application/zip" in refused.headers["accept"]


# --- archives and snapshots ---------------------------------------------------------------------


async def test_archives_come_and_go(service: httpx.AsyncClient, workspace: str) -> None:
    async def send(files: dict[str, bytes], **params: str) -> dict[str, object]:
        answer = await service.post(f"{workspace}/archive", content=a_zip(files), headers=ZIP, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    files = {"train.py": b"print()", "data/a": bytes(100)}
    assert (await send(files, folder="digits"))["files"] == 2
    assert (await send({"b": b"2"}))["files"] == 3
    got = await service.get(f"{workspace}/archive", params={"folder": "digits"})
    assert (got.headers["content-type"], unzipped(got.content)) == ("application/zip", files)
    assert "digits.zip" in got.headers["content-disposition"]
    assert (await send({"c": b"3"}, folder="digits", replace="true"))["files"] == 2
    whole = await service.get(f"{workspace}/archive")
    assert unzipped(whole.content) == {"b": b"2", "digits/c": b"3"}
    assert (await service.get(f"{workspace}/archive", params={"folder": "none"})).status_code == 404


def link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


def file(name: str, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


@pytest.mark.parametrize(
    ("archive", "status"),
    [
        (b"", 422),
        (b"no archive", 422),
        (a_zip({"a": b"1"})[:-30], 422),
        (a_zip({"../a": b"1"}), 422),
        (a_zip({"/a": b"1"}), 422),
        (a_zip({"a": b"", "a/b": b""}), 422),
        (a_zip({"a": bytes(33 * KIB)}), 413),
        (a_zip({f"{number}": bytes(30 * KIB) for number in range(3)}), 413),
        (a_zip({f"{number}": b"" for number in range(11)}), 413),
        (a_tar(link("a", "/etc/hostname")), 422),
        (a_tar(file("../../a")), 422),
        (a_tar(file("a"), file("a")), 422),
        (a_tar(file("a", 40 * KIB)), 413),
    ],
    # Archives hold the time at which they were made: two workers would not collect the same tests.
    ids=[
        "empty",
        "no-archive",
        "cut-short",
        "leads-out",
        "absolute",
        "file-and-folder",
        "large-file",
        "large",
        "many-files",
        "link",
        "tar-leads-out",
        "twice",
        "says-large",
    ],
)
async def test_archives_that_are_refused_change_nothing(
    service: httpx.AsyncClient, workspace: str, archive: bytes, status: int
) -> None:
    await service.put(f"{workspace}/files/keep", content=b"1")
    before = (await service.get(workspace)).json()
    refused = await service.post(
        f"{workspace}/archive", content=archive, headers=ZIP, params={"replace": "true"}
    )
    assert refused.status_code == status, refused.text
    assert (await service.get(workspace)).json() == before


async def test_what_ran_can_be_had_again(service: httpx.AsyncClient, mongo: Client, workspace: str) -> None:
    name = workspace.rpartition("/")[2]
    quota = Quota(files=10, size_bytes=KIB, file_bytes=KIB)
    stored = WorkspaceRepository(mongo, service.database, quota)  # type: ignore[attr-defined]
    store = FolderStore(service.data_dir / "models")  # type: ignore[attr-defined]
    await service.put(f"{workspace}/files/a", content=b"1")
    taken = await Workspaces(stored, store).take_snapshot(name, "ada")
    await service.put(f"{workspace}/files/a", content=b"2")
    async with AsyncClient("http://127.0.0.1", transport=service._transport) as client:
        shown = await client.snapshot(name, taken.id)
        assert (shown["id"], shown["total_bytes"], shown["files"][0]["path"]) == (taken.id, 1, "a")
        first = await client.download_snapshot(name, taken.id)
        assert unzipped(first) == {"a": b"1"}
        assert unzipped(await client.download_archive(name)) == {"a": b"2"}
        await client.delete_workspace(name)
        assert await client.download_snapshot(name, taken.id) == first
        for other in ((name, "none"), ("another", taken.id)):
            with pytest.raises(ProblemError) as unknown:
                await client.snapshot(*other)
            assert unknown.value.status == 404


async def test_the_client_never_leaves_the_files_of_a_workspace(
    service: httpx.AsyncClient, workspace: str
) -> None:
    async with AsyncClient("http://127.0.0.1", transport=service._transport) as client:
        name = workspace.rpartition("/")[2]
        for path in ("../../" + name, "..", "."):
            with pytest.raises(ProblemError) as refused:
                await client.delete_file(name, path)
            assert refused.value.status == 422
        assert (await client.workspace(name))["name"] == name


# --- who may do what ----------------------------------------------------------------------------


async def test_owners_change_readers_read_and_others_are_told_why_not(
    people: dict[str, httpx.AsyncClient],
) -> None:
    ada, bob, eve, op = (people[name] for name in ("ada", "bob", "eve", "op"))
    assert (await eve.put("/workspaces/guarded")).status_code == 403
    made = await ada.put("/workspaces/guarded", json={"runners": ["bob"], "readers": []})
    assert (made.status_code, made.json()["owner"]) == (201, "ada")
    await ada.put("/workspaces/guarded/files/a", content=b"1")
    shown = (await bob.get("/workspaces/guarded")).json()
    assert (shown["can_run"], shown["can_change"]) == (True, False)
    assert (await bob.get("/workspaces/guarded/files/a")).content == b"1"
    changes = [
        ("PUT", "", {}),
        ("DELETE", "", {}),
        ("PUT", "/files/a", {}),
        ("DELETE", "/files/a", {}),
        ("POST", "/archive", ZIP),
    ]
    for method, path, headers in changes:
        refused = await bob.request(method, f"/workspaces/guarded{path}", headers=headers)
        assert (refused.status_code, "belongs to 'ada'" in refused.text) == (403, True), (method, path)
    for path in ("", "/files", "/files/a", "/archive"):
        refused = await eve.get(f"/workspaces/guarded{path}")
        assert (refused.status_code, "'eve' may not read the workspace" in refused.text) == (403, True)
    assert (await eve.get("/workspaces")).json()["items"] == []
    assert [each["name"] for each in (await bob.get("/workspaces")).json()["items"]] == ["guarded"]
    assert (await op.put("/workspaces/guarded", json={"readers": ["eve"]})).json()["runners"] == ["bob"]
    assert (await eve.get("/workspaces/guarded/files/a")).status_code == 200
    assert (await eve.put("/workspaces/guarded/files/a", content=b"2")).status_code == 403
    assert (await op.put("/workspaces/guarded/files/a", content=b"2")).status_code == 200
    assert (await op.delete("/workspaces/guarded")).status_code == 200


async def test_nobody_sends_files_without_a_token(guarded: Guarded) -> None:
    for headers in ({}, bearer("enel_0_none")):
        refused = await guarded.client.put("/workspaces/x/files/a", content=bytes(100), headers=headers)
        assert refused.status_code == 401


async def test_snapshots_of_a_workspace_that_is_gone_are_not_for_whoever_takes_its_name(
    guarded: Guarded, people: dict[str, httpx.AsyncClient], mongo: Client
) -> None:
    ada, bob, op = (people[name] for name in ("ada", "bob", "op"))
    await ada.put("/workspaces/reused", json={"readers": []})
    await ada.put("/workspaces/reused/files/a", content=b"secret")
    database = guarded.client.database  # type: ignore[attr-defined]
    quota = Quota(files=10, size_bytes=KIB, file_bytes=KIB)
    store = FolderStore(guarded.client.data_dir / "models")  # type: ignore[attr-defined]
    workspaces = Workspaces(WorkspaceRepository(mongo, database, quota), store)
    taken = await workspaces.take_snapshot("reused", "ada")
    await ada.delete("/workspaces/reused")
    url = f"/workspaces/reused/snapshots/{taken.id}"
    for _ in range(2):
        found = [(await who.get(url)).status_code for who in (ada, bob, op)]
        assert found == [200, 403, 200]
        await bob.put("/workspaces/reused")
