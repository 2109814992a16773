"""A process that starts itself anew: the same one, whose environment holds no secret."""

import json
import os
import subprocess
import sys

import pytest

from common.settings.group import PROJECT_ROOT

PROGRAM = """
import json, os, sys
from app.hidden_secrets import forget_settings, hide_secrets
hide_secrets()
found = {name: os.environ[name] for name in ("mongodb_endpoint", "HDFS_TOKEN", "RAY_AUTH_TOKEN")}
forget_settings()
told = {"pid": os.getpid(), "found": found, "left": dict(os.environ), "arguments": sys.argv[1:]}
told["shown"] = open("/proc/self/environ").read().split("\\0")
links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
told["files"] = [os.readlink(link) for link in links if os.path.islink(link)]
print(json.dumps(told))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc/<pid>/environ is Linux's")


def test_secrets_are_handed_over_and_seen_by_nobody() -> None:
    secrets = {
        "mongodb_endpoint": "mongodb://enel:hunter2@host",
        "HDFS_TOKEN": "hunter2",
        "RAY_AUTH_TOKEN": "hunter2",
    }
    plain = {"HOST": "127.0.0.1", "HDFS_ENDPOINT": "http://namenode:9870", "LANG": "C"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "an argument"],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], **secrets, **plain},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=60)
    told = json.loads(output)
    assert (told["pid"], told["arguments"]) == (process.pid, ["an argument"])
    assert told["found"] == secrets
    assert {"HOST=127.0.0.1", "LANG=C"} <= set(told["shown"])
    assert not any("hunter2" in each for each in told["shown"])
    assert told["left"].keys() & {"LANG", *secrets, *plain} == {"LANG"}
    assert not any("memfd" in each for each in told["files"]), "read once, and closed"
