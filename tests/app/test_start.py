"""Settings that cannot work: a line each that names the setting, and nothing of its value."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

import common.mongo.embedded
from app.lifespan import lifespan_for
from app.start import reasons
from common.errors import StartError
from common.mongo.embedded import embedded_mongod, mongod_binary
from common.mongo.types import Client
from common.settings.server import ServerSettings
from common.settings.settings import Settings
from common.settings.submission import SubmissionSettings

SECRETS = {
    "HDFS_TOKEN": "hun ter2",
    "KUBERNETES_API_KEY": "hunter2",
    "CALLBACK_TOKEN": "hun ter2",
    "ADMIN_TOKEN": "hunter2",
    "SESSION_SECRET": "hunter2",
}

GROUPS: dict[str, type[BaseModel]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if field.annotation is not None
}

WRONG: list[tuple[str, str]] = [
    ("HOST", "http://localhost"),
    ("PORT", "http"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("LOGGING_LEVEL", "loud"),
    ("ACCESS_CONTROL", "some"),
    ("SESSION_SECONDS", "0"),
    ("ALLOWED_HOSTS", "http://enel"),
    ("ALLOWED_ORIGINS", "portal.example.org"),
    ("ALLOWED_ORIGINS", "https://portal.example.org/page"),
    ("REQUESTS_PER_MINUTE", "0"),
    ("BYTES_PER_MINUTE", "1"),
    ("CONCURRENT_SUBMISSIONS", "none"),
    ("WRONG_TOKENS_PER_MINUTE", "-1"),
    ("MAX_BODY_BYTES", "1"),
    ("MONGODB_PORT", "-1"),
    ("MONGODB_DATABASE", "a/b"),
    ("MONGODB_DATABASE", "admin"),
    ("MONGODB_DATABASE", "ü" * 40),
    ("MONGODB_TIMEOUT_SECONDS", "inf"),
    ("MONGODB_TIMEOUT_SECONDS", "1e300"),
    ("MONGODB_TIMEOUT_SECONDS", "0"),
    ("HDFS_ENDPOINT", "http://[::1"),
    ("HDFS_ENDPOINT", "namenode:99999"),
    ("HDFS_ENDPOINT", "hdfs://namenode:9000"),
    ("HDFS_ENDPOINT", "http://enel:hunter2@namenode:9870"),
    ("HDFS_OUTPUT_DIR", "models"),
    ("HDFS_KERBEROS", "perhaps"),
    ("HDFS_TIMEOUT_SECONDS", "nan"),
    ("KUBERNETES_ENDPOINT", "https://[::1"),
    ("KUBERNETES_ENDPOINT", "https://enel:hunter2@host:port"),
    ("KUBERNETES_NAMESPACE", "Not A Label"),
    ("KUBERNETES_NAMESPACES", "a,B"),
    ("KUBERNETES_IN_CLUSTER", "2"),
    ("OPERATOR_PICKUP_TIMEOUT_SECONDS", "soon"),
    ("CALLBACK_HOST", "http://[::1"),
    ("CALLBACK_HOST", "host:5000"),
    ("CALLBACK_HOST", "enel_service"),
    ("CALLBACK_PORT", "99999"),
    ("CALLBACK_TIMEOUT_SECONDS", "-1"),
    ("CALLBACK_TOKEN_SECRET", "name"),
    ("LISTENER_JAR", "enel.jar"),
    ("LISTENER_JAR", "http://[::1/enel.jar"),
    ("EXAMPLES_LOCATION", "examples"),
    ("SUBMISSION_MAX_EXECUTORS", "0"),
    ("SUBMISSION_MAX_EXECUTOR_MEMORY", "much"),
    ("IDEMPOTENCY_KEY_SECONDS", "1e300"),
    ("LOCAL_SPARK_CORES", "none"),
    ("LOCAL_SPARK_MEMORY", "8"),
    ("TRAINING_TRIALS", "many"),
    ("TRAINING_CONCURRENT_TRIALS", "0"),
    ("TRAINING_SEED", "-1"),
    ("TRAINING_MAX_HISTORY_RUNS", "1e400"),
    ("TRAINING_HEARTBEAT_SECONDS", "1e300"),
    ("TRAINING_INTERVAL", "soon"),
    ("TRAINING_INTERVAL", "0"),
    ("TRAINING_SCHEDULES", "KMeans: daily"),
    ("TRAINING_SCHEDULES", '["0 3 * * *"]'),
    ("TRAINING_SCHEDULES", '{"KMeans": 5}'),
    ("TRAINING_SCHEDULES", '{"KMeans": "99 * * * *"}'),
    ("TRAINING_TIME_ZONE", "Europe/Nowhere"),
    ("TRAINING_TIME_ZONE", "../../etc/passwd"),
    ("TRAINING_TIME_ZONE", "Europe"),
    ("PROMOTION_TOLERANCE", "nan"),
    ("PROMOTION_TOLERANCE", "2"),
    ("PREDICTION_WORKERS", "0"),
    ("PREDICTION_CACHE_BYTES", "0"),
    ("TARGET_CONFIDENCE", "1"),
    ("SCALE_IN_RESERVE_SECONDS", "inf"),
    ("INFEASIBLE_TARGET", "nicest"),
    *SECRETS.items(),
]
"""One value that is no good, by setting."""


@pytest.mark.parametrize(("setting", "value"), WRONG)
def test_a_wrong_value_names_its_setting(monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises((ValidationError, SettingsError)) as caught:
        Settings()
    lines = list(reasons(caught.value))
    assert lines
    assert all(line.startswith(f"{setting}: ") and "\n" not in line for line in lines)
    assert not any("hunter2" in line or "hun ter2" in line for line in lines)
    assert not any("pattern" in line for line in lines), "what to write is said instead"


def test_garbage_is_an_error_of_validation_and_of_nothing_else() -> None:
    for group in GROUPS.values():
        for name in group.model_fields:
            for garbage in ("{", "[1", "\N{SNOWMAN}", "1e400", "-", '{"a": {"b": []}}'):
                problem: ValidationError | None = None
                try:
                    group(**{name: garbage})
                except ValidationError as error:
                    problem = error
                assert problem is None or all(line.startswith(name.upper()) for line in reasons(problem))


# --- what only shows when it is used ----------------------------------------------------------------


async def start(**settings: Any) -> str:
    """The reason why a service with these settings does not start."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        [group] = [key for key, of in GROUPS.items() if name in of.model_fields]
        groups.setdefault(group, {})[name] = value
    given = Settings(**{key: GROUPS[key](**values) for key, values in groups.items()})
    app: Any = None
    with pytest.raises(Exception) as caught:
        async with lifespan_for(given)(app):
            pass
    assert isinstance(caught.value, StartError), repr(caught.value)
    [line] = reasons(caught.value)
    return line


