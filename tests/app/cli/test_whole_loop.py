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

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(600)]

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
        submit = ("submit", str(file), "--target", "0.5", "--idempotency-key", "once", "--wait")
        missed = enel(service.url, *submit, "--require-target")
        assert missed.returncode == 4, missed.stderr
        assert "more than its target of 0.5 s" in missed.stderr
        assert "Hint: The target was missed" in missed.stdout

        again = enel(service.url, *submit, "--json")  # the same application, and no word of its target
        assert again.returncode == 0, again.stderr
        application = json.loads(again.stdout)
        assert (application["state"], application["target_met"]) == ("COMPLETED", False)

        followed = enel(service.url, "applications", "logs", application["_id"], "--follow")
        assert "final cost" in followed.stdout
        shown = enel(service.url, "applications", "show", application["_id"])
        assert application["_id"] in shown.stdout
        assert re.search(r"^Jobs$", shown.stdout, re.MULTILINE)
        assert len(json.loads(enel(service.url, "applications", "list", "--json").stdout)) == 1
    shutil.rmtree(tmp_path / "service")
