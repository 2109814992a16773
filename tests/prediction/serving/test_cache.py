"""The cache of model versions: loaded once, bounded, and never wrong about what is missing."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from common.instruments import Instruments
from common.models.artifacts import ArtifactDamaged, StoreUnavailable
from common.models.versions import ModelVersion
from prediction.serving.cache import Files, ModelCache
from tests.support.registered import NAME, new_version
from tests.support.scraping import Counted


def version(number: int, **fields: object) -> ModelVersion:
    return new_version(**fields).numbered(number)


class Loader:
    """Files of as many bytes as the version's number, after a moment."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.failing: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, version: ModelVersion) -> Files:
        self.loads[version.id] += 1
        await self.go_on.wait()
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        return {"weights": bytes(version.version)}


@pytest.fixture
def loader() -> Loader:
    return Loader()


def cache_of(loader: Loader, entries: int = 100, size_bytes: int = 1000) -> ModelCache:
    return ModelCache(loader, entries=entries, size_bytes=size_bytes)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_version_is_loaded_once_however_many_ask(loader: Loader) -> None:
    cache = cache_of(loader)
    answers = await asyncio.gather(*(cache.get(version(7)) for _ in range(50)))
    answers.append(await cache.get(version(7)))
    assert loader.loads == {version(7).id: 1}
    assert all(answer is answers[0] for answer in answers)
    assert answers[0] == {"weights": bytes(7)}


async def test_callers_that_go_away_do_not_take_the_load_with_them(loader: Loader) -> None:
    loader.go_on.clear()
    cache = cache_of(loader)
    first, *others = [asyncio.create_task(cache.get(version(7))) for _ in range(4)]
    await until(lambda: bool(loader.loads))
    first.cancel()
    others.pop().cancel()
    await asyncio.sleep(0)
    loader.go_on.set()
    assert await asyncio.gather(*others) == [{"weights": bytes(7)}] * 2
    assert first.cancelled()
    assert loader.loads.total() == 1


async def test_a_load_that_nobody_waits_for_any_more_is_kept(loader: Loader) -> None:
    loader.go_on.clear()
    cache = cache_of(loader)
    only = asyncio.create_task(cache.get(version(7)))
    await until(lambda: bool(loader.loads))
    only.cancel()
    loader.go_on.set()
    await until(lambda: version(7).id in cache)
    await cache.get(version(7))
    assert loader.loads.total() == 1


