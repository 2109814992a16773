"""What nobody reads is accepted and told."""

from typing import Any

from common.executions.documents import ApplicationExecution
from common.wire.specs import ApplicationSpecs
from common.wire.unknown import LONGEST_NAME, MOST_TOLD, warnings_about
from tests.support.samples import specs


def warnings_of(body: dict[str, Any]) -> list[str]:
    return warnings_about(ApplicationSpecs.model_validate(body).unknown_fields())


def test_what_is_known_is_not_told() -> None:
    assert warnings_of(specs()) == []


def test_the_nearest_name_is_told() -> None:
    body = specs(max_runtim=1, dataSizeMb=2, zzz=3) | {"worker_spec": {}}
    body["worker_specs"]["memroy"] = "9g"
    assert warnings_of(body) == [
        "unknown field worker_spec is ignored; did you mean worker_specs?",
        "unknown field global_specs.max_runtim is ignored; did you mean max_runtime?",
        "unknown field global_specs.dataSizeMb is ignored; did you mean data_size_MB?",
        "unknown field global_specs.zzz is ignored",
        "unknown field worker_specs.memroy is ignored; did you mean memory?",
    ]


def test_names_are_bounded_and_can_be_answered() -> None:
    names = [f"{number}\x1b\ud800" + "x" * 10_000 for number in range(500)]
    told = warnings_of(specs() | dict.fromkeys(names, 1))
    assert len(told) == MOST_TOLD
    assert told[0] == "unknown field 0??" + "x" * (LONGEST_NAME - 3) + " is ignored"


def test_what_is_ignored_makes_no_other_request() -> None:
    plain, misspelt = (ApplicationSpecs.model_validate(body) for body in (specs(), specs(max_runtim=1)))
    assert plain == misspelt
    assert plain.model_dump() == misspelt.model_dump()


def test_values_are_not_kept() -> None:
    found = ApplicationSpecs.model_validate(specs(password="secret"))
    assert "secret" not in repr(vars(found.global_specs)) + repr(found.global_specs.__pydantic_private__)


def test_copies_tell_the_same() -> None:
    found = ApplicationSpecs.model_validate(specs(max_runtim=1)).model_copy(update={"worker_specs": None})
    assert len(list(found.unknown_fields())) == 1


def test_a_stored_document_knows_its_id() -> None:
    found = ApplicationExecution.from_mongo({"_id": "1", **specs()})
    assert list(found.unknown_fields()) == []
