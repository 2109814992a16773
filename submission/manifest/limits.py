"""How far a request may go: limits that whoever runs the service sets.

They hold for what a request says. The template of defaults comes from the same people as the
limits, and is not limited.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from common.errors import InvalidRequest
from common.settings.submission import HARMLESS_VOLUMES
from common.wire.specs import ApplicationSpecs, MasterSpecs
from submission.manifest.allowed import is_allowed_program, properties_of
from submission.manifest.fields import Fields
from submission.manifest.sizes import MIB, cores_of, size_in_bytes
from submission.manifest.template_values import TemplateValues

_VALUES = "spark_template_values"

_PYTHON_SHARE, _JVM_SHARE = "0.4", "0.1"
_LEAST_OVERHEAD = 384 * MIB
"""As in Spark's BasicDriverFeatureStep."""


@dataclass(frozen=True)
class ManifestLimits:
    """None means: no limit; an empty list of names allows none."""

    max_executors: int | None = None
    max_executor_cores: int | None = None
    max_executor_memory: str | None = None
    """With everything that an executor's container asks for: heap, overhead, Python, off-heap."""
    max_driver_cores: int | None = None
    max_driver_memory: str | None = None
    images: tuple[str, ...] | None = None
    """An image, or what it begins with: a registry, a repository."""
    service_accounts: tuple[str, ...] | None = None
    secrets: tuple[str, ...] | None = None
    """Names, `*` stands for anything; of every Secret that a request refers to."""
    volumes: tuple[str, ...] = HARMLESS_VOLUMES
    """Kinds of volumes, as Kubernetes calls them."""
    main_files: tuple[str, ...] | None = None
    """Paths and URIs, `*` stands for anything; the bundled examples are always allowed."""
    spark_conf: tuple[str, ...] | None = None
    """Names of Spark properties, `*` stands for anything."""

    def refusals(
        self, specs: ApplicationSpecs, values: TemplateValues, examples: Mapping[str, str] | None = None
    ) -> list[str]:
        """What goes too far, each with the value and the limit.

        Args:
            values: What the request says of the resource.
            examples: The bundled ones: algorithm name to main application file.
        """
        return list(self._refusals(specs, values, examples or {}))

    def _refusals(
        self, specs: ApplicationSpecs, values: TemplateValues, examples: Mapping[str, str]
    ) -> Iterator[str]:
        overrides = values.spec
        yield from self._of_programs(values, examples)
        highest = specs.global_specs.max_scale_out
        if self.max_executors is not None and highest > self.max_executors:
            yield _refusal(
                "global_specs.max_scale_out", highest, self.max_executors, "SUBMISSION_MAX_EXECUTORS"
            )
        share = _PYTHON_SHARE if values.main_class is None else _JVM_SHARE
        for role, pod, cores, memory in (
            ("driver", specs.master_specs, self.max_driver_cores, self.max_driver_memory),
            ("executor", specs.worker_specs, self.max_executor_cores, self.max_executor_memory),
        ):
            yield from _of_pod(role, pod, overrides, cores, memory, share)
        yield from self._of_names(overrides)

    def _of_names(self, overrides: Fields) -> Iterator[str]:
        image = overrides.get("image")
        if image is not None and not _fits(self.images, lambda prefix: _begins(image, prefix)):
            yield _refusal("spark_template_values.image", image, self.images, "SUBMISSION_ALLOWED_IMAGES")
        for role in ("driver", "executor"):
            account = overrides.get(role, {}).get("serviceAccount")
            if account is not None and not _fits(self.service_accounts, account.__eq__):
                yield _refusal(
                    f"spark_template_values: the service account of the {role}",
                    account,
                    self.service_accounts,
                    "SUBMISSION_ALLOWED_SERVICE_ACCOUNTS",
                )
        for volume in overrides.get("volumes", []):
            kind = next(key for key in volume if key != "name")
            if kind not in self.volumes:
                yield _refusal(
                    f"spark_template_values.volumes: the kind of {volume['name']}",
                    kind,
                    self.volumes,
                    "SUBMISSION_ALLOWED_VOLUMES",
                )
        for secret in dict.fromkeys(_secrets(overrides)):
            if not _fits(self.secrets, partial(fnmatchcase, secret)):
                yield _refusal(
                    "spark_template_values: a Secret that it refers to",
                    secret,
                    self.secrets,
                    "SUBMISSION_ALLOWED_SECRETS",
                )

    def _of_programs(self, values: TemplateValues, examples: Mapping[str, str]) -> Iterator[str]:
        location = values.main_application_file
        if (
            self.main_files is not None
            and location is not None
            and not is_allowed_program(location, self.main_files, examples)
        ):
            allowed = ("the bundled examples", *self.main_files)
            yield _refusal(
                f"{_VALUES}.main_application_file", location, allowed, "SUBMISSION_ALLOWED_MAIN_FILES"
            )
        for key, where in properties_of(values.spec, values.log_dir):
            if not _fits(self.spark_conf, partial(fnmatchcase, key)):
                yield (
                    f"{_VALUES}.{where} is not allowed here: the Spark property {key} is none of those that"
                    " this service lets a request set (SUBMISSION_ALLOWED_SPARK_CONF)."
                )


