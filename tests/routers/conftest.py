"""A model of a test's own in the service, and one that is really trained."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest
import pytest_asyncio
import torch

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.finished_runs import store_history
from tests.support.samples import unique_name
from tests.support.served_model import Registered
from training.history.from_documents import to_run_record
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import pretrain


@pytest.fixture
def model(service: httpx.AsyncClient, mongo: Client) -> Registered:
    return Registered(service, mongo)


@pytest_asyncio.fixture(scope="module")
async def trained(service: httpx.AsyncClient, mongo: Client) -> Mapping[str, bytes]:
    """Files of a real model, small and quickly trained."""
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    algorithm_name = unique_name("Learned")
    await store_history(executions, algorithm_name)
    found = await executions.finished_runs("spark", algorithm_name, 9)
    history = [to_run_record(run, jobs) for run, jobs in found]
    torch.set_num_threads(1)  # several threads on small tensors only wait for each other
    fitted = await asyncio.to_thread(pretrain, history, Hyperparameters(), max_epochs=20, seed=0)
    return fitted.to_files()
