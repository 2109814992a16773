"""What docs/client.md shows is run, in its order, against a real service with a real Spark."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from common.settings.group import PROJECT_ROOT
from tests.support.left_processes import all_gone
from tests.support.services import started_service


def examples() -> list[str]:
    text = (PROJECT_ROOT / "docs" / "client.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.service
@pytest.mark.spark
@pytest.mark.timeout(600)
async def test_every_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(examples()) == 6
    async with started_service(tmp_path / "service") as service:
        whole = "\n".join(examples()).replace("http://127.0.0.1:5000", service.url)
        await asyncio.to_thread(exec, compile(whole, "docs/client.md", "exec"), {"__name__": "docs"})
    shown = capsys.readouterr().out
    assert re.search(r"^COMPLETED \d+\.\d+ True$", shown, re.MULTILINE), shown
    assert "final cost" in shown
    assert "404 " in shown
    assert "\nTrue\n" in shown
    assert "hello Ada 1\n['hello Grace'" in shown
    assert await all_gone(tmp_path)
    await asyncio.to_thread(shutil.rmtree, tmp_path / "service")
