"""Stored predictions as lists show them, whatever was answered."""

import json

import pytest

from prediction.inference.records.documents import PredictionRecord
from routers.serving.views import PredictionPage, record_views


@pytest.mark.parametrize(("levels", "is_shown"), [(1, True), (200, True), (201, False), (5000, False)])
def test_an_answer_that_nests_too_deep_takes_no_page_with_it(levels: int, is_shown: bool) -> None:
    answers = ['{"digit": 7}', "[" * levels + "]" * levels, None]
    records = [
        PredictionRecord(id=f"p-{number}", model="m", version=1, answer_json=answer)
        for number, answer in enumerate(answers)
    ]
    items, unreadable = record_views(records)
    page = PredictionPage(items=items, next_cursor=None, unreadable=unreadable)
    shown = json.loads(page.model_dump_json())
    assert [each["id"] for each in shown["items"]] == (["p-0", "p-1", "p-2"] if is_shown else ["p-0", "p-2"])
    assert shown["unreadable"] == ([] if is_shown else ["p-1"])
