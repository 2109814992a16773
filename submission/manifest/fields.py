"""What may be said of a SparkApplication besides what follows from the specs: by a request, and by
the template of defaults.

Fields are those of the CRD; requests may also write them in snake_case. Structures that only
Kubernetes has to understand (affinity, the insides of volumes) are passed on as they are: the API
server checks them.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel

from common.addresses import check_location
from common.distinct import distinct
from common.forms import Form
from common.wire.specs import LONG_TEXT, NoBoolean
from submission.manifest.spark_conf import complaints_about
from submission.manifest.spellings import in_one_spelling

Fields = dict[str, Any]

TEMPLATE = "template"
"""Validation context of the service's own template: nothing unknown, and more may be set."""

_CONTENT = 1 << 16
_INT32_MAX = 2**31 - 1
_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_TEXT = "up to 63 letters, digits, - _ and ., beginning and ending with a letter or digit"


def _plain(value: object) -> object:
    """Numbers and booleans as a configuration file would have them: `true`, `3`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _not_ours(name: str) -> str:
    if name.upper().startswith("ENEL_"):
        raise ValueError("names that begin with ENEL_ belong to the service")
    return name


Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONG_TEXT),
    Form(r"^[^\x00-\x1f\x7f]+$", "a text without line breaks and other control characters"),
]
Location = Annotated[Text, AfterValidator(check_location)]
Plain = Annotated[
    str,
    BeforeValidator(_plain),
    StringConstraints(max_length=_CONTENT),
    Form(r"^[^\x00]*$", "a text without NUL"),
]
ObjectName = Annotated[
    str,
    StringConstraints(max_length=253),
    Form(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "a name in Kubernetes: lower-case letters, digits, - and ., such as spark-driver",
    ),
]
PodName = Annotated[
    str,
    Form(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "up to 63 lower-case letters, digits and -, such as data"),
]
LabelKey = Annotated[
    str,
    StringConstraints(max_length=317),
    Form(
        rf"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_LABEL}$",
        f"a label's key: {_LABEL_TEXT}, such as team or example.org/team",
    ),
]
LabelValue = Annotated[str, Form(rf"^({_LABEL})?$", f"a label's value: {_LABEL_TEXT}, such as data-platform")]
Labels = dict[LabelKey, LabelValue]
Annotations = dict[LabelKey, Plain]
_VARIABLE = Form(
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    "a variable's name: letters, digits and _, not beginning with a digit, such as DATA_PATH",
)
EnvName = Annotated[str, StringConstraints(max_length=256), _VARIABLE, AfterValidator(_not_ours)]
CpuQuantity = Annotated[
    str,
    BeforeValidator(_plain),
    Form(r"^([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)$", "an amount of cores such as 2, 0.5 or 500m"),
]
Quantity = Annotated[
    str,
    BeforeValidator(_plain),
    Form(r"^[0-9]{1,12}(\.[0-9]{1,6})?([kKMGTPE]i?|m)?$", "an amount such as 2, 500m or 1Gi"),
]
Count = Annotated[int, Field(ge=0, le=_INT32_MAX), NoBoolean]
PositiveCount = Annotated[int, Field(ge=1, le=_INT32_MAX), NoBoolean]


class Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        """In requests what is unknown is ignored; in the template it is a slip."""
        if info.context == TEMPLATE and isinstance(value, Mapping):
            names = {name for field, about in cls.model_fields.items() for name in (field, about.alias)}
            unknown = [f"{key} is not known here" for key in value if key not in names]
            if unknown and cls.model_config.get("extra") != "allow":
                raise ValueError("; ".join(unknown))
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, value: Any) -> Any:
        return in_one_spelling(value, cls.model_fields) if isinstance(value, Mapping) else value


def _exactly_one(part: Part, *names: str) -> None:
    if sum(getattr(part, name) is not None for name in names) != 1:
        raise ValueError(f"needs exactly one of {', '.join(to_camel(name) for name in names)}")


class KeyReference(Part):
    name: ObjectName
    key: Text
    optional: bool | None = None


class ObjectReference(Part):
    name: ObjectName
    optional: bool | None = None


class ValueFrom(Part):
    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None
    field_ref: dict[str, Any] | None = None
    resource_field_ref: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one(self) -> "ValueFrom":
        _exactly_one(self, "secret_key_ref", "config_map_key_ref", "field_ref", "resource_field_ref")
        return self


class EnvVariable(Part):
    name: EnvName
    value: Plain | None = None
    value_from: ValueFrom | None = None

    @model_validator(mode="after")
    def _one(self) -> "EnvVariable":
        _exactly_one(self, "value", "value_from")
        return self


class EnvSource(Part):
    prefix: Annotated[str, _VARIABLE] | None = None
    secret_ref: ObjectReference | None = None
    config_map_ref: ObjectReference | None = None

    @model_validator(mode="after")
    def _one(self) -> "EnvSource":
        _exactly_one(self, "secret_ref", "config_map_ref")
        return self


class Mount(Part):
    name: PodName
    mount_path: Annotated[
        str,
        StringConstraints(max_length=LONG_TEXT),
        Form(r"^/[^\x00-\x1f:]*$", "an absolute path without a colon, such as /data"),
    ]
    sub_path: Text | None = None
    read_only: bool | None = None


class Volume(Part):
    model_config = ConfigDict(extra="allow")

    name: PodName

    @model_validator(mode="after")
    def _one_kind(self) -> "Volume":
        kinds = self.model_extra or {}
        if len(kinds) != 1 or not all(isinstance(source, dict) for source in kinds.values()):
            raise ValueError("needs a name and exactly one kind of volume, such as emptyDir: {}")
        return self


class Toleration(Part):
    key: LabelKey | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(le=2**63 - 1), NoBoolean] | None = None


class Affinity(Part):
    node_affinity: dict[str, Any] | None = None
    pod_affinity: dict[str, Any] | None = None
    pod_anti_affinity: dict[str, Any] | None = None


class Pod(Part):
    """Driver or executor."""

    labels: Labels | None = None
    annotations: Annotations | None = None
    env: Annotated[list[EnvVariable], distinct("name")] | None = None
    env_from: list[EnvSource] | None = None
    volume_mounts: Annotated[list[Mount], distinct("mount_path")] | None = None
    node_selector: Labels | None = None
    tolerations: list[Toleration] | None = None
    affinity: Affinity | None = None
    service_account: ObjectName | None = None
    priority_class_name: ObjectName | None = None
    core_request: CpuQuantity | None = None
    core_limit: CpuQuantity | None = None
    termination_grace_period_seconds: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Mapping):
            told = (_why_not(str(key), by_template=info.context == TEMPLATE) for key in value)
            if wrong := list(filter(None, told)):
                raise ValueError("; ".join(wrong))
        return value


def _why_not(key: str, *, by_template: bool) -> str | None:
    """Why a field of a pod cannot be said; None if it can."""
    name = to_camel(key)
    if name in _POD_BY_SPECS:
        return f"{key}: use master_specs and worker_specs"
    if by_template:
        return None if name in _TYPED_POD or key in POD_OF_TEMPLATE else f"{key} is not known here"
    if name in POD_OF_TEMPLATE:
        return f"{key}: only the service's template (SPARK_APPLICATION_TEMPLATE) may set it"
    return None


_POD_BY_SPECS = frozenset({"cores", "memory", "memoryOverhead", "instances"})
_TYPED_POD = frozenset(to_camel(name) for name in Pod.model_fields)
POD_OF_TEMPLATE = frozenset(
    {
        "configMaps",
        "deleteOnTermination",
        "dnsConfig",
        "envSecretKeyRefs",
        "envVars",
        "gpu",
        "hostAliases",
        "hostNetwork",
        "image",
        "initContainers",
        "javaOptions",
        "kubernetesMaster",
        "lifecycle",
        "memoryLimit",
        "podSecurityContext",
        "ports",
        "schedulerName",
        "secrets",
        "securityContext",
        "serviceAnnotations",
        "serviceLabels",
        "shareProcessNamespace",
        "sidecars",
        "template",
    }
)
"""Fields of the CRD that decide on more than the application: for who runs the service."""


class Prometheus(Part):
    jmx_exporter_jar: Location | None = None
    port: Annotated[int, Field(ge=1024, le=49151), NoBoolean] | None = None
    port_name: Text | None = None
    config_file: Text | None = None
    configuration: Annotated[str, StringConstraints(max_length=_CONTENT)] | None = None


class Monitoring(Part):
    expose_driver_metrics: bool | None = None
    expose_executor_metrics: bool | None = None
    metrics_properties: Annotated[str, StringConstraints(max_length=_CONTENT)] | None = None
    metrics_properties_file: Text | None = None
    prometheus: Prometheus | None = None


class BatchSchedulerOptions(Part):
    queue: Text | None = None
    priority_class_name: ObjectName | None = None
    resources: dict[Text, Quantity] | None = None


class RestartPolicy(Part):
    type: Literal["Never", "OnFailure", "Always"] | None = None
    on_failure_retries: Count | None = None
    on_failure_retry_interval: PositiveCount | None = None
    on_submission_failure_retries: Count | None = None
    on_submission_failure_retry_interval: PositiveCount | None = None


class Dependencies(Part):
    jars: list[Location] | None = None
    files: list[Location] | None = None
    py_files: list[Location] | None = None
    archives: list[Location] | None = None
    packages: list[Text] | None = None
    exclude_packages: list[Text] | None = None
    repositories: list[Location] | None = None


def _spark_conf(conf: object, info: ValidationInfo) -> object:
    if not isinstance(conf, Mapping):
        raise ValueError("must be an object of Spark properties")
    if wrong := complaints_about(conf, by_template=info.context == TEMPLATE):
        raise ValueError("; ".join(wrong.values()))  # at once: nobody wants to hear of one after the other
    return conf


class SpecFields(Part):
    """Of the resource's `spec`."""

    image: Text | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: list[ObjectName] | None = None
    spark_conf: Annotated[dict[str, Plain], BeforeValidator(_spark_conf)] | None = None
    hadoop_conf: dict[Text, Plain] | None = None
    hadoop_config_map: ObjectName | None = None
    volumes: Annotated[list[Volume], distinct("name")] | None = None
    node_selector: Labels | None = None
    monitoring: Monitoring | None = None
    batch_scheduler: Text | None = None
    batch_scheduler_options: BatchSchedulerOptions | None = None
    time_to_live_seconds: Annotated[int, Field(ge=1, le=2**63 - 1), NoBoolean] | None = None
    restart_policy: RestartPolicy | None = None
    deps: Dependencies | None = None
    driver: Pod | None = None
    executor: Pod | None = None

    def fields(self) -> Fields:
        """As the CRD names them, without what was not said."""
        return self.model_dump(by_alias=True, exclude_none=True)


class MetadataFields(Part):
    labels: Labels | None = None
    annotations: Annotations | None = None

    def fields(self) -> Fields:
        return self.model_dump(exclude_none=True)


SPEC_OF_TEMPLATE = frozenset(
    {
        "driverIngressOptions",
        "driverPodDisruptionBudget",
        "proxyUser",
        "sparkConfigMap",
        "sparkUIOptions",
        "sparkVersion",
    }
)
"""Further fields of the CRD's `spec`, as for `POD_OF_TEMPLATE`."""


def complaints(error: ValidationError, prefix: str) -> Iterator[str]:
    """What is wrong, with the name of the value; never the value itself, which may be secret."""
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join([prefix, *(str(part) for part in each["loc"] if part != "[key]")])
        yield f"{name}: {each['msg'].removeprefix('Value error, ')}"
