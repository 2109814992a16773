"""The template of defaults: a partial SparkApplication that lies beneath every manifest.

Merging, from the defaults to the request: objects are merged key by key; of lists whose entries
have names (volumes, mounts, variables) an entry replaces the one of the same name; anything else
replaces what was there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from common.errors import StartError
from submission.manifest.fields import (
    SPEC_OF_TEMPLATE,
    TEMPLATE,
    Fields,
    MetadataFields,
    SpecFields,
    complaints,
)

SETTING = "SPARK_APPLICATION_TEMPLATE"

_ENTRY_KEYS = {"volumes": "name", "env": "name", "volumeMounts": "mountPath"}
_TYPED_SPEC = frozenset(field.alias for field in SpecFields.model_fields.values())
_IDENTITY = {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication"}


def load_template(path: str) -> Fields:
    """Read a YAML or JSON file; an empty path is an empty template.

    Returns:
        `metadata` and `spec` of a SparkApplication, both possibly empty.
    Raises:
        StartError: The file cannot be read, or says something that is not the template's to say.
    """
    if not path:
        return {"metadata": {}, "spec": {}}
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise StartError(f"{SETTING}: {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise StartError(f"{SETTING}: {path} is not YAML: {error}") from error
    return check_template({} if document is None else document)


def check_template(document: object) -> Fields:
    """The template with its values as the manifest will have them. Raises StartError."""
    try:
        document = json.loads(json.dumps(document))  # no dates, no entries in two places
    except (TypeError, ValueError) as error:
        raise StartError(f"{SETTING}: only what JSON can say belongs there: {error}.") from error
    if not isinstance(document, Mapping):
        raise StartError(f"{SETTING}: the file must hold one SparkApplication, or a part of one.")
    for key, value in document.items():
        if key not in ("metadata", "spec") and _IDENTITY.get(key) != value:
            known = ", ".join(f"{name}: {expected}" for name, expected in _IDENTITY.items())
            raise StartError(f"{SETTING}: {key} is not known here; {known}, metadata and spec are.")
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    if not isinstance(metadata, Mapping) or not isinstance(spec, Mapping):
        raise StartError(f"{SETTING}: metadata and spec must be objects.")
    wrong = [
        f"spec.{key} is not known, or the service sets it from the request"
        for key in spec
        if key not in _TYPED_SPEC | SPEC_OF_TEMPLATE
    ]
    typed = {key: value for key, value in spec.items() if key in _TYPED_SPEC}
    read: dict[str, Fields] = {}
    for prefix, part, said in (("metadata", MetadataFields, metadata), ("spec", SpecFields, typed)):
        try:
            read[prefix] = part.model_validate(said, context=TEMPLATE).fields()
        except ValidationError as error:
            wrong += complaints(error, prefix)
    if wrong:
        raise StartError(f"{SETTING}: {'; '.join(wrong)}.")
    checked = read["spec"]
    # What has no type of its own here is passed on as it is.
    passed = {key: value for key, value in spec.items() if key in SPEC_OF_TEMPLATE}
    for role in ("driver", "executor"):
        if spec.get(role):
            checked[role] = {**spec[role], **checked.get(role, {})}
    return {"metadata": read["metadata"], "spec": {**passed, **checked}}


def merge(beneath: Mapping[str, Any], above: Mapping[str, Any]) -> Fields:
    """Both, where `above` wins; neither is changed."""
    merged: Fields = dict(beneath)
    for key, value in above.items():
        present = merged.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(present, value)
        elif key in _ENTRY_KEYS and isinstance(present, list) and isinstance(value, list):
            name = _ENTRY_KEYS[key]
            merged[key] = list({entry[name]: entry for entry in [*present, *value]}.values())
        else:
            merged[key] = value
    return merged
