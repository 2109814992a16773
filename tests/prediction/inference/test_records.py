"""What is remembered of predictions, in a real MongoDB."""

import pytest

from common.errors import Conflict
from common.mongo.types import Client
from prediction.inference.records.documents import Feedback, PredictionRecord, Role, StoredFile, Verdict
from prediction.inference.records.repository import PredictionNotFound, PredictionRepository

CATS, DOGS = "spark.cats.program", "spark.dogs.program"


async def records_in(mongo: Client, database: str) -> PredictionRepository:
    records = PredictionRepository(mongo, database)
    await records.create_indexes()
    return records


def prediction(number: int, model: str = CATS, **fields: object) -> PredictionRecord:
    picture = StoredFile(field="image", content=b"p" * 1000)
    fields = {"version": 1, "files": [picture], "label": "cat", **fields}
    return PredictionRecord.model_validate({"_id": f"p-{number}", "model": model, **fields})


async def test_the_latest_word_counts_and_none_twice(mongo: Client, database: str) -> None:
    records = await records_in(mongo, database)
    await records.insert([prediction(0), prediction(1), prediction(2, version=2), prediction(3, DOGS)])
    for number, verdicts in {0: "right right wrong", 1: "right", 2: "wrong"}.items():
        for verdict in verdicts.split():
            said = await records.give_feedback(CATS, f"p-{number}", Feedback(verdict=Verdict(verdict)))
            assert said.feedback is not None
            assert (said.feedback.verdict, said.label, said.files) == (verdict, "cat", [])
    await records.give_feedback(DOGS, "p-3", Feedback(verdict=Verdict.RIGHT))
    found = await records.figures(CATS)
    assert [(each.version, each.role, each.right, each.wrong) for each in found] == [
        (2, Role.PRIMARY, 0, 1),
        (1, Role.PRIMARY, 1, 1),
    ]
    together = {(each.model, each.version): each.right for each in await records.figures_of([CATS, DOGS])}
    assert together == {(CATS, 1): 1, (CATS, 2): 0, (DOGS, 1): 1}


async def test_what_cannot_be_judged(mongo: Client, database: str) -> None:
    records = await records_in(mongo, database)
    await records.insert([prediction(0), prediction(1, shadow_of="p-0", role=Role.SHADOW)])
    right = Feedback(verdict=Verdict.RIGHT)
    with pytest.raises(PredictionNotFound):
        await records.give_feedback(CATS, "p-none", right)
    with pytest.raises(Conflict, match="is of 'spark\\.cats\\.program'"):
        await records.give_feedback(DOGS, "p-0", right)
    with pytest.raises(Conflict):
        await records.give_feedback(CATS, "p-1", right)
    assert await records.figures(CATS) == []


async def test_words_are_counted_without_reading_documents(mongo: Client, database: str) -> None:
    records = await records_in(mongo, database)
    await records.insert([prediction(number) for number in range(10)])
    for number in range(10):
        await records.give_feedback(CATS, f"p-{number}", Feedback(verdict=Verdict.RIGHT))
    profile = mongo[database]["system.profile"]
    await mongo[database].command("profile", 2)
    try:
        await records.figures(CATS)
    finally:
        await mongo[database].command("profile", 0)
    counted = await profile.find_one({"op": "command", "command.aggregate": "prediction"})
    assert counted is not None
    assert (counted["docsExamined"], counted["keysExamined"] >= 10) == (0, True)
