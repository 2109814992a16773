"""Requests of submissions, and manifests that run on this machine."""

from pathlib import Path
from typing import Any

from common.settings.group import PROJECT_ROOT
from common.wire.specs import ApplicationSpecs
from submission.local.runner import LOCAL
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions, bundled_examples
from tests.support.doubles import rescales
from tests.support.samples import specs


def request_specs(**global_specs: Any) -> ApplicationSpecs:
    template_values = global_specs.pop("spark_template_values", {})
    return ApplicationSpecs.model_validate(
        {**specs(**global_specs), "spark_template_values": template_values}
    )


def runnable_manifest(execution_id: str, program: Path | None = None, **global_specs: Any) -> Manifest:
    """A manifest for this machine that does without the plugin."""
    values = {} if program is None else {"main_application_file": str(program)}
    options = ManifestOptions(
        "127.0.0.1",
        5000,
        "/none.jar",
        examples=bundled_examples(PROJECT_ROOT / "examples"),
        platform=LOCAL,
    )
    wanted = request_specs(**{"max_scale_out": 2, "spark_template_values": values, **global_specs})
    manifest = build_manifest(wanted, execution_id, 1, options, rescales=rescales(wanted))
    manifest["spec"]["deps"]["jars"] = []
    del manifest["spec"]["sparkConf"]["spark.plugins"]
    return manifest
