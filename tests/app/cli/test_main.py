"""What the command line says of itself."""

import pytest
import shellingham

from app.cli.main import run
from app.version import VERSION


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    return int(run(arguments)), *capsys.readouterr()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == (0, f"{VERSION}\n", "")
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for command in ("serve", "submit", "what-if", "applications", "schedules", "train", "models", "doctor"):
        assert command in out


@pytest.mark.parametrize("arguments", [("submitt",), ("applications", "lst"), ("submit", "--targt", "1")])
def test_a_slip_is_told_with_what_is_meant(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert arguments[-1] in first or arguments[-2] in first
    assert "--help" in second


def test_completion_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Typer goes by the shell that its processes descend from, of which `sh` has no completion.
    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("bash", "/bin/bash"))
    with pytest.raises(SystemExit) as ended:  # Typer's own
        run(["--show-completion", "bash"])
    assert ended.value.code == 0
    assert "_ENEL_COMPLETE" in capsys.readouterr().out
