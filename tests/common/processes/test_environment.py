"""What children of the service are given."""

import stat
from pathlib import Path

import pytest

from common.processes.environment import computing_environment, passed_environment
from common.processes.private_files import make_private, open_private


@pytest.mark.parametrize(
    "name",
    [
        "MONGODB_PASSWORD",
        "hdfs_token",
        "KUBECONFIG",
        "CALLBACK_TOKEN",
        "ADMIN_TOKEN_FILE",
        "AWS_SECRET_ACCESS_KEY",
        "RAY_ADDRESS",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
    ],
)
def test_children_are_told_nothing_that_they_have_no_use_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for environment in (passed_environment(), computing_environment()):
        assert "s3cret" not in environment.values()
        assert environment["LC_ALL"] == "C"
    assert "OMP_NUM_THREADS" in computing_environment()


def test_logs_are_nobody_elses_to_read(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    log.write_text("of before")
    log.chmod(0o644)
    with open_private(log) as file:
        file.write(b"now")
    assert (log.read_text(), stat.S_IMODE(log.stat().st_mode)) == ("now", 0o600)


def test_a_folder_that_is_shared_on_purpose_stays_so(tmp_path: Path) -> None:
    for mode, expected in ((0o755, 0o700), (0o1777, 0o1777), (0o700, 0o700)):
        tmp_path.chmod(mode)
        make_private(tmp_path)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == expected
