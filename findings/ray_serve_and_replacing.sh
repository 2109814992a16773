#!/usr/bin/env bash
# Ray Serve 2.60.0: `serve.run` under a name that is in use ends the old version before the new one has loaded.
#
# The new version has a replica when the old one's place is free, and not before. With one replica nothing answers
# while the new one loads: calls through the handle wait. Where it never loads, `serve.run` raises, and the old
# version, which answered a moment ago, is not brought back: nothing answers any more. What replaces without that
# is a second application under another name, and deleting the first once the second runs.
#
# And beside it: of a `@serve.batch` method that returns an exception in the place of one answer, the caller is
# not raised that exception; `result()` returns it, as any other value.
#
# Needs bash, Python 3.11, and 2 GB of memory. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ray[serve]==2.60.0'

cat >see.py <<'PYTHON'
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ray
from ray import serve

ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
serve.start(proxy_location="Disabled")


@serve.deployment(max_constructor_retry_count=1)
class Model:
    def __init__(self, version):
        if version == "two":
            time.sleep(8)
        if version == "three":
            raise OSError("its weights are not there")
        self.version = version

    def __call__(self):
        return self.version


@serve.deployment
class Batched:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=5)
    async def __call__(self, numbers):
        return [ValueError(f"{number} is odd") if number % 2 else number for number in numbers]


def ask(seconds):
    try:
        return handle.remote().result(timeout_s=seconds)
    except Exception as error:
        return type(error).__name__


def run(version):
    return serve.run(Model.bind(version), name="app", route_prefix=None)


handle = run("one")
first, while_it_loads = ask(10), []
loading = threading.Thread(target=run, args=["two"])
loading.start()
while loading.is_alive():
    while_it_loads.append(ask(1))
    time.sleep(0.1)
second = ask(10)
print(f"{first}; while two loads: {while_it_loads}; then {second}")
try:
    run("three")
    raised = None
except RuntimeError as error:
    raised = str(error)
third = ask(10)
print(f"three does not load: {raised} Asked then: {third}; {serve.status().applications['app'].status}")

batched = serve.run(Batched.bind(), name="batched", route_prefix=None)
with ThreadPoolExecutor(2) as threads:
    answers = list(threads.map(lambda number: batched.remote(number).result(timeout_s=30), (1, 2)))
print("a batch:", answers)

found = [
    first == "one" and second == "two" and while_it_loads.count("TimeoutError") > 2,
    raised is not None and third == "DeploymentUnavailableError",
    isinstance(answers[0], ValueError) and answers[1] == 2,
]
print("as described:", found)
serve.shutdown()
ray.shutdown()
sys.exit(not all(found))
PYTHON
RAY_USAGE_STATS_ENABLED=0 venv/bin/python see.py 2>/dev/null
