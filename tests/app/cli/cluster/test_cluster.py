"""`enel cluster` where the service is installed: a helm and a kubectl that note what they are told."""

import json
from pathlib import Path

from tests.support.cluster_double import DATA, NAME, OPERATOR, ClusterDouble, Tools, operator
from tests.support.command_line import Enel


def test_status_says_how_it_is(enel: Enel, api: ClusterDouble) -> None:
    ran = enel("cluster", "status")
    assert ran.code == 0, ran.err
    assert "data-0" in ran.out
    api.ready_after = 1e9
    ran = enel("cluster", "status", "--json")
    assert ran.code == 5
    assert json.loads(ran.out)["is_ready"] is False


def test_url_prints_the_address(enel: Enel, api: ClusterDouble, tools: Tools) -> None:
    noted = tools("kubectl", "echo 'Forwarding from 127.0.0.1:40123 -> 5000'")
    ran = enel("cluster", "url")
    assert (ran.code, ran.out) == (0, "http://127.0.0.1:40123\n")
    assert noted.read_text().split() == ["port-forward", "--namespace", "enel", f"service/{NAME}", ":5000"]


def test_down_keeps_the_data_unless_told(enel: Enel, api: ClusterDouble, tools: Tools) -> None:
    noted = tools("helm", "exit 0")
    assert enel("cluster", "down").code == 0
    assert f"DELETE {DATA}" not in api.asked
    ran = enel("cluster", "down", "--delete-data")
    assert "data-0" in ran.err
    assert f"DELETE {DATA}" in api.asked
    assert noted.read_text().count("uninstall enel --namespace enel") == 2


def test_down_takes_away_what_up_has_made(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.become_empty()
    api.operators = [operator(OPERATOR)]
    enel("cluster", "up", "--no-forward")
    assert enel("cluster", "down").code == 0
    assert set(api.secrets) == {"enel-mongodb-credentials"}, "its volume cannot be read without"
    assert f"DELETE {DATA}" not in api.asked
    assert f"uninstall {OPERATOR}" not in helm.read_text()
    ran = enel("cluster", "down", "--delete-data", "--operator")
    assert not api.secrets
    assert f"DELETE {DATA}" in api.asked
    assert f"uninstall {OPERATOR} --namespace {OPERATOR}" in helm.read_text()
    assert "the Secret enel-mongodb-credentials" in ran.err


def test_down_leaves_the_secrets_of_others(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.secrets["enel-admin"] = {"metadata": {"name": "enel-admin"}, "data": {"token": ""}}
    assert enel("cluster", "down", "--delete-data").code == 0
    assert "enel-admin" in api.secrets
