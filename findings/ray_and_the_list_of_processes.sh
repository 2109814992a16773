#!/usr/bin/env bash
# Ray 2.60.0 connects a driver to `host:port` only where it sees a raylet of that cluster in the list of processes.
#
# `ray.init(address="10.0.0.1:6379")` speaks to that address, and then looks for `raylet` among the processes of
# its own machine. Where there is none it waits for a minute, and raises "Failed to connect to Ray cluster at
# 10.0.0.1:6379", though that cluster answers. A node on the same machine, with the same /tmp and network, is not
# enough: containers of one pod have process lists of their own unless it has `shareProcessNamespace`.
#
# And beside it: a cluster that is started with `_node_ip_address="127.0.0.1"` is on the machine's outside
# address all the same; one with 127.0.0.2 stays on loopback.
#
# Needs bash, Python 3.11, Linux on which `unshare` may make namespaces, and a network besides loopback.
# Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d /tmp/ray-XXXXX) # UNIX sockets below it have 107 bytes
trap 'kill "${head:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(head --bytes 32 /dev/urandom | sha256sum | cut --delimiter ' ' --fields 1)
export RAY_AUTH_TOKEN

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ray[default]==2.60.0'

cat >addresses.py <<'PYTHON'
import logging

import ray

quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
for asked in ("127.0.0.1", "127.0.0.2"):
    ray.init(address="local", num_cpus=1, _node_ip_address=asked, **quiet)
    [node] = ray.nodes()
    print(asked, "stays" if node["NodeManagerAddress"] == asked else "becomes another")
    ray.shutdown()
PYTHON

cat >connect.py <<'PYTHON'
import logging
import socket
import sys

import ray

address = sys.argv[1]
host, port = address.split(":")
socket.create_connection((host, int(port)), 5).close()
try:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    print("connected")
except ConnectionError as error:
    print(f"ConnectionError: {error}".replace(address, "ADDRESS"))
    print(f"{type(error.__cause__).__name__}: {error.__cause__}", file=sys.stderr)
PYTHON

venv/bin/python addresses.py 2>addresses.log | tee addresses

port=$(venv/bin/python -c "import socket; s = socket.socket(); s.bind(('127.0.0.2', 0)); print(s.getsockname()[1])")
venv/bin/ray start --head --block --port="$port" --node-ip-address=127.0.0.2 --temp-dir="$folder/r" --num-cpus=1 \
  --include-dashboard=false >head.log 2>&1 &
head=$!
until grep --quiet --no-messages "Ray runtime started" head.log; do sleep 0.5; done
echo "from the same list of processes:    $(venv/bin/python connect.py "127.0.0.2:$port" 2>>errors.log)" | tee same
echo "from a list of processes of its own: $(unshare --map-root-user --pid --fork --mount-proc \
  venv/bin/python connect.py "127.0.0.2:$port" 2>>errors.log)" | tee own

[[ $(cat addresses) == $'127.0.0.1 becomes another\n127.0.0.2 stays' ]]
[[ $(cat same) == *": "*connected ]]
why=$(tail --lines 1 errors.log)
echo "because of a $why"
[[ $why == "RuntimeError: No node info found"* ]]
[[ $(cat own) == *"ConnectionError: Failed to connect to Ray cluster at ADDRESS" ]]
