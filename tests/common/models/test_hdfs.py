"""HDFS going away, refusing and coming back; starts that cannot work."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import hdfs
import pytest
import pytest_asyncio
from pydantic import ValidationError

from app.wiring.storage import SettingUp, artifact_store
from benchmarks.support.hdfs_cluster import HdfsCluster, hdfs_cluster
from benchmarks.support.hdfs_jars import JarsMissing
from common.errors import StartError
from common.models.artifacts import ArtifactExists, StoreUnavailable
from common.models.hdfs import HdfsStore
from common.models.webhdfs import HdfsUnavailable
from common.processes.guarded import free_port
from common.settings.hdfs import HdfsSettings
from common.settings.settings import Settings
from tests.support.samples import unique_name

PREFIX = "pretrained_models/spark/KMeans/onlinepredictor"
KEY = f"{PREFIX}/1"
FILES = {"model.json": b"{}", "weights": bytes(range(256)) * 10_000}
TIMEOUT_SECONDS = 20.0
"""Refusals come at once; what has to succeed may take its time."""
HANGING_SECONDS = 5.0

needs_hdfs = pytest.mark.hdfs


@pytest_asyncio.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HdfsCluster]:
    """One that may be stopped; it runs at the beginning of each test that uses `store`."""
    try:
        async with hdfs_cluster(tmp_path_factory.mktemp("hdfs")) as cluster:
            yield cluster
    except JarsMissing as reason:
        pytest.skip(f"no HDFS: {reason}")


@asynccontextmanager
async def opened(endpoint: str, **settings: Any) -> AsyncIterator[HdfsStore]:
    values = {"hdfs_timeout_seconds": TIMEOUT_SECONDS, "hdfs_output_dir": f"/{unique_name('test')}"}
    store = HdfsStore(HdfsSettings(hdfs_endpoint=endpoint, **{**values, **settings}))
    try:
        yield store
    finally:
        await store.aclose()


@pytest_asyncio.fixture
async def store(cluster: HdfsCluster) -> AsyncIterator[HdfsStore]:
    await cluster.start()
    async with opened(cluster.endpoint) as store:
        yield store


def operations(store: HdfsStore) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: store.read(KEY),
        lambda: store.write(f"{PREFIX}/2", FILES),
        lambda: store.delete(f"{PREFIX}/3"),
        lambda: store.keys(PREFIX),
        store.check,
    ]


async def refusal_of(operation: Awaitable[Any]) -> HdfsUnavailable:
    with pytest.raises(HdfsUnavailable) as caught:
        await operation
    error = caught.value
    assert isinstance(error, StoreUnavailable)
    assert error.status == 503
    assert error.headers == {"Retry-After": "5"}
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


@needs_hdfs
async def test_without_its_namenode_everything_is_unavailable_until_it_is_back(
    cluster: HdfsCluster, store: HdfsStore
) -> None:
    await store.write(KEY, FILES)
    await cluster.namenode.kill()
    for operation in operations(store):
        started = time.monotonic()
        error = await refusal_of(operation())
        assert time.monotonic() - started < TIMEOUT_SECONDS
        assert f"127.0.0.1:{cluster.http_port} cannot be reached" in str(error)
    await cluster.start()
    assert await store.read(KEY) == FILES
    await store.write(f"{PREFIX}/2", FILES)
    assert await store.keys(PREFIX, incomplete=True) == [KEY, f"{PREFIX}/2"]


@needs_hdfs
async def test_a_namenode_that_hangs_is_waited_for_no_longer_than_the_timeout(
    cluster: HdfsCluster, store: HdfsStore
) -> None:
    folder = f"/{unique_name('test')}"
    async with (
        opened(cluster.endpoint, hdfs_output_dir=folder) as patient,
        opened(cluster.endpoint, hdfs_output_dir=folder, hdfs_timeout_seconds=HANGING_SECONDS) as hurried,
    ):
        await patient.write(KEY, FILES)
        cluster.namenode.suspend()
        try:
            started = time.monotonic()
            # More than the store has threads; and the threads of everybody else stay free.
            waiting = [asyncio.create_task(refusal_of(hurried.read(KEY))) for _ in range(6)]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(HANGING_SECONDS - 1):
                await asyncio.to_thread(lambda: None)
            errors = await asyncio.gather(*waiting)
            assert time.monotonic() - started < 2 * HANGING_SECONDS + 15
            assert all("does not answer within 5 s" in str(error) for error in errors)
        finally:
            cluster.namenode.resume()
        assert await patient.read(KEY) == FILES


@needs_hdfs
async def test_without_its_datanode_files_are_unavailable_until_it_is_back(
    cluster: HdfsCluster, store: HdfsStore
) -> None:
    await store.write(KEY, FILES)
    await cluster.datanode.kill()
    await refusal_of(store.read(KEY))
    await refusal_of(store.write(f"{PREFIX}/2", FILES))
    await refusal_of(store.check_writable())
    assert await store.keys(PREFIX) == [KEY]
    # A NameNode that has noticed says so itself; a new one knows from the beginning.
    await cluster.namenode.kill()
    await cluster.namenode.start()
    async with asyncio.timeout(60):
        while "safe mode" not in str(await refusal_of(store.check())):
            await asyncio.sleep(0.1)
    await cluster.admin("-safemode", "leave")
    assert "no DataNode is alive" in str(await refusal_of(store.write(f"{PREFIX}/2", FILES)))
    await refusal_of(store.read(KEY))
    await cluster.start()
    assert await store.read(KEY) == FILES
    await store.write(f"{PREFIX}/2", FILES)
    assert await store.keys(PREFIX, incomplete=True) == [KEY, f"{PREFIX}/2"]


@needs_hdfs
async def test_in_safe_mode_models_can_be_read(cluster: HdfsCluster, store: HdfsStore) -> None:
    await store.write(KEY, FILES)
    await cluster.admin("-safemode", "enter")
    try:
        assert await store.read(KEY) == FILES
        assert "safe mode" in str(await refusal_of(store.write(f"{PREFIX}/2", FILES)))
        assert "safe mode" in str(await refusal_of(store.delete(KEY)))
    finally:
        await cluster.admin("-safemode", "leave")
    await store.delete(KEY)


@needs_hdfs
async def test_a_used_up_quota_is_named(cluster: HdfsCluster) -> None:
    folder = f"/{unique_name('quota')}"
    async with opened(cluster.endpoint, hdfs_output_dir=folder) as store:
        await store.check_writable()
        await cluster.admin("-setSpaceQuota", "1m", folder)
        # Told by the second block, and by the first; the DataNode, asked for a file, says "created".
        assert "quota must be used up" in str(await refusal_of(store.write(KEY, FILES)))
        await cluster.admin("-setSpaceQuota", "1k", folder)
        await refusal_of(store.write(KEY, {"small": b"1"}))
        await cluster.admin("-setQuota", "2", folder)
        assert "quota of files is used up" in str(await refusal_of(store.write(KEY, {})))
        assert await store.keys(PREFIX, incomplete=True) == []


@needs_hdfs
async def test_a_refused_permission_names_who_may_not_do_what(cluster: HdfsCluster) -> None:
    folder = f"/{unique_name('private')}"
    async with opened(cluster.endpoint, hdfs_output_dir=folder) as store:
        await store.write(KEY, FILES)
        hdfs.InsecureClient(cluster.endpoint).set_permission(folder, "700")
        async with opened(cluster.endpoint, hdfs_output_dir=folder, hdfs_user="somebody") as others:
            for operation in operations(others)[:-1]:
                error = await refusal_of(operation())
                assert "no permission" in str(error)
                assert "'somebody'" in str(error)
                assert folder in str(error)
                assert error.look_at == "HDFS_OUTPUT_DIR and HDFS_USER"
        assert await store.read(KEY) == FILES


@needs_hdfs
async def test_of_two_that_write_the_same_at_once_the_first_wins(
    cluster: HdfsCluster, store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finishes while this one compares what it has written."""
    client = hdfs.InsecureClient(cluster.endpoint, root=store._root)
    monkeypatch.setattr("common.models.hdfs.verify", lambda *_: client.write(f"{KEY}/first", b"1"))
    with pytest.raises(ArtifactExists):
        await store.write(KEY, FILES)
    assert await store.read(KEY) == {"first": b"1"}
    assert await store.keys(PREFIX, incomplete=True) == [KEY]