@pytest.mark.parametrize("host", ["enel_service", "node.1"])
async def test_a_host_under_which_no_driver_could_report(tmp_path: Path, host: str) -> None:
    line = await start(data_dir=tmp_path, host=host, access_control="tokens")
    assert line.startswith("HOST: not a host that drivers can report to")
    assert "CALLBACK_HOST" in line


def test_a_host_that_drivers_are_not_told() -> None:
    given = Settings(
        server=ServerSettings(host="enel_service"), submission=SubmissionSettings(callback_host="enel")
    )
    assert given.callback_address == ("enel", 5000)


@pytest.mark.parametrize(
    "endpoint",
    [
        "mongodb://u:hunter2@[::1",
        "mongodb://u:hunter2@h:99999",
        "mongodb://u:hun@ter2@h",
        "mongodb://u:hunter2@h/?tls=true&tlsCAFile=/none",
        "mongodb://u:hunter2@h/?tls=true&tlsCAFile=/etc/passwd",
        "mongodb+srv://u:hunter2@nowhere.invalid",
        "mongodb://u:hunter2@127.0.0.1:9",
        "mongodb://h:1,h:2/?directConnection=true",
        "http://h",
        "a..b",
        "not a host!",
    ],
)
async def test_an_endpoint_of_mongodb(tmp_path: Path, endpoint: str) -> None:
    line = await start(data_dir=tmp_path, mongodb_endpoint=endpoint, mongodb_timeout_seconds=0.5)
    assert line.startswith("MONGODB_ENDPOINT: ")
    assert "hunter2" not in line
    assert "ter2" not in line


async def test_a_mongodb_that_refuses_its_user(tmp_path: Path, mongo_uri: str) -> None:
    address = mongo_uri.replace("mongodb://", "mongodb://nobody:hunter2@")
    line = await start(data_dir=tmp_path, mongodb_endpoint=address)
    assert line.startswith("MONGODB_ENDPOINT: ")
    assert "refuses" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["mongodb", "models", "instance", "service.lock"])
async def test_a_data_dir_with_something_else_in_a_place(tmp_path: Path, mongo_uri: str, name: str) -> None:
    if name in ("instance", "service.lock"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    endpoint = "" if name == "mongodb" else mongo_uri
    line = await start(data_dir=tmp_path, mongodb_endpoint=endpoint)
    assert line.startswith("DATA_DIR: ")


async def test_a_data_dir_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "circle", Path("/proc/none")):
        assert (await start(data_dir=folder)).startswith("DATA_DIR: ")


