"""Environments on the command line."""

from tests.support.command_line import Enel


def test_without_any_it_says_what_makes_one(enel: Enel) -> None:
    listed = enel("environments", "list")
    assert (listed.code, listed.err) == (0, "")
    assert "requirements.txt" in listed.out
    assert enel("environments", "list", "--state", "failed", "--json").out.strip() == "[]"


def test_what_is_not_there_is_said(enel: Enel) -> None:
    for command in ("show", "log", "build"):
        ran = enel("environments", command, "none")
        assert (ran.code, ran.out) == (1, "")
        assert "There is no environment 'none'" in ran.err
