"""What an API server does with what it is sent: the CRD's schema, merge patches, refusals."""

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from common.settings.group import PROJECT_ROOT

Json = dict[str, Any]

_CRDS = PROJECT_ROOT.parent / "shared" / "crd"
CRD = _CRDS / "sparkoperator.k8s.io_sparkapplications.yaml"
APACHE_CRD = _CRDS / "spark.apache.org_sparkapplications.yaml"
"""Beside the checkout; where they are absent, resources are stored as they come."""

_REASONS = {
    "required": "FieldValueRequired",
    "enum": "FieldValueNotSupported",
    "type": "FieldValueTypeInvalid",
}


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }


class Schema:
    """Prunes, defaults and validates. CEL rules (`x-kubernetes-validations`) are not looked at."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        validated = _as_json_schema(schema)
        validated["properties"]["metadata"] = {"type": "object"}
        self._validator = jsonschema.Draft202012Validator(validated)

    def prune(self, resource: Json) -> list[str]:
        """Remove what the schema does not know, add its defaults; returns the removed fields."""
        removed: list[str] = []
        for name in ("spec", "status"):
            if name in resource:
                _prune(resource[name], self._schema["properties"][name], name, removed)
        for name in set(resource) - {"apiVersion", "kind", "metadata", "spec", "status"}:
            removed.append(name)
            del resource[name]
        return removed

    def causes(self, resource: Json) -> list[Json]:
        """What does not fit, as the `causes` of a Status."""
        return [
            {
                "field": ".".join(str(part) for part in error.absolute_path) or "<nil>",
                "reason": _REASONS.get(str(error.validator), "FieldValueInvalid"),
                "message": error.message,
            }
            for error in self._validator.iter_errors(resource)
        ]


@lru_cache
def crd_schema(path: Path = CRD) -> Schema | None:
    """Of the version that is stored; None where the file is absent."""
    if not path.exists():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(path.read_text(), Loader=loader)
    return Schema(stored_version(document)["schema"]["openAPIV3Schema"])


def stored_version(crd: Json) -> Json:
    """Of the versions of a CustomResourceDefinition."""
    return next(dict(version) for version in crd["spec"]["versions"] if version["storage"])


def merged(present: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(present) if isinstance(present, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _as_json_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_json_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    plain = {
        key: _as_json_schema(value)
        for key, value in schema.items()
        if not key.startswith("x-kubernetes") and key not in ("description", "default")
    }
    if plain.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


def _prune(value: Any, schema: Json, path: str, removed: list[str]) -> None:
    if isinstance(value, list):
        for number, each in enumerate(value):
            _prune(each, schema.get("items") or {}, f"{path}[{number}]", removed)
    if not isinstance(value, dict):
        return
    known = schema.get("properties")
    extra = schema.get("additionalProperties")
    for key in list(value):
        if known and key in known:
            _prune(value[key], known[key], f"{path}.{key}", removed)
        elif isinstance(extra, dict):
            _prune(value[key], extra, f"{path}.{key}", removed)
        elif not extra and not schema.get("x-kubernetes-preserve-unknown-fields"):
            removed.append(f"{path}.{key}")
            del value[key]
    for key, field in (known or {}).items():
        if key not in value and "default" in field:
            value[key] = field["default"]
