"""Write the service's settings into the chart's values.schema.json.

Usage: python deploy/helm/write_schema.py

`helm` then refuses a misspelt setting instead of installing a service that ignores it, and a secret
one outside of `secretSettings`. The rest of the schema is written by hand; a test compares.
"""

import json
import sys
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).resolve().parent / "enel-service" / "values.schema.json"

SET_BY_THE_CHART = {
    "HOST",
    "PORT",
    "DATA_DIR",
    "KUBERNETES_IN_CLUSTER",
    "KUBERNETES_NAMESPACE",
    "KUBERNETES_NAMESPACES",
    "SERVING",
    "SERVING_CACHE_BYTES",
    "SERVING_CACHE_DIR",
    "RAY_ADDRESS",
}
"""From values of their own, or because the rest of the chart relies on them."""


def main() -> None:
    SCHEMA.write_text(json.dumps(with_settings(json.loads(SCHEMA.read_text())), indent=2) + "\n")


def with_settings(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the settings as they are now."""
    plain, secret = settings()
    schema["properties"]["settings"]["properties"] = plain
    schema["properties"]["secretSettings"]["properties"] = {
        name: {"$ref": "#/$defs/secretKey"} for name in secret
    }
    return schema


def settings() -> tuple[dict[str, Any], list[str]]:
    """What a ConfigMap may hold, with its schema, and what only a Secret may."""
    sys.path.insert(0, str(PROJECT_ROOT))
    from common.settings.settings import Settings

    plain: dict[str, Any] = {}
    secret: list[str] = []
    for field in Settings.model_fields.values():
        assert isinstance(field.annotation, type), "settings come in groups"
        for name, property_schema in field.annotation.model_json_schema()["properties"].items():
            if property_schema.get("format") == "password":
                secret.append(name.upper())
            elif name.upper() not in SET_BY_THE_CHART and not name.startswith("local_spark_"):
                plain[name.upper()] = _value(property_schema)
    plain["MONGODB_ENDPOINT"]["minLength"] = 1  # there is no embedded one in the image
    return plain, secret


def _value(property_schema: dict[str, Any]) -> dict[str, Any]:
    alternatives = property_schema.get("anyOf", [property_schema])
    types = {"number" if each.get("type") == "integer" else each.get("type") for each in alternatives}
    # A text always does: it is what the environment holds in the end.
    return {"type": sorted((types - {"null", None}) | {"string"})}


if __name__ == "__main__":
    main()
