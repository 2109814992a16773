"""What the tests of submission share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
import yaml

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.group import PROJECT_ROOT
from common.wire.specs import ApplicationSpecs
from submission.idempotency import SubmissionLedger
from submission.local.runner import LOCAL
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions, bundled_examples
from submission.runners import Runner
from submission.service import SubmissionService
from tests.samples import specs
from tests.submission.doubles import FixedChooser, NotingRunner, rescales

CRD = PROJECT_ROOT.parent / "shared" / "crd" / "sparkoperator.k8s.io_sparkapplications.yaml"


class Recorder:
    """Keeps states as the repository does: a final one is never left again."""

    def __init__(self) -> None:
        self.changes: dict[str, list[tuple[ApplicationState, str]]] = {}
        self.fields: dict[str, dict[str, Any]] = {}

    async def __call__(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        changes = self.changes.setdefault(application_execution_id, [])
        if changes and (changes[-1][0].is_final or changes[-1][0] == state):
            return False
        changes.append((state, reason))
        self.fields.setdefault(application_execution_id, {}).update(fields or {})
        return True

    def states(self, execution_id: str) -> list[str]:
        return [state.value for state, _ in self.changes.get(execution_id, [])]

    def latest(self, execution_id: str) -> tuple[ApplicationState, str]:
        return self.changes[execution_id][-1]


def structural(schema: Any) -> Any:
    """An OpenAPI v3 schema as a closed JSON schema: what an API server would prune is an error here."""
    if isinstance(schema, list):
        return [structural(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {key: structural(value) for key, value in schema.items() if not key.startswith("x-kubernetes")}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and "properties" in schema and not open_ended:
        closed["additionalProperties"] = False
    return closed


@pytest.fixture(scope="session")
def crd() -> jsonschema.Draft202012Validator:
    """Of a SparkApplication, its metadata aside."""
    if not CRD.exists():
        pytest.skip(f"the CRD of the spark-operator is not at {CRD}")
    document = yaml.safe_load(CRD.read_text())
    schema = structural(document["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def runner(executions: ExecutionRepository) -> NotingRunner:
    return NotingRunner(executions.record_state)


@pytest.fixture
def chooser() -> FixedChooser:
    return FixedChooser()


OpenSubmissions = Callable[[Runner], SubmissionService]


@pytest_asyncio.fixture
async def open_submissions(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    chooser: FixedChooser,
    options: ManifestOptions,
) -> OpenSubmissions:
    """What each of several services on the database holds."""

    await SubmissionLedger(mongo, database, executions, key_seconds=3600).create_indexes()

    def open_(runner: Runner) -> SubmissionService:
        ledger = SubmissionLedger(mongo, database, executions, key_seconds=3600)
        return SubmissionService(executions, ledger, runner, chooser, options)

    return open_


@pytest.fixture
def submissions(open_submissions: OpenSubmissions, runner: NotingRunner) -> SubmissionService:
    return open_submissions(runner)


@pytest.fixture
def options() -> ManifestOptions:
    return ManifestOptions(
        callback_host="127.0.0.1",
        callback_port=5000,
        listener_jar="/opt/enel/enel-listener.jar",
        examples={"KMeans": "local:///opt/enel/examples/kmeans.py"},
        spark_version="4.1.4",
        platform=LOCAL,
    )


def request_specs(**global_specs: Any) -> ApplicationSpecs:
    template_values = global_specs.pop("spark_template_values", {})
    return ApplicationSpecs.model_validate(
        {**specs(**global_specs), "spark_template_values": template_values}
    )


def runnable_manifest(execution_id: str, program: Path | None = None, **global_specs: Any) -> Manifest:
    """A manifest for this machine that does without the plugin."""
    values = {} if program is None else {"main_application_file": str(program)}
    options = ManifestOptions(
        "127.0.0.1",
        5000,
        "/none.jar",
        examples=bundled_examples(PROJECT_ROOT / "examples"),
        platform=LOCAL,
    )
    wanted = request_specs(**{"max_scale_out": 2, "spark_template_values": values, **global_specs})
    manifest = build_manifest(wanted, execution_id, 1, options, rescales=rescales(wanted))
    manifest["spec"]["deps"]["jars"] = []
    del manifest["spec"]["sparkConf"]["spark.plugins"]
    return manifest