async def test_an_embedded_mongodb_whose_files_are_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "mongodb"
    folder.mkdir()
    for name in ("WiredTiger", "WiredTiger.wt", "storage.bson"):
        (folder / name).write_text("garbage")
    line = await start(data_dir=tmp_path)
    assert line.startswith("DATA_DIR: the embedded MongoDB did not start: ")
    assert "mongod.log" in line


async def test_no_embedded_mongodb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(common.mongo.embedded.importlib.util, "find_spec", missing)
    assert (await start(data_dir=tmp_path)).startswith("MONGODB_ENDPOINT: there is no embedded MongoDB")


KUBECONFIGS = {
    "a text": "hunter2",
    "a list": "[hunter2]",
    "not YAML": "a: [hunter2",
    "no text": b"\xff\xfe\x00hunter2",
    "no cluster": json.dumps({"apiVersion": "v1", "kind": "Config", "token": "hunter2"}),
    "lists": json.dumps({"current-context": "c", "contexts": "hunter2", "clusters": {}, "users": 5}),
}


@pytest.mark.parametrize("kind", list(KUBECONFIGS))
async def test_a_kubeconfig_that_is_none(tmp_path: Path, kind: str) -> None:
    path, content = tmp_path / "config", KUBECONFIGS[kind]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = await start(data_dir=tmp_path / "data", kubeconfig=str(path))
    assert line.startswith("KUBECONFIG: ")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kubeconfig", "/none"),
        ("kubeconfig", "~nobody-of-this-name/config"),
        ("kubeconfig", "/" + "a" * 1000),
        ("kubernetes_in_cluster", True),
        ("spark_application_template", "/none"),
        ("spark_application_template", "/"),
        ("spark_application_template", "{template}"),
        ("listener_jar", "/none.jar"),
        ("listener_jar", f"file:///{'a' * 1000}.jar"),
        ("examples_location", "/none"),
        ("hdfs_ca_file", "/none"),
        ("hdfs_ca_file", "/etc/passwd"),
        ("hdfs_endpoint", "http://127.0.0.1:9"),
    ],
)
async def test_files_and_addresses(tmp_path: Path, setting: str, value: Any) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("spec:\n  image: [\n  never: closed\n")
    if isinstance(value, str):
        value = value.replace("{template}", str(template))
    if setting == "hdfs_ca_file":
        line = await start(
            data_dir=tmp_path / "data", hdfs_endpoint="https://127.0.0.1:9", hdfs_ca_file=value
        )
    else:
        line = await start(data_dir=tmp_path / "data", **{setting: value})
    assert line.startswith(f"{setting.upper()}: ")


async def test_a_user_of_mongodb_that_may_only_read(tmp_path: Path) -> None:
    """Found out when the first index is created."""
    refusal = OperationFailure("not authorized", 13, {"codeName": "Unauthorized"})
    assert list(reasons(refusal)) == ["MONGODB_ENDPOINT: MongoDB refuses what the start needs: Unauthorized"]
    assert list(reasons(ServerSelectionTimeoutError("mongodb://u:hunter2@h"))) == [
        "MONGODB_ENDPOINT: MongoDB failed meanwhile: ServerSelectionTimeoutError"
    ]


async def test_a_secondary_is_refused(tmp_path: Path) -> None:
    """Of a set whose member is named directly, and takes no writes."""
    async with embedded_mongod(tmp_path / "other") as uri:
        client: Client = AsyncMongoClient(uri)
        await client.admin.command("replSetStepDown", 60, force=True)
        await client.close()
        direct = uri.partition("/?")[0] + "/?directConnection=true"
        line = await start(data_dir=tmp_path / "data", mongodb_endpoint=direct, mongodb_timeout_seconds=5)
    assert line.startswith("MONGODB_ENDPOINT: ")
    assert "primary" in line


def test_what_nobody_thought_of_is_a_line_too() -> None:
    assert list(reasons(RuntimeError("hunter2\nhunter2"))) == [
        "unexpected: RuntimeError; LOGGING_LEVEL=DEBUG shows where it comes from"
    ]
    [line] = reasons(StartError("SETTING: several\n  lines " + "x" * 5000))
    assert line.startswith("SETTING: several lines x")
    assert len(line) <= 1000


def test_the_embedded_mongodb_is_here() -> None:
    command = [str(mongod_binary()), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("db version v")
