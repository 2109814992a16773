"""Questions in a workspace go to Spark in parts that can be sent, and are no more than a driver holds."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from submission.serving.bulk import program
from submission.serving.bulk.answers import AnswerFile, BulkAnswers
from submission.serving.bulk.bundle import bundle
from submission.serving.bulk.program import (
    Question,
    answers_of,
    is_error,
    parts_of,
    question_of_image,
    question_of_line,
    write,
)
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


_ENDS = """
import os
def predict(x: int):
    if x == 13:
        os._exit(3)
    return {"error": "none, but a word of the answer"}
"""


class Lines(list[tuple[int, str]]):
    """Of one partition, as a driver reads them."""

    def toLocalIterator(self) -> "Lines":
        return self


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What executors are told of a model whose process 13 ends, where files are that Spark has sent."""
    (tmp_path / "bundle.zip").write_bytes(bundle({"predict.py": _ENDS.encode()}))
    monkeypatch.setattr(program.SparkFiles, "getRootDirectory", lambda: str(tmp_path))
    monkeypatch.setattr(program.SparkFiles, "get", lambda name: str(tmp_path / name))
    monkeypatch.setattr(sys, "path", list(sys.path))
    started: dict[str, program.Answering] = {}
    monkeypatch.setattr(program, "_answering", started)
    yield {
        "signature": {"inputs": {"x": "int"}},
        "kind": "python",
        "file": "predict.py",
        "threads": 1,
        "memory_limit_bytes": 1 << 30,
        "load_limit_seconds": 30,
        "time_limit_seconds": 30,
        "batch_rows": 4,
    }
    for each in started.values():
        each._loop.run_until_complete(each._model.close())
        each._loop.close()


def test_a_row_that_ends_the_process_is_an_error_of_its_line_beside_invalid_ones(
    said: dict[str, Any], tmp_path: Path
) -> None:
    rows = ['{"x": "no"}', '{"x": 13}', "no JSON", '{"y": 1}', '{"x": 1}', '{"x": 13}', '{"x": 2}', "3"]
    lines = Lines(answers_of(enumerate(map(question_of_line, rows)), said))
    found = [json.loads(line) for _, line in lines]
    assert [each["row"] for each in found] == list(range(8))
    assert ["error" in each for each in found] == [True] * 4 + [False, True, False, True]
    assert "exit code 3" in found[1]["error"]
    assert found[0]["error"].startswith("x must be an integer")
    assert write(lines, tmp_path / "answers.jsonl", 8) == {"rows": 8, "errors": 6}


def test_an_answer_that_holds_an_error_is_none() -> None:
    assert is_error(12, json.dumps({"row": 12, "error": "no"}))
    assert not is_error(12, json.dumps({"row": 12, "answer": {"error": "no"}}))
    assert not is_error(12, json.dumps({"row": 12, "answer": "error"}))


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
