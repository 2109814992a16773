"""The whole API is asked for what its OpenAPI allows, and for more, by every role: it answers as it says."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.support.kubernetes_api import kubernetes_api
from common.access.repository import AccessTokenRepository
from common.access.tokens import Tokens
from common.auth import Role
from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.wire.specs import ProgramSpec
from common.workspaces.documents import Quota, Workspace
from common.workspaces.repository import WorkspaceRepository
from common.workspaces.workspaces import Workspaces
from prediction.inference.records.documents import PredictionRecord, StoredFile
from prediction.inference.records.repository import PredictionRepository
from submission.environments.repository import EnvironmentRepository
from submission.pipelines.repository import PipelineRepository
from tests.support.environments import failed_environment
from tests.support.finished_runs import store_finished_runs
from tests.support.pipelines import pipeline_run
from tests.support.registered import publish
from tests.support.routes import ROUTES
from tests.support.samples import execution, unique_name
from tests.support.services import started_service
from tests.support.tokens import ADMIN_TOKEN
from training.runs.repository import TrainingRunRepository

pytestmark = pytest.mark.service

REQUESTS, FEWER_REQUESTS, MANY_REQUESTS = 5, 2, 300
"""Of each route; fewer by those who may nothing but what an administrator may, too."""

MANY = "1000000"

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class Service:
    """A service with something of everything, and a token of every role."""

    url: str
    tokens: Mapping[Role | None, str]
    known: Mapping[str, Any]
    """Path parameter to what there is."""
    running: str
    """The application execution that the listener reports of."""


@pytest_asyncio.fixture(scope="module")
async def service(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder, database = tmp_path_factory.mktemp("openapi"), unique_name("openapi")
    with kubernetes_api() as api:
        environment = {
            "MONGODB_ENDPOINT": mongo_uri,
            "MONGODB_DATABASE": database,
            "KUBERNETES_ENDPOINT": api.url,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            # A flood is what this is.
            **dict.fromkeys(("REQUESTS_PER_MINUTE", "WRONG_TOKENS_PER_MINUTE"), MANY),
        }
        async with started_service(folder, **environment) as process:
            yield await _filled(process.url, folder, mongo, database)


async def _filled(url: str, data_dir: Path, mongo: Client, database: str) -> Service:
    executions = ExecutionRepository(mongo, database)
    # Of an algorithm that nothing here asks to train: that would take its time.
    await store_finished_runs(executions, "Untrained", [2, 4])
    [run, _] = await executions.newest()
    running = execution()
    version = await publish(
        ModelRegistry(mongo, database), FolderStore(data_dir / "elsewhere")
    )  # of no use as a model
    training = await TrainingRunRepository(mongo, database).enqueue(
        system_name="spark",
        algorithm_name="KMeans",
        model_name="onlinepredictor",
        experiment_name="x",
        trials=1,
    )
    served = await publish(
        ModelRegistry(mongo, database),
        FolderStore(data_dir / "elsewhere"),
        kind="program",
        algorithm_name="Served",
    )
    prediction = PredictionRecord(
        id="p-known", model=served.name, version=1, files=[StoredFile(field="image", content=b"\x89PNG")]
    )
    predictions = PredictionRepository(mongo, database)
    await predictions.create_indexes()
    await predictions.insert([prediction])
    quota = Quota(files=100, size_bytes=1 << 20, file_bytes=1 << 20)
    workspaces = Workspaces(WorkspaceRepository(mongo, database, quota), FolderStore(data_dir / "models"))
    await workspaces.stored.create(Workspace(name="known", owner="a submitter"))
    await workspaces.put("known", "a/b", b"1", "a submitter")
    snapshot = await workspaces.take_snapshot("known", "a submitter")
    running.program, running.snapshot_id = ProgramSpec(workspace="known", file="a/b"), snapshot.id
    await executions.insert(running)
    pipeline = await PipelineRepository(mongo, database).insert(pipeline_run(running.id))
    environment = await failed_environment(EnvironmentRepository(mongo, database))
    tokens = Tokens(AccessTokenRepository(mongo, database), executions.ended_at)
    made = {role: await tokens.issue(f"a {role}", role, by=None) for role in Role if role != Role.LISTENER}
    return Service(
        url,
        {
            None: "",
            **{role: str(text) for role, (_, text) in made.items()},
            Role.LISTENER: str(await tokens.issue_for_listener(running.id)),
        },
        {
            "application_execution_id": run.id,
            "run_id": training.id,
            "environment_id": environment.id,
            "base_name": "kmeans",
            "name": version.name,
            "version": version.version,
            "alias": "champion",
            "workspace": "known",
            "user": "known",
            "path": "a/b",
            "model": served.name,
            "prediction_id": prediction.id,
            "field": "image",
            "snapshot_id": snapshot.id,
            "pipeline_run_id": pipeline.id,
            "sha256": "0" * 64,
            "token_id": made[Role.READER][0].id,
        },
        running.id,
    )


@pytest.fixture(scope="module")
def operations(service: Service) -> list[Any]:
    """Of the API; what is deleted first is not there for the others, so that comes last."""
    schema = schemathesis.openapi.from_dict(without_tuples(httpx.get(f"{service.url}/openapi.json").json()))
    schema.config.update(base_url=service.url)
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    return sorted(found, key=lambda operation: operation.method.upper() == "DELETE")


@pytest.mark.parametrize("role", [None, *Role])
def test_every_answer_is_one_that_was_announced(
    service: Service, operations: list[Any], role: Role | None
) -> None:
    requests = REQUESTS if role in (Role.ADMIN, Role.LISTENER) else FEWER_REQUESTS
    # The same requests for who looks for a fault.
    check_answers(service, operations, role, requests, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_answer_to_many_requests_is_one_that_was_announced(
    service: Service, operations: list[Any]
) -> None:
    check_answers(service, operations, Role.ADMIN, MANY_REQUESTS, derandomize=False)


def check_answers(
    service: Service, operations: list[Any], role: Role | None, requests: int, *, derandomize: bool
) -> None:
    answers: dict[tuple[str, str], Counter[int]] = {}
    for operation in operations:
        counted = answers[operation.method.upper(), operation.path] = Counter()
        ask(operation, service, service.tokens[role], counted, requests, derandomize)
    for route, (needed, _) in ROUTES.items():
        if needed is not None and (role is None or needed not in role.permissions):
            assert set(answers[route]) <= {401 if role is None else 403, 415, 404}, route
    assert set(answers) == set(ROUTES)


def without_tuples(schema: Any) -> Any:
    """The schema with lists of anything for its tuples, which Schemathesis 4.32.5 takes to be invalid."""
    if isinstance(schema, list):
        return [without_tuples(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_tuples(value) for name, value in schema.items() if name != "prefixItems"}


def ask(
    operation: Any,
    service: Service,
    token: str,
    counted: Counter[int],
    requests: int,
    derandomize: bool,
) -> None:
    """Requests as the schema describes them, and others; some of them for what there is."""

    @given(case=operation.as_strategy(), is_known=st.booleans())
    @settings(
        max_examples=requests,
        derandomize=derandomize,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    def check(case: Any, is_known: bool) -> None:
        if is_known:
            case.path_parameters = {name: service.known[name] for name in case.path_parameters or {}}
            if "/training/program_runs/" in operation.path:
                case.path_parameters["application_execution_id"] = service.running
            if isinstance(case.body, dict) and "application_execution_id" in case.body:
                case.body["application_execution_id"] = service.running
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = case.call(headers=headers, timeout=120)
        counted[answer.status_code] += 1
        case.validate_response(answer, checks=_CHECKS)

    check()
