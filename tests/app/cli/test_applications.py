"""`enel applications`: what became of submissions."""

import json

from tests.support.command_line import LEARNED, Enel


def ids(enel: Enel, *filters: object) -> list[str]:
    return [each["_id"] for each in json.loads(enel("applications", "list", *filters, "--json").out)]


def test_a_list_is_a_table_with_units(enel: Enel) -> None:
    ran = enel("applications", "list", "--algorithm", LEARNED)
    assert ran.code == 0, ran.err
    head, *rows = ran.out.splitlines()
    assert head.split()[:3] == ["Id", "Algorithm", "State"]
    assert len(rows) == 4
    assert all("COMPLETED" in row and "2 min 0 s" in row and "met" in row for row in rows)


def test_a_limit_is_kept_across_pages(enel: Enel) -> None:
    everything = ids(enel, "--algorithm", LEARNED)
    assert ids(enel, "--algorithm", LEARNED, "--limit", 3) == everything[:3]


def test_filters_narrow_it_down_and_an_empty_list_says_what_fills_it(enel: Enel) -> None:
    assert len(ids(enel, "--state", "completed", "--algorithm", LEARNED)) == 4
    ran = enel("applications", "list", "--schedule", "none")
    assert ran.code == 0
    assert "enel submit" in ran.out
    assert enel("applications", "list", "--state", "perhaps").code == 1


def test_one_application_shows_its_jobs(enel: Enel) -> None:
    execution_id = ids(enel, "--algorithm", LEARNED)[0]
    ran = enel("applications", "show", execution_id)
    assert ran.code == 0, ran.err
    assert execution_id in ran.out
    assert "Jobs" in ran.out
    assert json.loads(enel("applications", "show", execution_id, "--json").out)["_id"] == execution_id
    assert enel("applications", "decisions", execution_id).code == 0
    assert enel("applications", "kill", execution_id).out.count("COMPLETED") == 1


def test_an_unknown_one_is_refused(enel: Enel) -> None:
    for command in ("show", "logs", "kill", "decisions"):
        ran = enel("applications", command, "none")
        assert (ran.code, ran.out) == (1, "")
        assert "Unknown application execution" in ran.err


def test_the_log_of_an_earlier_attempt_is_asked_for(enel: Enel) -> None:
    execution_id = ids(enel, "--algorithm", LEARNED)[0]
    ran = enel("applications", "logs", execution_id, "--attempt", 2)
    assert (ran.code, ran.out) == (1, "")
    assert f"Its log is not here: {execution_id} was handed to no runner" in " ".join(ran.err.split())
    ran = enel("applications", "logs", execution_id, "--attempt", 1, "--follow")
    assert ran.code != 0
    assert "--attempt goes without --follow" in " ".join(ran.err.split())
    assert enel("applications", "logs", execution_id, "--attempt", 0).code != 0
