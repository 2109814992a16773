"""The log of a build: bounded, and without secrets."""

import asyncio

from submission.environments.index import secrets_of
from submission.environments.log import MOST_BYTES, BuildLog


async def read(log: BuildLog, *chunks: bytes) -> str:
    stream = asyncio.StreamReader()
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    await log.read(stream)
    return log.text


async def test_credentials_never_show() -> None:
    environment = {"PIP_INDEX_URL": "https://ada:hunter%32secret@index.example/simple", "PIP_CERT": "/ca"}
    log = BuildLog()
    log.hide(secrets_of(environment))
    text = await read(
        log, b"Looking in https://ada:hunter%32se", b"cret@index.example\n", b"hunter2secret ok"
    )
    assert text == "Looking in https://***@index.example\n*** ok\n"


async def test_long_lines_are_cut_and_hide_no_half_of_a_secret() -> None:
    line = b"x" * 7_990 + b" https://ada:hunter2secret@index.example/" + b"y" * 100_000
    text = await read(BuildLog(), line + b"\nshort\n")
    assert "hunter" not in text
    assert text.endswith(" …\nshort\n")
    assert len(text) < 8_100


async def test_the_end_is_kept() -> None:
    log = BuildLog()
    text = await read(log, b"".join(f"line {number}\n".encode() for number in range(50_000)))
    assert len(text) <= MOST_BYTES
    assert text.endswith("line 49999\n")
    assert log.tail.splitlines()[-1] == "line 49999"
    log.say("pip: ERROR: No matching distribution found for none")
    log.say("and then something")
    assert log.reason == "No matching distribution found for none"
