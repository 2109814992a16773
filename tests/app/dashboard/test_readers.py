"""Pages offer readers nothing that they may not do."""

import re

import pytest

from common.auth import Role
from common.mongo.types import Client
from tests.support.samples import unique_name
from tests.support.tokens import guarded_service


async def test_a_reader_is_not_sent_to_submit(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pages = ("/overview/running", "/overview/week", "/schedules", "/trainings", "/applications")
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as guarded:
        reader, submitter = [
            await guarded.of(await guarded.new(unique_name("somebody"), role))
            for role in (Role.READER, Role.SUBMITTER)
        ]
        for page in pages:
            shown = await reader.get(f"/ui{page}")
            assert (shown.status_code, "/ui/submit" in shown.text) == (200, False), page
        for page in pages[:4]:
            shown = await submitter.get(f"/ui{page}")
            assert re.search("submit (an application|some)<", shown.text, re.IGNORECASE), page
