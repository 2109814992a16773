"""From a manifest of this service to the resource that Apache's operator carries out."""

from typing import Any

from submission.kubernetes.apache.pods import pod_template
from submission.kubernetes.apache.properties import properties
from submission.kubernetes.apache.refusals import check
from submission.kubernetes.apache.tolerations import tolerations
from submission.manifest.build import KIND, Manifest

Json = dict[str, Any]

GROUP, VERSION = "spark.apache.org", "v1"


def render(manifest: Manifest) -> Json:
    """The resource; the manifest is not changed.

    Raises:
        InvalidRequest: There is nothing for something in the manifest, see `refusals`.
    """
    check(manifest)
    spec = manifest["spec"]
    is_python = spec["type"] == "Python"
    rendered: Json = {
        "runtimeVersions": {"sparkVersion": str(spec["sparkVersion"])},
        # Each is the one file that the driver runs, and a Python file only where there are no jars.
        ("pyFiles" if is_python else "jars"): spec["mainApplicationFile"],
        "driverArgs": [str(each) for each in spec.get("arguments", [])],
        "sparkConf": properties(manifest),
        "applicationTolerations": tolerations(spec),
    }
    if not is_python:
        rendered["mainClass"] = spec["mainClass"]
    if "proxyUser" in spec:
        rendered["proxyUser"] = spec["proxyUser"]
    for role in ("driver", "executor"):
        if template := pod_template(role, spec):
            rendered[f"{role}Spec"] = {"podTemplateSpec": template}
    metadata = dict(manifest["metadata"])
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": rendered}