@pytest.mark.parametrize("error", [ArtifactDamaged("a bit"), StoreUnavailable("away"), RuntimeError("bug")])
async def test_a_failed_load_is_told_to_all_who_wait_and_not_remembered(
    loader: Loader, error: Exception
) -> None:
    loader.failing = error
    cache = cache_of(loader)
    answers = await asyncio.gather(*(cache.get(version(7)) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(error)] * 5
    assert loader.loads.total() == 1
    assert version(7).id not in cache
    with pytest.raises(type(error)):
        await cache.get(version(7))
    loader.failing = None
    assert await cache.get(version(7)) == {"weights": bytes(7)}
    assert loader.loads.total() == 3


async def test_a_failure_that_nobody_waits_for_makes_no_noise(loader: Loader) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    try:
        loader.go_on.clear()
        loader.failing = StoreUnavailable("away")
        cache = cache_of(loader)
        only = asyncio.create_task(cache.get(version(7)))
        await until(lambda: bool(loader.loads))
        only.cancel()
        loader.go_on.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert only.cancelled()
        loader.failing = None
        assert await cache.get(version(7)) == {"weights": bytes(7)}
        assert not told
    finally:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_the_least_recently_used_gives_way(loader: Loader) -> None:
    cache = cache_of(loader, entries=2)
    for number in (1, 2, 1, 3):
        await cache.get(version(number))
    assert cache.cached_versions(NAME) == [1, 3]
    assert len(cache) == 2
    assert cache.cached_bytes == 4


async def test_bytes_are_bounded_and_counted(loader: Loader) -> None:
    cache = cache_of(loader, size_bytes=100)
    for number in (30, 40, 20):
        await cache.get(version(number))
    assert cache.cached_bytes == 90
    await cache.get(version(10))
    assert (cache.cached_bytes, len(cache)) == (100, 4)  # exactly full
    await cache.get(version(50))
    assert cache.cached_versions(NAME) == [10, 20, 50]
    assert cache.cached_bytes == 80
    await cache.get(version(100))
    assert cache.cached_versions(NAME) == [100]
    assert cache.cached_bytes == 100


async def test_a_version_above_the_limit_is_served_and_pushes_nothing_out(loader: Loader) -> None:
    cache = cache_of(loader, size_bytes=100)
    await cache.get(version(60))
    for _ in range(2):
        assert await cache.get(version(101)) == {"weights": bytes(101)}
    assert cache.cached_versions(NAME) == [60]
    assert cache.cached_bytes == 60
    assert loader.loads[version(101).id] == 2


async def test_what_is_dropped_is_loaded_again(loader: Loader) -> None:
    cache = cache_of(loader)
    for number in (3, 4):
        await cache.get(version(number))
    for _ in range(2):
        cache.drop(version(3).id)
        assert (cache.cached_bytes, cache.cached_versions(NAME)) == (4, [4])
    cache.drop("another/1")
    await cache.get(version(3))
    assert (cache.cached_bytes, loader.loads[version(3).id]) == (7, 2)


async def test_what_is_dropped_while_it_is_loaded_is_served_and_not_kept(loader: Loader) -> None:
    loader.go_on.clear()
    cache = cache_of(loader)
    asking = [asyncio.create_task(cache.get(version(7))) for _ in range(2)]
    await until(lambda: bool(loader.loads))
    cache.drop(version(7).id)
    loader.go_on.set()
    assert await asyncio.gather(*asking) == [{"weights": bytes(7)}] * 2
    assert (len(cache), cache.cached_bytes) == (0, 0)


async def test_versions_and_models_are_kept_apart(loader: Loader) -> None:
    cache = cache_of(loader)
    others = [version(2, algorithm_name=name) for name in ("KMeans2", "K", "a.b", "KMeans.onlinepredictor")]
    for one in (version(10), version(2), *others):
        assert await cache.get(one) == {"weights": bytes(one.version)}
    assert len(cache) == 6
    assert cache.cached_versions(NAME) == [2, 10]
    assert cache.cached_versions(others[-1].name) == [2]
    assert cache.cached_versions("spark") == []
    assert version(10).id in cache
    assert version(1).id not in cache


async def test_many_at_once_leave_the_count_right(loader: Loader) -> None:
    cache = cache_of(loader, entries=5, size_bytes=60)

    async def use(turn: int) -> None:
        number = 1 + turn * 7 % 23
        await cache.get(version(number))
        if turn % 5 == 0:
            cache.drop(version(number).id)

    await asyncio.gather(*(use(turn) for turn in range(300)))
    kept = cache.cached_versions(NAME)
    assert cache.cached_bytes == sum(kept) <= 60
    assert len(kept) == len(cache) <= 5


async def test_what_is_asked_loaded_and_pushed_out_is_counted(loader: Loader) -> None:
    instruments = Instruments()
    counted = Counted(instruments.registry)
    cache = ModelCache(loader, entries=2, size_bytes=1000, instruments=instruments)
    await asyncio.gather(*(cache.get(version(7)) for _ in range(3)))  # one load, for which two others wait
    await cache.get(version(7))
    assert counted("enel_model_cache_requests_total", result="miss") == 3
    assert counted("enel_model_cache_requests_total", result="hit") == 1
    assert counted("enel_model_load_duration_seconds_count", result="loaded") == 1

    loader.failing = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await cache.get(version(8))
    assert counted("enel_model_load_duration_seconds_count", result="failed") == 1
    loader.failing = None
    for number in (8, 9):
        await cache.get(version(number))
    assert counted("enel_model_cache_evictions_total") == 1
    cache.drop(version(9).id)
    assert counted("enel_model_cache_evictions_total") == 1
