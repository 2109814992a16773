"""Calls as methods of clients: sent or awaited, and lists as iteration over all their pages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from app.client.calls import Call, next_page

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


class Sender(Protocol):
    def send(self, call: Call[T], /) -> T: ...


class AsyncSender(Protocol):
    async def send(self, call: Call[T], /) -> T: ...


class Sent(Generic[P, T]):
    """A call as a method of `Client`."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self._call = call

    def __get__(self, client: Sender, owner: type) -> Callable[P, T]:
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.send(self._call(*args, **kwargs))

        return method


class Awaited(Generic[P, T]):
    """A call as a method of `AsyncClient`."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self._call = call

    def __get__(self, client: AsyncSender, owner: type) -> Callable[P, Awaitable[T]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return client.send(self._call(*args, **kwargs))

        return method


class Iterated(Generic[P, Item]):
    """A list as a method of `Client`: every item of every page, each page asked for when it is needed."""

    def __init__(self, call: Callable[P, Call[Any]], item: type[Item]) -> None:
        self._call = call

    def __get__(self, client: Sender, owner: type) -> Callable[P, Iterator[Item]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[Item]:
            call: Call[Any] | None = self._call(*args, **kwargs)
            while call is not None:
                page = client.send(call)
                yield from page["items"]
                call = next_page(call, page)

        return method


class AsyncIterated(Generic[P, Item]):
    """The same as a method of `AsyncClient`."""

    def __init__(self, call: Callable[P, Call[Any]], item: type[Item]) -> None:
        self._call = call

    def __get__(self, client: AsyncSender, owner: type) -> Callable[P, AsyncIterator[Item]]:
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Item]:
            call: Call[Any] | None = self._call(*args, **kwargs)
            while call is not None:
                page = await client.send(call)
                for item in page["items"]:
                    yield item
                call = next_page(call, page)

        return method
