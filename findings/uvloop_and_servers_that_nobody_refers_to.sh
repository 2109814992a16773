#!/usr/bin/env bash
# uvloop 0.23.0 ends a server on a UNIX socket that nobody refers to; one on TCP goes on, as both do with asyncio.
#
# `await asyncio.start_unix_server(...)`, whose answer is not kept, listens for as long as the loop runs with
# asyncio's own loop. With uvloop the next collection of garbage closes it, in silence unless ResourceWarnings are
# shown, and clients get ConnectionRefusedError. Ray Serve runs its replicas on uvloop where that is installed.
#
# Needs bash and Python 3.11. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d /tmp/uvloop-XXXXX) # UNIX sockets below it have 107 bytes
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uvloop==0.23.0

cat >server.py <<'PYTHON'
import asyncio
import gc
import sys

import uvloop

FAMILIES = {
    "unix": (asyncio.start_unix_server, asyncio.open_unix_connection),
    "tcp": (asyncio.start_server, asyncio.open_connection),
}


async def main(family, *address):
    async def hello(_, writer):
        writer.write(b"answers")
        writer.close()

    start, connect = FAMILIES[family]
    await start(hello, *address)
    gc.collect()
    await asyncio.sleep(0.1)
    try:
        reader, writer = await connect(*address)
        told = (await asyncio.wait_for(reader.read(), 10)).decode()
        writer.close()
    except ConnectionRefusedError:
        told = "is gone"
    return told


loop, family, *address = sys.argv[1:]
address = [int(each) if each.isdigit() else each for each in address]
run = uvloop.run if loop == "uvloop" else asyncio.run
print(f"{loop}, {family}: a server that nobody refers to {run(main(family, *address))}")
PYTHON

for loop in asyncio uvloop; do
  venv/bin/python server.py "$loop" unix "$folder/$loop.sock" | tee --append seen
  port=$(venv/bin/python -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
  venv/bin/python server.py "$loop" tcp 127.0.0.1 "$port" | tee --append seen
done

test "$(grep --count "answers" seen)" = 3
grep --quiet "^uvloop, unix: a server that nobody refers to is gone$" seen
