"""Which service is asked, and which token it is shown."""

from pathlib import Path

import pytest

from app.cli.exits import CliError
from app.cli.profiles import LOOPBACK, Connection, connection, profile_file


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = profile_file()
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text('[default]\nurl = "http://one"\ntoken = "own"\n[other]\nurl = "https://two/"\n')
    return path


def test_what_is_closest_to_the_command_counts(file: Path) -> None:
    assert connection(environment={}) == Connection("http://one", "own")
    assert connection(environment={"ENEL_URL": "http://three"}) == Connection("http://three")
    assert connection(profile="other", environment={"ENEL_URL": "http://three"}).url == "https://two"
    assert connection("http://four", "other", {}) == Connection("http://four")


def test_a_token_of_the_file_goes_to_its_own_service_alone(file: Path) -> None:
    environment = {"ENEL_TOKEN": "said"}
    assert connection(environment=environment).token == "said"
    assert connection(profile="default", environment=environment).token == "own"
    assert connection("http://four", environment={}).token == ""
    assert "own" not in repr(connection(environment={}))


def test_without_anything_it_is_the_service_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    assert connection(environment={}) == Connection(LOOPBACK)


def test_a_token_that_others_can_read_is_refused(file: Path) -> None:
    file.chmod(0o640)
    with pytest.raises(CliError, match="others can read it") as error:
        connection(environment={})
    assert error.value.advice == f"chmod 600 {file}"
    assert "own" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "profile", "what"),
    [
        ("[default", None, "is no TOML"),
        ("[default]\nurl = 5", None, "are texts"),
        ('[default]\nurl = "one"', None, "no address"),
        ("", "missing", "no profile 'missing'"),
    ],
)
def test_a_file_that_makes_no_sense_says_so(file: Path, text: str, profile: str | None, what: str) -> None:
    file.write_text(text)
    with pytest.raises(CliError, match=what):
        connection(profile=profile, environment={})
