"""What people have said of predictions, from the database to the folder that a program is given."""

import io
import json
from pathlib import Path

from common.mongo.types import Client
from prediction.inference.records.documents import Feedback, PredictionRecord, StoredFile, Verdict
from prediction.inference.records.repository import PredictionRepository
from submission.launcher.files import unpack_until
from submission.programs.feedback import FEEDBACK_FILE, feedback_files
from submission.programs.tasks import tar_of

MODEL = "spark.cats.program"


async def test_what_was_said_is_there_with_its_pictures(mongo: Client, database: str, tmp_path: Path) -> None:
    records = PredictionRepository(mongo, database)
    for number, verdict in enumerate((Verdict.RIGHT, Verdict.WRONG, None)):
        picture = StoredFile(field="image", content=b"\x89PNG" + bytes([number]) * 300_000)
        await records.insert(
            [PredictionRecord(id=f"p-{number}", model=MODEL, version=1, files=[picture], label="cat")]
        )
        if verdict is not None:
            await records.give_feedback(MODEL, f"p-{number}", Feedback(verdict=verdict))
    content = b"".join([piece async for piece in tar_of(feedback_files(records, MODEL, 100))])
    unpack_until(io.BytesIO(content), tmp_path, FEEDBACK_FILE)
    lines = [json.loads(line) for line in (tmp_path / FEEDBACK_FILE).read_text().splitlines()]
    assert [(line["prediction_id"], line["right_label"]) for line in lines] == [("p-1", None), ("p-0", "cat")]
    for line in lines:
        assert (tmp_path / line["files"]["image"]).stat().st_size == 300_004
