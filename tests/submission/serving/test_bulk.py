"""Questions in a workspace go to Spark in parts that can be sent, and are no more than a driver holds."""

from pathlib import Path

import pytest

from common.auth import Principal, Role
from common.errors import InvalidRequest
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ProgramOrigin
from common.mongo.types import Client
from common.workspaces.documents import Workspace
from common.workspaces.repository import Quota, WorkspaceRepository
from common.workspaces.workspaces import Workspaces
from prediction.inference.served.documents import ServingOptions
from submission.serving.bulk.answers import AnswerFile, BulkAnswers
from submission.serving.bulk.program import Question, parts_of, question_of_image, question_of_line
from tests.support.registered import publish
from tests.support.samples import unique_name


@pytest.mark.parametrize(
    ("questions", "parts"),
    [
        ([], 1),
        ([question_of_line('{"x": 1}')], 1),
        ([question_of_line('{"x": 1}')] * 100, 4),
        ([question_of_image(bytes(1000))] * 100, 4),
        ([question_of_image(bytes(16 << 20))] * 20, 10),
        ([question_of_image(bytes(40 << 20))] * 6, 6),
    ],
)
def test_no_part_is_larger_than_what_spark_sends(questions: list[Question], parts: int) -> None:
    assert parts_of(questions, 4) == parts


async def test_more_than_a_driver_holds_is_refused(mongo: Client, tmp_path: Path) -> None:
    database, store = unique_name("bulk"), FolderStore(tmp_path)
    registry = ModelRegistry(mongo, database)
    quota = Quota(files=10, size_bytes=1 << 20, file_bytes=1 << 20)
    workspaces = Workspaces(WorkspaceRepository(mongo, database, quota), store)
    await workspaces.stored.create(Workspace(name="team", owner="ada"))
    for name in ("a.png", "b.png"):
        await workspaces.put("team", f"images/{name}", bytes(600), "ada")
    origin = ProgramOrigin(workspace="team", folder=".", snapshot_id="s")
    version = await publish(registry, store, {"predict.py": b""}, kind="program", program=origin)
    model = await registry.get_model(version.name)
    ada = Principal("ada", Role.SUBMITTER.permissions, Role.SUBMITTER)
    bulk = BulkAnswers(workspaces, registry, store, python_is_there=True, most_bytes=1000)
    with pytest.raises(InvalidRequest, match=r"1,200 bytes, .* at most 1,000; .* by its URI"):
        await bulk.prepare(
            model, AnswerFile(workspace="team", input="images", output=None), ServingOptions(), ada
        )
    one = AnswerFile(workspace="team", input="images/a.png", output=None)
    assert (await bulk.prepare(model, one, ServingOptions(), ada)).snapshot_id
