"""What a workspace does, with its files' content in a folder as in HDFS."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import hdfs
import pytest
import pytest_asyncio

from common.auth import Principal, Role
from common.errors import Forbidden, Unavailable
from common.models.artifacts import ArtifactDamaged, ArtifactStore, incomplete_name
from common.models.folder import FolderStore
from common.models.hdfs import HdfsStore
from common.mongo.types import Client
from common.settings.hdfs import HdfsSettings
from common.workspaces.documents import EVERYBODY, Quota, Workspace
from common.workspaces.garbage import ContentGarbage
from common.workspaces.paths import InvalidPath
from common.workspaces.repository import (
    FileInTheWay,
    FileNotInWorkspace,
    QuotaExceeded,
    SnapshotNotFound,
    WorkspaceExists,
    WorkspaceNotFound,
    WorkspaceRepository,
)
from common.workspaces.workspaces import FileTooLarge, Workspaces
from tests.support.samples import unique_name

pytestmark = pytest.mark.parametrize("kind", ["folder", pytest.param("hdfs", marks=pytest.mark.hdfs)])

NAME, BY = "digits", "ada"
QUOTA = Quota(files=5, size_bytes=1000, file_bytes=400)


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, kind: str) -> str | None:
    return request.getfixturevalue("hdfs_endpoint") if kind == "hdfs" else None


@pytest.fixture
def hdfs_folder() -> str:
    return f"/tests/{unique_name('workspaces')}"


@pytest_asyncio.fixture
async def store(endpoint: str | None, hdfs_folder: str, tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    if endpoint is None:
        yield FolderStore(tmp_path)
        return
    settings = HdfsSettings(hdfs_endpoint=endpoint, hdfs_output_dir=hdfs_folder)
    async with AsyncExitStack() as stack:
        opened = HdfsStore(settings)
        stack.push_async_callback(opened.aclose)
        yield opened


@pytest.fixture
def leave(endpoint: str | None, hdfs_folder: str, tmp_path: Path) -> Callable[[str], None]:
    """Puts a file where the store keeps its own, as an interrupted write does."""
    if endpoint is None:

        def put(path: str) -> None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(b"half of")

        return put
    client = hdfs.InsecureClient(endpoint)
    return lambda path: client.write(f"{hdfs_folder}/{path}", b"half of", overwrite=True)


@pytest_asyncio.fixture
async def workspaces(mongo: Client, database: str, store: ArtifactStore) -> AsyncIterator[Workspaces]:
    repository = WorkspaceRepository(mongo, database, QUOTA)
    await repository.create_indexes()
    await repository.create(Workspace(name=NAME, owner=BY))
    yield Workspaces(repository, store)
    await mongo.drop_database(database)


async def paths(workspaces: Workspaces, folder: str = "") -> list[str]:
    return [file.path for file in await workspaces.stored.files(NAME, folder=folder)]


def a_zip(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return made.getvalue()


async def test_files_are_put_read_replaced_and_removed(workspaces: Workspaces) -> None:
    for content in (b"one", b"", bytes(range(256))):
        changed = await workspaces.put(NAME, "./a/train.py", content, BY)
        assert (changed.files, changed.size_bytes) == (1, len(content))
        assert await workspaces.read(NAME, "a/train.py") == content
    await workspaces.put(NAME, "a/b.py", b"same", BY)
    await workspaces.put(NAME, "c.py", b"same", BY)
    assert await paths(workspaces) == ["a/b.py", "a/train.py", "c.py"]
    assert await paths(workspaces, "a") == ["a/b.py", "a/train.py"]
    assert [file.changed_by for file in await workspaces.stored.files(NAME)] == [BY] * 3
    await workspaces.remove(NAME, "c.py", BY)
    assert await workspaces.read(NAME, "a/b.py") == b"same"
    assert (await workspaces.remove(NAME, "a", BY)).files == 0
    for path in ("c.py", "a", "a/b.py"):
        with pytest.raises(FileNotInWorkspace):
            await workspaces.read(NAME, path)
        with pytest.raises(FileNotInWorkspace):
            await workspaces.remove(NAME, path, BY)


async def test_what_is_refused_changes_nothing(workspaces: Workspaces) -> None:
    await workspaces.put(NAME, "a/b", bytes(300), BY)
    before = await workspaces.stored.get(NAME)
    with pytest.raises(InvalidPath):
        await workspaces.put(NAME, "../a", b"", BY)
    with pytest.raises(FileTooLarge):
        await workspaces.put(NAME, "c", bytes(401), BY)
    with pytest.raises(FileInTheWay):
        await workspaces.put(NAME, "a", b"", BY)
    with pytest.raises(FileInTheWay):
        await workspaces.put(NAME, "a/b/c", b"", BY)
    with pytest.raises(QuotaExceeded, match="bytes"):
        await workspaces.upload(NAME, a_zip(c=bytes(400), d=bytes(301)), BY)
    with pytest.raises(QuotaExceeded, match="files"):
        await workspaces.upload(NAME, a_zip(**{str(number): b"" for number in range(5)}), BY)
    with pytest.raises(WorkspaceNotFound):
        await workspaces.put("none", "a", b"", BY)
    with pytest.raises(WorkspaceExists):
        await workspaces.stored.create(Workspace(name=NAME))
    assert await workspaces.stored.get(NAME) == before
    assert await paths(workspaces) == ["a/b"]


async def test_a_right_that_was_lost_meanwhile_is_lost(workspaces: Workspaces) -> None:
    def refuse(found: Workspace, checksums: Mapping[str, str]) -> None:
        assert (found.name, list(checksums)) == (NAME, ["a"])
        raise Forbidden("It is somebody else's now.")

    await workspaces.put(NAME, "a", b"1", BY)
    for change in (
        workspaces.put(NAME, "a", b"2", BY, precondition=refuse),
        workspaces.upload(NAME, a_zip(b=b"2"), BY, replace=True, precondition=refuse),
        workspaces.remove(NAME, "a", BY, precondition=refuse),
    ):
        with pytest.raises(Forbidden):
            await change
    assert await paths(workspaces) == ["a"]
    assert await workspaces.read(NAME, "a") == b"1"


async def test_an_archive_adds_or_replaces(workspaces: Workspaces) -> None:
    await workspaces.put(NAME, "keep.py", b"1", BY)
    await workspaces.upload(NAME, a_zip(train=b"1", data__a=b"2"), BY, folder="digits")
    assert await paths(workspaces) == ["digits/data/a", "digits/train", "keep.py"]
    await workspaces.upload(NAME, a_zip(train=b"3"), BY, folder="digits", replace=True)
    assert await paths(workspaces) == ["digits/train", "keep.py"]
    assert await workspaces.read(NAME, "digits/train") == b"3"
    changed = await workspaces.upload(NAME, a_zip(only=b"4"), BY, replace=True)
    assert (await paths(workspaces), changed.files, changed.size_bytes) == (["only"], 1, 1)


async def test_a_snapshot_stays_whatever_changes(workspaces: Workspaces) -> None:
    await workspaces.upload(NAME, a_zip(digits__train=b"1", digits__data=b"2", other=b"3"), BY)
    taken = await workspaces.take_snapshot(NAME, BY, folder="digits")
    assert taken == await workspaces.take_snapshot(NAME, "bob", folder="digits")
    assert ([file.path for file in taken.files], taken.size_bytes) == (["data", "train"], 2)
    await workspaces.put(NAME, "digits/train", b"changed", BY)
    assert (await workspaces.take_snapshot(NAME, BY, folder="digits")).id != taken.id
    await workspaces.stored.delete(NAME)
    found = await workspaces.stored.snapshot(taken.id)
    held = {file.path: await workspaces.content(NAME, file) for file in found.files}
    assert held == {"train": b"1", "data": b"2"}
    with pytest.raises(WorkspaceNotFound):
        await workspaces.take_snapshot(NAME, BY)
    with pytest.raises(SnapshotNotFound):
        await workspaces.stored.snapshot("none")


async def test_of_changes_at_once_each_is_whole_and_all_are_counted(workspaces: Workspaces) -> None:
    async def put(number: int) -> bool:
        try:
            await workspaces.put(NAME, f"{number}.py", bytes(100), BY)
        except QuotaExceeded:
            return False
        return True

    done = await asyncio.gather(*(put(number) for number in range(8)))
    now = await workspaces.stored.get(NAME)
    assert sum(done) == now.files == QUOTA.files == len(await paths(workspaces))
    assert now.size_bytes == 500


async def test_content_that_is_not_what_was_stored_is_told(
    workspaces: Workspaces, store: ArtifactStore
) -> None:
    await workspaces.put(NAME, "a", b"1", BY)
    file = await workspaces.stored.file(NAME, "a")
    key = f"{await workspaces.stored.root()}/{NAME}/{file.sha256}"
    await store.delete(key)
    await store.write(key, {"content": b"2"})
    with pytest.raises(ArtifactDamaged):
        await workspaces.read(NAME, "a")


async def test_owners_change_runners_run_readers_read(workspaces: Workspaces) -> None:
    def who(name: str, role: Role) -> Principal:
        return Principal(name, role.permissions, role)

    people = [
        who("ada", Role.SUBMITTER),
        who("bob", Role.SUBMITTER),
        who("eve", Role.READER),
        who("op", Role.OPERATOR),
    ]

    def may(workspace: Workspace) -> list[str]:
        asked = {"c": workspace.may_change, "x": workspace.may_run, "r": workspace.may_read}
        return ["".join(letter for letter, may in asked.items() if may(person)) for person in people]

    assert may(await workspaces.stored.get(NAME)) == ["cxr", "r", "r", "cxr"]
    assert may(await workspaces.stored.set_members(NAME, ["bob", "eve"], [])) == ["cxr", "xr", "r", "cxr"]
    assert may(await workspaces.stored.set_members(NAME, [], [])) == ["cxr", "", "", "cxr"]
    assert may(await workspaces.stored.set_members(NAME, [EVERYBODY], [])) == ["cxr", "xr", "r", "cxr"]
    assert may(Workspace(name="nobody's")) == ["r", "r", "r", "cxr"]
    assert not Workspace(name=NAME, owner="eve").may_change(people[2])
    listed = {
        who: [each.name for each in await workspaces.stored.newest(before=None, limit=9, readable_by=who)]
        for who in ("ada", "bob")
    }
    assert listed == {"ada": [NAME], "bob": [NAME]}
    await workspaces.stored.set_members(NAME, [], ["eve"])
    assert not await workspaces.stored.newest(before=None, limit=9, readable_by="bob")


async def test_many_who_put_the_same_at_once_all_succeed(workspaces: Workspaces) -> None:
    await asyncio.gather(*(workspaces.put(NAME, f"{number % 2}", b"same", BY) for number in range(8)))
    assert await paths(workspaces) == ["0", "1"]
    assert await workspaces.read(NAME, "1") == b"same"


async def test_what_is_packed_is_what_was_put(workspaces: Workspaces) -> None:
    await workspaces.upload(NAME, a_zip(b="ä".encode(), a__c=bytes(300)), BY)
    files = await workspaces.stored.files_at_once(NAME, "")
    with await workspaces.pack(NAME, files) as packed:
        first = packed.read()
    with await workspaces.pack(NAME, files) as again:
        assert again.read() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "b": "ä".encode(),
            "a/c": bytes(300),
        }


# --- what nothing refers to ---------------------------------------------------------------------


async def contents(workspaces: Workspaces, store: ArtifactStore) -> int:
    return len(await store.keys(f"{await workspaces.stored.root()}/{NAME}", incomplete=True))


async def test_contents_that_nothing_refers_to_go_after_a_while(
    workspaces: Workspaces, store: ArtifactStore
) -> None:
    garbage = ContentGarbage(workspaces.stored, store, grace_seconds=0)
    await workspaces.upload(NAME, a_zip(a=b"1", b=b"2", c=b"3"), BY)
    await workspaces.take_snapshot(NAME, BY)
    await workspaces.put(NAME, "b", b"4", BY)
    await workspaces.put(NAME, "c", b"5", BY)
    await workspaces.remove(NAME, "b", BY)
    patient = ContentGarbage(workspaces.stored, store)
    for _ in range(3):
        await patient.collect()
    assert await contents(workspaces, store) == 5
    await garbage.collect()
    assert await contents(workspaces, store) == 4
    await workspaces.stored.delete(NAME)
    await garbage.collect()
    assert await contents(workspaces, store) == 3  # of the snapshot


async def test_what_is_put_again_loses_its_mark(workspaces: Workspaces, store: ArtifactStore) -> None:
    collectors = [ContentGarbage(workspaces.stored, store) for _ in range(2)]
    await workspaces.put(NAME, "a", b"1", BY)
    await workspaces.remove(NAME, "a", BY)
    await asyncio.gather(*(each.collect() for each in collectors))
    [mark] = await workspaces.stored.marks.of(NAME)
    await workspaces.put(NAME, "a", b"1", BY)
    assert await workspaces.stored.marks.of(NAME) == []
    assert not await workspaces.stored.marks.claim(mark)
    assert await workspaces.read(NAME, "a") == b"1"


async def test_nobody_puts_what_is_being_deleted(
    workspaces: Workspaces, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.workspaces.marks._LOOK_SECONDS", 0.05)
    await workspaces.put(NAME, "a", b"1", BY)
    await workspaces.remove(NAME, "a", BY)
    garbage = ContentGarbage(workspaces.stored, store)
    await garbage.collect()
    [mark] = await workspaces.stored.marks.of(NAME)
    claims = await asyncio.gather(*(workspaces.stored.marks.claim(mark) for _ in range(4)))
    assert sorted(claims) == [False, False, False, True]
    with pytest.raises(Unavailable, match="being removed"):
        await workspaces.put(NAME, "a", b"1", BY)
    assert await garbage.collect() == 600  # whoever claimed it may have died
    putting = asyncio.create_task(workspaces.put(NAME, "a", b"1", BY))
    await store.delete(f"{await workspaces.stored.root()}/{NAME}/{mark.sha256}")
    await workspaces.stored.marks.remove(mark)
    await putting
    assert await workspaces.read(NAME, "a") == b"1"


async def test_what_interrupted_writes_have_left_is_collected(
    workspaces: Workspaces, store: ArtifactStore, leave: Callable[[str], None]
) -> None:
    await workspaces.put(NAME, "a", b"1", BY)
    folder = f"{await workspaces.stored.root()}/{NAME}"
    [key] = await store.keys(folder)
    leave(f"{incomplete_name(key)}/content")
    leave(f"{incomplete_name(f'{folder}/none')}/content")
    await ContentGarbage(workspaces.stored, store, grace_seconds=0).collect()
    assert await store.keys(folder, incomplete=True) == [key]
    assert await store.remove_interrupted_writes(folder, [key]) == []
    assert await workspaces.read(NAME, "a") == b"1"


async def test_databases_on_one_store_leave_each_others_contents(
    mongo: Client, database: str, workspaces: Workspaces, store: ArtifactStore
) -> None:
    other = WorkspaceRepository(mongo, f"{database}-other", QUOTA)
    await other.create(Workspace(name=NAME, owner=BY))
    await Workspaces(other, store).put(NAME, "a", b"1", BY)
    await workspaces.put(NAME, "a", b"1", BY)
    await workspaces.remove(NAME, "a", BY)
    await ContentGarbage(workspaces.stored, store, grace_seconds=0).collect()
    assert await contents(workspaces, store) == 0
    assert await Workspaces(other, store).read(NAME, "a") == b"1"
    await mongo.drop_database(f"{database}-other")
