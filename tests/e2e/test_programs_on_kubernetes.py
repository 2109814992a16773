"""Programs whose drivers run elsewhere: their launchers talk to the service, whatever happens to either."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from benchmarks.support.kubernetes_api import KubernetesApi, kubernetes_api
from common.processes.guarded import free_port
from common.settings.group import PROJECT_ROOT
from tests.support.on_kubernetes import connected
from tests.support.programs import ProgramClient
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.spark_operator import FakeOperator
from tests.support.tokens import ADMIN_TOKEN, bearer

pytestmark = pytest.mark.service

LAUNCHER = PROJECT_ROOT / "submission" / "launcher" / "launch.py"

LEAVES = """
import json, os, pathlib, sys, time
output = pathlib.Path(os.environ["ENEL_OUTPUT_DIR"])
assert "ENEL_CALLBACK_TOKEN" not in os.environ, "that is the launcher's"
with open(os.environ["ENEL_PROGRESS_FILE"], "a") as progress:
    progress.write(json.dumps({"progress": 0.5}) + "\\n")
while sys.argv[1:] and not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
(output / "model.bin").write_bytes(os.urandom(20_000_000))
(output / "metrics.json").write_text('{"accuracy": 0.9}')
"""


@dataclass
class Driver:
    """A launcher as a pod would run it."""

    process: subprocess.Popen[bytes]
    folder: Path

    async def until_its_program_runs(self) -> None:
        async with asyncio.timeout(60):
            while not (self.folder / "program" / "progress.jsonl").exists():
                await asyncio.sleep(0.05)

    async def ended(self) -> tuple[int, str]:
        out, _ = await asyncio.to_thread(self.process.communicate)
        return self.process.returncode, out.decode()


@dataclass
class Elsewhere:
    """A service whose applications run on Kubernetes, and what an operator would do for one."""

    programs: ProgramClient
    api: KubernetesApi
    operator: FakeOperator
    folder: Path
    workspace: str = "team"

    async def start(self, **body: Any) -> tuple[dict[str, Any], str]:
        """A run that the operator has taken up, and its resource's name."""
        run = await self.programs.start(self.workspace, **body)
        [name] = [each for each in self.api.names() if each.endswith(run["id"])]
        await self.operator.run(name)
        return run, name

    def token(self, name: str) -> str:
        """What the Secret holds that the manifest refers to."""
        spec = self.api.resources["sparkapplications", "default", name]["spec"]
        reference = spec["driver"]["envSecretKeyRefs"]["ENEL_CALLBACK_TOKEN"]
        secret = self.api.resources["secrets", "default", reference["name"]]
        if "stringData" in secret:
            return str(secret["stringData"][reference["key"]])
        return base64.b64decode(secret["data"][reference["key"]]).decode()

    def driver(self, name: str, token: str | None = None) -> Driver:
        """Start the manifest's main file with its arguments, and with the token of its Secret."""
        spec = self.api.resources["sparkapplications", "default", name]["spec"]
        assert spec["mainApplicationFile"].endswith("submission/launcher/launch.py")
        own = self.token(name)
        assert own not in json.dumps(spec)
        folder = self.folder / f"driver-{unique_name('of')}"
        folder.mkdir()
        environment = {"PATH": os.environ["PATH"], "ENEL_CALLBACK_TOKEN": own if token is None else token}
        process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), *spec["arguments"]],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return Driver(process, folder)


@asynccontextmanager
async def elsewhere(
    folder: Path, api: KubernetesApi, **environment: str
) -> AsyncIterator[tuple[Any, Elsewhere]]:
    settings = {"KUBERNETES_ENDPOINT": api.url, "ADMIN_TOKEN": ADMIN_TOKEN, **environment}
    async with (
        started_service(folder, **settings) as service,
        httpx.AsyncClient(base_url=service.url, timeout=60, headers=bearer(ADMIN_TOKEN)) as client,
        connected(api.url) as kubernetes,
    ):
        programs = ProgramClient(client)
        await programs.put("team", {"train.py": LEAVES})
        yield service, Elsewhere(programs, api, FakeOperator(kubernetes, api=api), folder)