@needs_hdfs
async def test_a_gateway_that_moves_into_what_is_there_changes_nothing(
    cluster: HdfsCluster, store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = hdfs.InsecureClient(cluster.endpoint, root=store._root)
    monkeypatch.setattr("common.models.hdfs.verify", lambda *_: client.write(f"{KEY}/first", b"1"))
    monkeypatch.setattr(store._client, "rename_once", store._client.rename)
    with pytest.raises(ArtifactExists):
        await store.write(KEY, FILES)
    assert client.list(KEY) == ["first"]
    assert await store.keys(PREFIX, incomplete=True) == [KEY]
    monkeypatch.setattr("common.models.hdfs.verify", lambda *_: None)
    await store.write(f"{PREFIX}/2", {"first": b"2"})
    assert await store.read(f"{PREFIX}/2") == {"first": b"2"}


@needs_hdfs
async def test_a_rename_whose_answer_was_lost_has_happened(
    store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HdfsCLI then asks the next NameNode, which finds nothing to rename."""
    once = store._client.rename_once

    def twice(source: str, target: str) -> None:
        once(source, target)
        once(source, target)

    monkeypatch.setattr(store._client, "rename_once", twice)
    await store.write(KEY, FILES)
    assert await store.read(KEY) == FILES


@needs_hdfs
async def test_other_files_of_the_same_sizes_are_not_taken_for_the_own_ones(
    cluster: HdfsCluster, store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer takes the folder for one that was left behind, and publishes its own files."""
    client = hdfs.InsecureClient(cluster.endpoint, root=store._root)
    once = store._client.rename_once

    def too_late(source: str, target: str) -> None:
        store._client.delete(source, recursive=True)
        client.write(f"{KEY}/weights", b"theirs")
        once(source, target)

    monkeypatch.setattr(store._client, "rename_once", too_late)
    with pytest.raises(ArtifactExists):
        await store.write(KEY, {"weights": b"my own"})
    assert await store.read(KEY) == {"weights": b"theirs"}


@needs_hdfs
async def test_the_second_namenode_is_asked_when_the_first_is_away(cluster: HdfsCluster) -> None:
    await cluster.start()
    async with opened(f"127.0.0.1:{free_port()}; {cluster.endpoint}/") as store:
        await store.write(KEY, FILES)
        assert await store.read(KEY) == FILES


@needs_hdfs
async def test_a_closed_store_is_unavailable(store: HdfsStore) -> None:
    await store.aclose()
    for operation in operations(store):
        await refusal_of(operation())


@needs_hdfs
async def test_the_store_is_checked_when_the_service_starts(cluster: HdfsCluster, tmp_path: Path) -> None:
    await cluster.start()
    folder = f"/made/{unique_name('new')}"
    settings = Settings(hdfs=HdfsSettings(hdfs_endpoint=cluster.endpoint, hdfs_output_dir=folder))
    async with artifact_store(settings, tmp_path, SettingUp()) as store:
        await store.write(KEY, FILES)
        assert hdfs.InsecureClient(cluster.endpoint).list(folder) == ["pretrained_models", "store"]
    assert not list(tmp_path.iterdir())


async def refused_start(tmp_path: Path, **values: Any) -> str:
    settings = Settings(hdfs=HdfsSettings(hdfs_timeout_seconds=TIMEOUT_SECONDS, **values))
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError) as caught:
            await stack.enter_async_context(artifact_store(settings, tmp_path, SettingUp()))
    return str(caught.value)


@needs_hdfs
async def test_a_start_without_permission_names_the_settings(cluster: HdfsCluster, tmp_path: Path) -> None:
    await cluster.start()
    message = await refused_start(tmp_path, hdfs_endpoint=cluster.endpoint, hdfs_user="somebody")
    assert message.startswith("HDFS_OUTPUT_DIR and HDFS_USER: ")
    assert "permission" in message


@needs_hdfs
async def test_a_start_without_datanodes_is_refused(cluster: HdfsCluster, tmp_path: Path) -> None:
    await cluster.start()
    await cluster.datanode.kill()
    assert (await refused_start(tmp_path, hdfs_endpoint=cluster.endpoint)).startswith("HDFS_ENDPOINT: ")


async def test_a_start_with_nobody_there_names_the_endpoint(tmp_path: Path) -> None:
    port = free_port()
    message = await refused_start(tmp_path, hdfs_endpoint=f"127.0.0.1:{port}")
    assert message.startswith("HDFS_ENDPOINT: ")
    assert f"127.0.0.1:{port}" in message


async def test_kerberos_needs_its_package(tmp_path: Path) -> None:
    message = await refused_start(tmp_path, hdfs_endpoint="namenode:9870", hdfs_kerberos=True)
    assert message.startswith("HDFS_KERBEROS ")
    assert "pip install requests-kerberos" in message


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_useless_file_of_certificates_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    message = await refused_start(tmp_path, hdfs_endpoint="https://namenode:9871", hdfs_ca_file=str(file))
    assert message.startswith("HDFS_CA_FILE: ")


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("hdfs_endpoint", {"hdfs_endpoint": "hdfs://namenode:8020"}),
        ("hdfs_endpoint", {"hdfs_endpoint": "http://user:hunter2@namenode:9870"}),
        ("hdfs_endpoint", {"hdfs_endpoint": "http://namenode:70000"}),
        ("hdfs_endpoint", {"hdfs_endpoint": "http://[hunter2"}),
        ("hdfs_endpoint", {"hdfs_endpoint": ";"}),
        ("hdfs_output_dir", {"hdfs_output_dir": "models"}),
        ("hdfs_output_dir", {"hdfs_output_dir": "/models/../etc"}),
        ("hdfs_token", {"hdfs_token": "hunter2", "hdfs_user": "me"}),
        ("hdfs_token", {"hdfs_token": "hunter2\n\nhunter2"}),
        ("hdfs_kerberos", {"hdfs_token": "hunter2", "hdfs_kerberos": True}),
        ("hdfs_kerberos", {"hdfs_user": "me", "hdfs_kerberos": True}),
        ("hdfs_ca_file", {"hdfs_ca_file": "ca.pem", "hdfs_tls_verify": False}),
        ("hdfs_timeout_seconds", {"hdfs_timeout_seconds": 0}),
    ],
)
def test_settings_that_contradict_each_other_are_named(variable: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        HdfsSettings(**values)
    [problem] = caught.value.errors(include_input=False)
    assert problem["loc"] == (variable,)
    assert "hunter2" not in problem["msg"]


def test_addresses_are_completed() -> None:
    settings = HdfsSettings(hdfs_endpoint="a:9870/; https://b ;a:9870", hdfs_output_dir="/models/")
    assert settings.hdfs_endpoint == "http://a:9870;https://b"
    assert settings.hdfs_output_dir == "/models"
