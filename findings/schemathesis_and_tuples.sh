#!/usr/bin/env bash
# Schemathesis 4.32.5 calls every OpenAPI 3.1 response that holds a tuple an invalid schema.
#
# FastAPI describes `tuple[int, float]` as JSON Schema 2020-12 does, by `prefixItems`; OpenAPI 3.1 takes its
# schemas from there. Schemathesis rewrites that to the `items: [...]` of older drafts, then checks the
# schema that it has made against OpenAPI 3.1, in which `items` is a schema and no list: `InvalidSchema`, "in
# response definition", whatever the answer is. So a suite that tests an API by its description breaks on the
# first pair that it returns, and names the description, which is right.
#
# Needs bash and Python 3.11. Last seen: 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  schemathesis==4.32.5 fastapi==0.165.0 pydantic==2.14.3 jsonschema==4.26.0

cat >see.py <<'PYTHON'
import sys

import schemathesis
from fastapi import FastAPI
from jsonschema import Draft202012Validator

app = FastAPI()


@app.get("/pair")
def pair() -> tuple[int, float]:
    return (1, 2.5)


@app.get("/list")
def numbers() -> list[float]:
    return [1, 2.5]


described = app.openapi()["paths"]["/pair"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
Draft202012Validator.check_schema(described)
print("OpenAPI", app.openapi()["openapi"], described)
print("jsonschema:", list(Draft202012Validator(described).iter_errors([1, 2.5])) or "the schema and [1, 2.5] are valid")

seen = {}
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
for path in ("/pair", "/list"):
    case = schema[path]["GET"].Case()
    try:
        case.validate_response(case.call())
        seen[path] = "valid"
    except Exception as error:
        seen[path] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    print(f"schemathesis, {path}: {seen[path]}")
sys.exit(seen != {"/pair": "InvalidSchema: Invalid Schema Object in response definition", "/list": "valid"})
PYTHON
venv/bin/python see.py
