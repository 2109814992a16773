"""An application from the command line to its end, in a real Spark with the real plugin."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.client.process import running_service
from common.settings.group import PROJECT_ROOT
from tests.support.samples import specs

pytestmark = [pytest.mark.service, pytest.mark.spark]

JAR = PROJECT_ROOT / "listener" / "build" / "enel-listener.jar"


def enel(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a person calls it: a process of its own."""
    code = "from app.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "--url", url, *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_submit_and_wait(tmp_path: Path) -> None:
    assert JAR.is_file(), "`make listener` builds the plugin"
    file = tmp_path / "submission.yaml"
    arguments = ["--iterations", 2, "--partitions", 4, "--read-seconds-per-partition", 0.2]
    file.write_text(yaml.safe_dump(specs(algorithm_args=arguments, max_scale_out=3)))
    with running_service(tmp_path / "service") as service:
        log = service.log.read_text()
        assert f"enel --url {service.url} submit" in log
        done = enel(service.url, "submit", str(file), "--wait", "--require-target", "--json")
        assert done.returncode == 0, done.stderr
        application = json.loads(done.stdout)
        assert (application["state"], application["target_met"]) == ("COMPLETED", True)

        followed = enel(service.url, "applications", "logs", application["_id"], "--follow")
        assert "final cost" in followed.stdout
        shown = enel(service.url, "applications", "show", application["_id"])
        assert re.search(r"^Jobs$", shown.stdout, re.MULTILINE)

        missed = enel(service.url, "submit", str(file), "--target", "0.5", "--wait", "--require-target")
        assert missed.returncode == 4
        assert "more than its target of 0.5 s" in missed.stderr
        assert "Hint: The target was missed" in missed.stdout
    shutil.rmtree(tmp_path / "service")
