"""Which version answers whoever names one, and what is told while there is none."""

import httpx
import pytest

from tests.support.teams_models import TeamsModel, tells

pytestmark = pytest.mark.service


@pytest.fixture
def model(service: httpx.AsyncClient) -> TeamsModel:
    return TeamsModel(service)


async def test_a_version_that_answers_nobody_else_is_asked_by_its_number(model: TeamsModel) -> None:
    for number in (1, 2, 3):
        await model.publish(tells(number))
    await model.serve(version=1)
    address = f"/serving/{model.short_name}/predict"
    assert (await model.ask(x=1)).json()["label"] == "1"

    refused = await model.client.post(address, json={"inputs": {"x": 1}, "version": 2})
    assert refused.status_code == 409
    assert (
        f'PUT /serving/{model.name} with "canary": {{"version": 2, "share": 0}}' in refused.json()["detail"]
    )
    unknown = await model.client.post(address, json={"inputs": {"x": 1}, "version": 9})
    assert (unknown.status_code, "no version 9" in unknown.json()["detail"]) == (404, True)

    await model.serve(version=1, canary={"version": 2, "share": 0})
    named = await model.client.post(address, json={"inputs": {"x": 1}, "version": 2})  # while it is loaded
    assert (named.status_code, named.json()["label"], named.json()["role"]) == (200, "2", "canary")
    assert {(await model.ask(x=1)).json()["label"] for _ in range(20)} == {"1"}

    await model.publish({"predict.py": "raise OSError('no weights')"})
    await model.serve(version=1, canary={"version": 4, "share": 0})
    failed = await model.client.post(address, json={"inputs": {"x": 1}, "version": 4})
    assert "no weights" in failed.json()["detail"]


async def test_a_question_whose_time_is_over_before_the_model_is_loaded_is_504(model: TeamsModel) -> None:
    await model.publish({"predict.py": "import time\ntime.sleep(1000)\n"})
    await model.serve(time_limit_seconds=0.01, load_limit_seconds=3)
    late = await model.ask(x=1)
    assert (late.status_code, late.json()["title"]) == (504, "No answer in time")
    assert "is still being loaded" in late.json()["detail"]
    assert int(late.headers["Retry-After"]) > 0


async def test_a_canary_that_keeps_ending_rests_while_the_version_before_answers(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.publish({"predict.py": "import os\ndef predict(inputs):\n    os._exit(3)\n"})
    await model.serve(version=1, canary={"version": 2, "share": 1})
    statuses = [(await model.ask(x=0)).status_code]
    while len([status for status in statuses if status != 200]) < 5:  # another row each time: none is known
        statuses.append((await model.ask(x=len(statuses))).status_code)
    assert {*statuses} <= {200, 502}
    answer = (await model.ask(x="after")).json()
    assert (answer["label"], answer["role"]) == ("1", "primary")


async def test_an_alias_that_no_version_has_is_noted_until_one_does(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.publish(tells(2))
    await model.serve(version=1, canary={"version": "next", "share": 1})
    answer = (await model.ask(x=1)).json()
    assert (answer["label"], answer["notes"]) == ("1", ["no version is next, which is to answer as canary"])
    named = await model.client.put(f"/models/{model.name}/aliases/next", json={"version": 2})
    assert named.status_code == 200, named.text
    while (answer := (await model.ask(x=1)).json())["label"] != "2":
        pass
    assert (answer["role"], answer["notes"]) == ("canary", [])
