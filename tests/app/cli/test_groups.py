"""Schedules, trainings and models on the command line."""

import json
from pathlib import Path

import yaml

from tests.support.command_line import LEARNED, Enel
from tests.support.samples import specs, unique_name

MODEL = f"spark.{LEARNED}.onlinepredictor"


def test_a_schedule_from_its_creation_to_its_end(enel: Enel, tmp_path: Path) -> None:
    name = unique_name("nightly")
    file = tmp_path / "submission.yaml"
    file.write_text(yaml.safe_dump(specs()))
    created = enel("schedules", "create", name, file, "--cron", "0 3 * * *", "--time-zone", "Europe/Berlin")
    assert created.code == 0, created.err
    assert "0 3 * * * (Europe/Berlin)" in created.out
    assert name in enel("schedules", "list").out
    assert "yes" in enel("schedules", "pause", name).out
    assert json.loads(enel("schedules", "resume", name, "--json").out)["paused"] is False
    assert enel("schedules", "delete", name).code == 0
    gone = enel("schedules", "show", name)
    assert (gone.code, gone.out) == (1, "")


def test_a_whole_schedule_may_be_a_file(enel: Enel, tmp_path: Path) -> None:
    name = unique_name("weekly")
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"cron": "0 3 * * 1", "concurrency_policy": "forbid", "submission": specs()}))
    created = enel(
        "schedules", "create", name, file, "--paused", "--set", "global_specs.max_runtime=50", "--json"
    )
    schedule = json.loads(created.out)
    assert schedule["submission"]["global_specs"]["max_runtime"] == 50
    assert (schedule["paused"], schedule["concurrency_policy"]) == (True, "forbid")
    enel("schedules", "delete", name)


def test_models_by_the_name_of_their_algorithm(enel: Enel) -> None:
    assert MODEL in enel("models", "list").out
    shown = enel("models", "show", LEARNED)
    assert shown.code == 0, shown.err
    assert "version 2" in shown.out
    back = enel("models", "rollback", LEARNED)
    assert "version 1" in back.out
    again = enel("models", "rollback", LEARNED)
    assert (again.code, again.out) == (1, "")
    assert "no version served before version 1." in again.err
    assert json.loads(enel("models", "show", LEARNED, "--json").out)["champion"] == 1
    assert "version 2" in enel("models", "promote", MODEL, 2, "--reason", "for a test").out
    assert "for a test" in enel("models", "show", MODEL).out


def test_a_model_that_is_not_there_says_how_to_make_it(enel: Enel) -> None:
    ran = enel("models", "show", "Nothing")
    assert ran.code == 1
    assert "enel train Nothing" in ran.err
    assert enel("models", "promote", MODEL, 99).code == 1


def test_a_training_from_its_start_to_its_cancellation(enel: Enel) -> None:
    started = enel("train", LEARNED, "--json")
    assert started.code == 0, started.err
    training_id = json.loads(started.out)["id"]
    assert training_id in started.err  # how to follow it
    assert training_id in enel("trainings", "list", "--algorithm", LEARNED).out
    assert enel("trainings", "cancel", training_id).code == 0
    assert "queued" in enel("trainings", "logs", training_id, "--follow").out
    assert "CANCELLED" in enel("trainings", "show", training_id).out


def test_nothing_to_learn_from_says_what_to_do(enel: Enel) -> None:
    ran = enel("train", "Unheard")
    assert (ran.code, ran.out) == (1, "")
    assert "enel submit" in ran.err