def _fits(allowed: tuple[str, ...] | None, matches: Callable[[str], bool]) -> bool:
    return allowed is None or any(matches(each) for each in allowed)


def _of_pod(
    role: str,
    specs: MasterSpecs,
    overrides: Fields,
    max_cores: int | None,
    max_memory: str | None,
    usual_share: str,
) -> Iterator[str]:
    part = "master_specs" if role == "driver" else "worker_specs"
    if max_cores is not None:
        setting = f"SUBMISSION_MAX_{role.upper()}_CORES"
        if specs.cores > max_cores:
            yield _refusal(f"{part}.cores", specs.cores, max_cores, setting)
        for key in ("coreRequest", "coreLimit"):
            quantity = overrides.get(role, {}).get(key, "0")
            if cores_of(quantity) > max_cores:
                yield _refusal(f"spark_template_values.{role}.{key}", quantity, max_cores, setting)
    if max_memory is not None:
        conf = overrides.get("sparkConf", {})
        try:
            asked = size_in_bytes(specs.memory) + _overhead_bytes(role, specs, conf, usual_share)
            if role == "executor":
                asked += _further_bytes(conf)
        except InvalidRequest as error:
            yield f"{_VALUES}.spark_conf: {error}"
            return
        if asked > size_in_bytes(max_memory):
            yield _refusal(
                f"{part}: memory with all overheads",
                f"{-(-asked // MIB)}m",
                max_memory,
                f"SUBMISSION_MAX_{role.upper()}_MEMORY",
            )


def _overhead_bytes(role: str, specs: MasterSpecs, conf: Mapping[str, str], usual_share: str) -> int:
    """What a pod has beside its heap: what is said, or a share of it, at least 384 MiB.

    Args:
        usual_share: Spark's own (`spark.kubernetes.memoryOverheadFactor`), larger for Python.
    """
    if specs.memory_overhead is not None:
        return size_in_bytes(specs.memory_overhead)
    names = (f"spark.{role}.memoryOverheadFactor", "spark.kubernetes.memoryOverheadFactor")
    said = next((conf[name] for name in names if name in conf), usual_share)
    try:
        share = max(float(said), 0.0)
    except ValueError:
        raise InvalidRequest(f"{said!r} is no share of the memory (memoryOverheadFactor).") from None
    least = size_in_bytes(conf.get(f"spark.{role}.minMemoryOverhead", "0"))
    return max(_LEAST_OVERHEAD, least, math.ceil(share * size_in_bytes(specs.memory)))


def _further_bytes(conf: Mapping[str, str]) -> int:
    """What Spark adds to an executor's container on top of heap and overhead."""
    further = size_in_bytes(conf.get("spark.executor.pyspark.memory", "0"))
    if conf.get("spark.memory.offHeap.enabled", "false").strip().lower() == "true":
        further += size_in_bytes(conf.get("spark.memory.offHeap.size", "0"), default_unit="b")
    return further


def _begins(image: str, prefix: str) -> bool:
    """Whether the image is what the prefix names, and not another one whose name goes on."""
    if not image.startswith(prefix):
        return False
    return image == prefix or prefix[-1] in "/:@" or image[len(prefix)] in "/:@"


def _secrets(fields: Any) -> Iterator[str]:
    """Names of all Secrets that are referred to, however deep."""
    if isinstance(fields, list):
        for entry in fields:
            yield from _secrets(entry)
    elif isinstance(fields, Mapping):
        for key, value in fields.items():
            if key == "imagePullSecrets":
                yield from value
            elif "secret" in str(key).lower() and isinstance(value, Mapping):
                yield str(value.get("secretName") or value.get("name") or "")
            elif key == "secretName" and isinstance(value, str):  # of an azureFile volume
                yield value
            else:
                yield from _secrets(value)


def _refusal(name: str, value: object, limit: object, setting: str) -> str:
    allowed = ", ".join(limit) or "none" if isinstance(limit, tuple) else f"at most {limit}"
    return f"{name} is {value}, but this service allows {allowed} ({setting})."
