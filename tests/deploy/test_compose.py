"""compose.yaml, held against the Compose specification and the service's settings."""

import inspect
import json
import re
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml

from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from prediction.inference.engine.engine import Engine
from training.search.config import SearchConfig

DEPLOY = PROJECT_ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(TEXT)


def test_it_is_a_compose_file(compose: Any) -> None:
    schemas = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    jsonschema.validate(compose, schema)


def test_what_depends_on_another_service_waits_for_the_right_thing(compose: Any) -> None:
    services = compose["services"]
    for service in services.values():
        for name, dependency in service.get("depends_on", {}).items():
            if dependency["condition"] == "service_healthy":
                assert "healthcheck" in services[name], name
            else:
                assert services[name].get("restart", "no") == "no", f"{name} would never complete"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), source


def test_the_service_is_given_settings_that_it_has(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = compose["services"]["enel-service"]["environment"]
    groups = (field.annotation for field in Settings.model_fields.values())
    assert environment.keys() <= {name.upper() for group in groups for name in group.model_fields}  # type: ignore[union-attr]
    for name, value in environment.items():
        given = re.sub(r"\$\{\w+:\?[^}]*\}", "filled-in-by-somebody", value)
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", given))
    settings = Settings()
    assert settings.mongo.mongodb_endpoint in compose["services"]
    assert settings.hdfs.hdfs_endpoint == f"http://{compose['services']['namenode']['hostname']}:9870"


def test_the_service_has_the_rights_that_it_needs_and_no_more(compose: Any) -> None:
    service = compose["services"]["enel-service"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    for each in compose["services"].values():
        assert "privileged" not in each
        assert all(port.startswith("127.0.0.1:") for port in each.get("ports", []))


def test_shared_memory_holds_what_models_are_asked_and_what_trainings_share(compose: Any) -> None:
    size = compose["services"]["enel-service"]["shm_size"]
    assert size == "512m"
    served = inspect.signature(Engine).parameters["object_store_bytes"].default
    assert served + SearchConfig.object_store_bytes < int(size[:-1]) << 20


def test_no_password_has_a_default(compose: Any) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "TOKEN" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_the_sample_of_the_environment_is_complete_and_holds_no_secret() -> None:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    sample = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = set(re.findall(r"\$\{(\w+)", TEXT)) - {"LOGGING_LEVEL"}
    assert sample.keys() == used
    assert all(value == "" for name, value in sample.items() if "PASSWORD" in name or "TOKEN" in name)
    assert "deploy/.env" in (PROJECT_ROOT / ".gitignore").read_text().splitlines()
