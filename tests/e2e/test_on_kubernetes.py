"""The whole service with applications on Kubernetes, whose API server is a double."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from asgi_lifespan import LifespanManager

from app.client.answers import ApplicationDetails
from app.client.client import AsyncClient
from app.client.problems import ProblemError
from app.factory import create_app
from benchmarks.support.kubernetes_api import KubernetesApi, kubernetes_api
from benchmarks.support.kubernetes_schema import APACHE_CRD, crd_schema
from common.errors import StartError
from common.settings.settings import Settings
from submission.kubernetes.apache.dialect import APACHE
from tests.support.apache_operator import FakeApacheOperator
from tests.support.on_kubernetes import connected
from tests.support.samples import specs, unique_name
from tests.support.services import started_service
from tests.support.spark_operator import FakeOperator

BODY = {
    **specs(),
    "spark_template_values": {"main_application_file": "local:///opt/enel/kmeans.py"},
    "initial_scale_out_policy": "requested",
}


@dataclass
class Service:
    client: AsyncClient
    api: KubernetesApi
    operator: FakeOperator

    async def submit(self) -> tuple[str, str]:
        """Id and resource name."""
        answer = await self.client.submit(BODY)
        return answer["db_entry"]["_id"], answer["k8s_api_response"]["metadata"]["name"]

    async def until(self, execution_id: str, state: str) -> ApplicationDetails:
        while True:
            application = await self.client.application(execution_id)
            if application["state"] == state:
                return application


def settings_for(mongo_uri: str, data_dir: Path, endpoint: str) -> Settings:
    settings = Settings()
    settings.mongo.mongodb_endpoint = mongo_uri
    settings.mongo.mongodb_database = unique_name("service")
    settings.server.data_dir = data_dir
    settings.kubernetes.kubernetes_endpoint = endpoint
    return settings


@asynccontextmanager
async def started(settings: Settings, api: KubernetesApi) -> AsyncIterator[Service]:
    is_apache = settings.kubernetes.spark_operator == "apache"
    async with (
        LifespanManager(create_app(settings), startup_timeout=60, shutdown_timeout=60) as manager,
        AsyncClient("http://127.0.0.1", transport=httpx.ASGITransport(app=manager.app)) as client,
        connected(api.url) as kubernetes,
    ):
        operator = FakeApacheOperator if is_apache else FakeOperator
        yield Service(client, api, operator(kubernetes, api=api))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    with kubernetes_api() as api:
        settings = settings_for(mongo_uri, tmp_path_factory.mktemp("service"), api.url)
        async with started(settings, api) as service:
            yield service


async def test_submitted_followed_and_read(service: Service) -> None:
    execution_id, name = await service.submit()
    assert service.api.names() == [name]
    await service.operator.run(name)
    await service.operator.end(name)
    ended = await service.until(execution_id, "COMPLETED")
    states = [change["state"] for change in ended["state_changes"]]
    assert states == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]
    assert await service.client.log(execution_id) == "awake\ndone\n"


async def test_by_apaches_operator(mongo_uri: str, tmp_path: Path) -> None:
    schema = crd_schema(APACHE_CRD)
    with kubernetes_api(group=APACHE.group, version=APACHE.version, schema=schema) as api:
        settings = settings_for(mongo_uri, tmp_path, api.url)
        settings.kubernetes.spark_operator = "apache"
        async with started(settings, api) as service:
            shown = await service.client.submit(BODY, dry_run=True)
            assert shown["k8s_api_response"]["resource"]["apiVersion"] == "spark.apache.org/v1"
            execution_id, name = await service.submit()
            await service.operator.run(name)
            await service.operator.end(name)
            ended = await service.until(execution_id, "COMPLETED")
            states = [change["state"] for change in ended["state_changes"]]
            assert states == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]
            assert ended["runner"] == "kubernetes-apache"
            assert await service.client.log(execution_id) == "awake\ndone\n"


async def test_killed(service: Service) -> None:
    execution_id, name = await service.submit()
    await service.operator.run(name)
    assert (await service.client.kill(execution_id))["state"] == "KILLED"
    assert name not in service.api.names()


async def test_refused_before_anything_is_stored(service: Service) -> None:
    service.api.forbidden = {("create", "sparkapplications")}
    try:
        body = {
            **BODY,
            **specs(experiment_name="refused"),
            "spark_template_values": BODY["spark_template_values"],
        }
        with pytest.raises(ProblemError) as refused:
            await service.client.submit(body)
    finally:
        service.api.forbidden = set()
    assert refused.value.status == 503
    assert refused.value.title == "Kubernetes gives the service no permission"
    assert "create sparkapplications.sparkoperator.k8s.io" in refused.value.detail
    assert (await service.client.applications(experiment_name="refused"))["items"] == []


async def test_ready_without_kubernetes(service: Service) -> None:
    """Everything but submissions goes on: learning, and steering what runs."""
    service.api.fail(drop="before", times=1000)
    try:
        assert (await service.client.http.get("/readyz")).status_code == 200
    finally:
        service.api.faults.clear()


async def test_no_start_without_permissions(mongo_uri: str, tmp_path: Path) -> None:
    with kubernetes_api(forbidden={("list", "sparkapplications")}) as api:
        app = create_app(settings_for(mongo_uri, tmp_path, api.url))
        with pytest.raises(StartError, match="may not list sparkapplications"):
            async with LifespanManager(app, startup_timeout=60):
                pass


@pytest.mark.service
async def test_killed_between_creating_and_hearing_of_it(tmp_path: Path) -> None:
    """The resource is there, but nobody was told, and the service is gone."""
    with kubernetes_api() as api:
        environment = {"KUBERNETES_ENDPOINT": api.url, "KUBERNETES_TIMEOUT_SECONDS": "60"}
        async with started_service(tmp_path, **environment) as first:
            api.fail(method="POST", delay_seconds=0.0)  # the dry run before it
            api.fail(method="POST", delay_seconds=60.0, is_effective_late=True)
            async with AsyncClient(first.url, timeout_seconds=100) as client:
                submitting = asyncio.ensure_future(client.submit(BODY))
                while not api.names():
                    await asyncio.sleep(0.05)
                await first.kill()
                with pytest.raises(httpx.TransportError):
                    await submitting
        async with (
            started_service(tmp_path, **environment) as second,
            AsyncClient(second.url, timeout_seconds=100) as client,
            connected(api.url) as kubernetes,
        ):
            service = Service(client, api, FakeOperator(kubernetes, api=api))
            [name] = api.names()
            [stored] = (await client.applications())["items"]
            await service.until(stored["_id"], "PENDING")
            await service.operator.run(name)
            await service.operator.end(name)
            await service.until(stored["_id"], "COMPLETED")
            assert api.names() == [name]
