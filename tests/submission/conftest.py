"""What the tests of submission share."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
import yaml

from benchmarks.support.kubernetes_schema import APACHE_CRD, CRD, stored_version
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.mongo.types import Client
from submission.idempotency import SubmissionLedger
from submission.local.runner import LOCAL
from submission.manifest.options import ManifestOptions
from submission.other_runners import OtherRunners
from submission.runners import Runner
from submission.service import SubmissionService
from tests.support.doubles import FixedChooser, NotingRunner, OpenSubmissions


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
    return _validator(CRD)


@pytest.fixture(scope="session")
def apache_crd() -> jsonschema.Draft202012Validator:
    """The same of Apache's operator."""
    return _validator(APACHE_CRD)


def _validator(crd: Path) -> jsonschema.Draft202012Validator:
    if not crd.exists():
        pytest.skip(f"the CRD of the spark-operator is not at {crd}")
    document = yaml.load(crd.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema = structural(stored_version(document)["schema"]["openAPIV3Schema"])
    # An API server knows these whatever a schema says.
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def runner(executions: ExecutionRepository) -> NotingRunner:
    return NotingRunner(executions.record_state)


@pytest.fixture
def chooser() -> FixedChooser:
    return FixedChooser()


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
        others = OtherRunners(mongo, database, executions, runner, f"http://service-of-{runner.name}")
        return SubmissionService(
            executions, ledger, runner, others, chooser, options, instruments=Instruments()
        )

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
