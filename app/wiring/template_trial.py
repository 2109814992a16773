"""A submission that is made up, to find what is wrong with every manifest before somebody submits one."""

from dataclasses import replace

from common.errors import InvalidRequest, StartError
from common.wire.specs import ApplicationSpecs
from submission.local.runner import LOCAL
from submission.local.spark_submit import unsupported
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.limits import ManifestLimits
from submission.manifest.options import ManifestOptions
from submission.manifest.template import SETTING

_SPECS = {
    "global_specs": {
        "solution_name": "enel",
        "system_name": "spark",
        "experiment_name": "trial",
        "algorithm_name": "Trial",
        "algorithm_args": [],
        "data_size_MB": 1,
        "machine_name": "any",
        "environment_name": "any",
        "min_scale_out": 1,
        "max_scale_out": 2,
        "max_runtime": 60.0,
    },
    "optional_specs": {"spark_version": "4.1.4"},
    "master_specs": {"scale_out": 1, "cores": 1, "memory": "1g"},
    "worker_specs": {"scale_out": 1, "cores": 1, "memory": "1g"},
    "spark_template_values": {"main_application_file": "local:///trial.py"},
}


def trial_manifest(options: ManifestOptions) -> Manifest:
    """What the least of requests becomes. Raises StartError where the template lets it become nothing."""
    specs = ApplicationSpecs.model_validate(_SPECS)
    try:
        manifest = build_manifest(specs, "0" * 24, 1, replace(options, limits=ManifestLimits()))
    except InvalidRequest as error:
        said = str(error).replace("spark_template_values.", "spec.")
        raise StartError(f"{SETTING}: no submission could be carried out with it: {said}") from error
    if options.platform is LOCAL and (missing := unsupported(manifest)):
        raise StartError(f"{SETTING}: the local Spark has none of what Kubernetes provides: {missing}.")
    return manifest
