"""What people say of predictions, over the wire to the program that trains the model next."""

from pathlib import Path

import httpx
import pytest

from tests.support.images import file_of, grey
from tests.support.programs import ProgramClient
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel, bright_files

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(300)]

LEARNS = """
import json, os, pathlib
folder = pathlib.Path(os.environ["ENEL_FEEDBACK_DIR"])
lines = [json.loads(line) for line in (folder / "feedback.jsonl").read_text().splitlines()]
said = [[line["right_label"], (folder / line["files"]["image"]).stat().st_size] for line in lines]
pathlib.Path(os.environ["ENEL_OUTPUT_DIR"], "result.json").write_text(json.dumps({"said": said}))
"""


async def test_the_next_training_is_given_what_was_said(tmp_path: Path) -> None:
    async with (
        started_service(tmp_path) as service,
        httpx.AsyncClient(base_url=service.url, timeout=120) as client,
    ):
        model = TeamsModel(client)
        await model.publish(bright_files())
        picture = file_of(grey(), "PNG")
        headers = {"content-type": "image/png"}
        address = f"/serving/{model.short_name}"
        answer = (await client.post(f"{address}/predict", content=picture, headers=headers)).json()
        feedback = {"prediction_id": answer["prediction_id"], "label": "dark"}
        (await client.post(f"{address}/feedback", json=feedback)).raise_for_status()
        programs = ProgramClient(client, str(tmp_path))
        await programs.put(model.workspace, {"train.py": LEARNS})
        run = await programs.run(model.workspace, model=model.short_name)
        assert run["model"] == model.name
        assert run["state"] == "COMPLETED", await programs.log(run)
        assert await programs.result(run) == {"said": [["dark", len(picture)]]}