@pytest_asyncio.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Elsewhere]:
    """For tests that neither end the service nor take anything away from it."""
    with kubernetes_api() as api:
        async with elsewhere(tmp_path_factory.mktemp("elsewhere"), api) as (_, opened):
            yield opened


@pytest_asyncio.fixture
async def there(shared: Elsewhere) -> Elsewhere:
    """The same, with a workspace of the test's own."""
    name = unique_name("team").replace("_", "-")
    await shared.programs.put(name, {"train.py": LEAVES})
    return replace(shared, workspace=name)


async def test_a_version_needs_all_of_the_output_and_a_good_end(there: Elsewhere) -> None:
    run, name = await there.start()
    code, log = await there.driver(name).ended()
    assert code == 0, log
    details = await there.programs.details(run)
    assert (details["state"], details["version"], details["exit_code"]) == ("RUNNING", None, 0)
    await there.operator.end(name)
    ended = await there.programs.ended(run)
    assert (ended["state"], ended["version"]) == ("COMPLETED", 1)

    failed, name = await there.start()
    assert (await there.driver(name).ended())[0] == 0
    await there.operator.end(name, "FAILED", "evicted")
    told = await there.programs.heard(failed, lambda found: bool(found["publishing_detail"]))
    assert (told["state"], told["version"]) == ("FAILED", None)
    assert len(await there.programs.versions(run["model"])) == 1


async def test_a_launcher_shows_the_token_of_its_own_execution(there: Elsewhere) -> None:
    run, name = await there.start()
    code, log = await there.driver(name, token="").ended()
    assert (code, "401" in log) == (69, True), log
    other, its_name = await there.start()
    code, log = await there.driver(name, token=there.token(its_name)).ended()
    assert (code, "403" in log) == (69, True), log
    assert other["id"] != run["id"]


async def test_a_service_that_dies_costs_no_run(tmp_path: Path) -> None:
    """The program, too, ends while nobody is there to be told."""
    port, go_on = str(free_port()), tmp_path / "go-on"
    with kubernetes_api() as api:
        async with elsewhere(tmp_path, api, PORT=port) as (service, there):
            run, name = await there.start(arguments=[str(go_on)])
            driver = there.driver(name)
            await there.programs.heard(run, lambda found: found["progress"] == 0.5)
            await service.kill()
        go_on.touch()
        async with elsewhere(tmp_path, api, PORT=port) as (_, again):
            code, log = await driver.ended()
            assert code == 0, log
            await again.operator.end(name)
            ended = await again.programs.ended(run)
            assert ended["version"] == 1
            assert len(await again.programs.versions(run["model"])) == 1


async def test_of_two_starts_of_a_driver_the_later_one_counts(there: Elsewhere, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    run, name = await there.start(arguments=[str(go_on)])
    first = there.driver(name)
    await there.programs.heard(run, lambda found: found["progress"] == 0.5)
    second = there.driver(name)
    await second.until_its_program_runs()
    go_on.touch()
    code, log = await first.ended()
    assert code != 0, log
    assert "was followed by start 2" in log
    code, log = await second.ended()
    assert code == 0, log
    await there.operator.end(name)
    assert (await there.programs.ended(run))["version"] == 1


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    store, go_on = tmp_path / "models", tmp_path / "go-on"
    with kubernetes_api() as api:
        async with elsewhere(tmp_path, api) as (_, there):
            run, name = await there.start(arguments=[str(go_on)])
            driver = there.driver(name)
            await there.programs.heard(run, lambda found: found["progress"] == 0.5)
            store.rename(tmp_path / "elsewhere")
            store.write_text("A file, where the folder should be.")
            go_on.touch()
            await asyncio.sleep(3)
            assert driver.process.poll() is None
            assert (await there.programs.details(run))["output"] == []
            store.unlink()
            (tmp_path / "elsewhere").rename(store)
            code, log = await driver.ended()
            assert code == 0, log
            store.rename(tmp_path / "elsewhere")
            store.write_text("Again.")
            await there.operator.end(name)
            await asyncio.sleep(3)
            assert (await there.programs.details(run))["version"] is None
            store.unlink()
            (tmp_path / "elsewhere").rename(store)
            assert (await there.programs.ended(run))["version"] == 1
