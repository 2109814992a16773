"""What the tests of submission share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.configuration import PROJECT_ROOT
from common.documents import ApplicationState
from common.specs import ApplicationSpecs
from submission.manifest import Manifest, ManifestOptions, build_manifest, bundled_examples
from tests.samples import specs


class Recorder:
    """Keeps states as the repository does: a final one is never left again."""

    def __init__(self) -> None:
        self.changes: dict[str, list[tuple[ApplicationState, str]]] = {}
        self.fields: dict[str, dict[str, Any]] = {}

    async def __call__(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        changes = self.changes.setdefault(application_execution_id, [])
        if changes and (changes[-1][0].is_final or changes[-1][0] == state):
            return False
        changes.append((state, reason))
        self.fields.setdefault(application_execution_id, {}).update(fields or {})
        return True

    def states(self, execution_id: str) -> list[str]:
        return [state.value for state, _ in self.changes.get(execution_id, [])]

    def latest(self, execution_id: str) -> tuple[ApplicationState, str]:
        return self.changes[execution_id][-1]


@pytest.fixture
def options() -> ManifestOptions:
    return ManifestOptions(
        callback_host="127.0.0.1",
        callback_port=5000,
        listener_jar="/opt/enel/enel-listener.jar",
        examples={"KMeans": "local:///opt/enel/examples/kmeans.py"},
        spark_version="4.1.4",
    )


def request_specs(**global_specs: Any) -> ApplicationSpecs:
    template_values = global_specs.pop("spark_template_values", {})
    return ApplicationSpecs.model_validate(
        {**specs(**global_specs), "spark_template_values": template_values}
    )


def runnable_manifest(execution_id: str, program: Path | None = None, **global_specs: Any) -> Manifest:
    """A manifest for this machine that does without the plugin."""
    values = {} if program is None else {"main_application_file": str(program)}
    options = ManifestOptions(
        "127.0.0.1", 5000, "/none.jar", examples=bundled_examples(PROJECT_ROOT / "examples")
    )
    wanted = request_specs(**{"max_scale_out": 2, "spark_template_values": values, **global_specs})
    manifest = build_manifest(wanted, execution_id, 1, options)
    manifest["spec"]["deps"]["jars"] = []
    del manifest["spec"]["sparkConf"]["spark.plugins"]
    return manifest
