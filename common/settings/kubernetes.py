"""Settings of the connection to Kubernetes."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from common.addresses import http_address
from common.forms import Form
from common.settings.group import SettingsGroup, Timeout, separated_by_commas

Namespace = Annotated[
    str,
    Field(max_length=63),
    Form(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a namespace: lower-case letters, digits and -, such as spark-jobs",
    ),
]
"""Of Kubernetes: a DNS-1123 label."""


class KubernetesSettings(SettingsGroup):
    """Where applications run: on Kubernetes where one of three ways to connect is given, else here."""

    kubeconfig: str = ""
    """Path of a kubeconfig file: its current context says where the API server is, and who asks."""

    kubernetes_endpoint: str = ""
    """Address of the API server, such as https://10.0.0.1:6443, instead of KUBECONFIG."""

    kubernetes_api_key: SecretStr = SecretStr("")
    """Token for KUBERNETES_ENDPOINT."""

    kubernetes_api_key_prefix: str = "Bearer"
    """What precedes the token in the Authorization header."""

    kubernetes_in_cluster: bool = False
    """Connect as the service account of the pod that the service runs in. Never by itself: a pod nearly
    always has one, and applications would silently move from the local Spark to the cluster."""

    kubernetes_namespace: Namespace = "default"
    """Namespace of the SparkApplication resources."""

    kubernetes_namespaces: Annotated[tuple[Namespace, ...], NoDecode] = ()
    """Further namespaces that a request may name, separated by commas."""

    kubernetes_tls_verify: bool = True
    """Whether the API server's certificate is checked; without that, anyone can pretend to be it."""

    kubernetes_ca_file: str = ""
    """File with the certificate authorities to trust instead of the public ones (PEM)."""

    kubernetes_timeout_seconds: Timeout = 10.0
    """Seconds to wait for an answer of the API server; what is safe to repeat is repeated, then 503."""

    spark_operator: Literal["kubeflow", "apache"] = "kubeflow"
    """Whose operator carries applications out there: Kubeflow's (`sparkoperator.k8s.io/v1beta2`), or Apache's
    (`spark.apache.org/v1`)."""

    operator_pickup_timeout_seconds: Timeout = 60.0
    """Seconds until an application that the spark-operator has not submitted is shown as NOT_PICKED_UP."""

    @property
    def is_configured(self) -> bool:
        return bool(self.kubeconfig or self.kubernetes_endpoint or self.kubernetes_in_cluster)

    @property
    def setting(self) -> str:
        """The one that says how to connect."""
        if self.kubeconfig:
            return "KUBECONFIG"
        return "KUBERNETES_ENDPOINT" if self.kubernetes_endpoint else "KUBERNETES_IN_CLUSTER"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All that applications may run in; the first is where they run unless a request names another."""
        return tuple(dict.fromkeys((self.kubernetes_namespace, *self.kubernetes_namespaces)))

    @field_validator("spark_operator", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("kubernetes_endpoint")
    @classmethod
    def _one_connection(cls, value: str, info: ValidationInfo) -> str:
        if not value.strip():
            return ""
        if info.data.get("kubeconfig"):
            raise ValueError("there are two ways to connect: unset KUBECONFIG or KUBERNETES_ENDPOINT")
        return http_address(value.strip(), "an API server has one such as https://10.0.0.1:6443", "https")

    @field_validator("kubernetes_api_key")
    @classmethod
    def _token_for_the_endpoint(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        token = value.get_secret_value().strip()
        if token and not info.data.get("kubernetes_endpoint"):
            raise ValueError("it belongs to KUBERNETES_ENDPOINT, which is not set")
        if not token.isascii() or (token and not token.isprintable()):
            raise ValueError("not a token")
        return SecretStr(token)

    @field_validator("kubernetes_in_cluster")
    @classmethod
    def _only_connection(cls, value: bool, info: ValidationInfo) -> bool:
        if value and (info.data.get("kubeconfig") or info.data.get("kubernetes_endpoint")):
            raise ValueError("it excludes KUBECONFIG and KUBERNETES_ENDPOINT")
        return value

    @field_validator("kubernetes_namespaces", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        return separated_by_commas(value)

    @field_validator("kubernetes_ca_file")
    @classmethod
    def _used_to_verify(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("kubernetes_tls_verify", True):
            raise ValueError(
                "certificates are not checked at all: unset KUBERNETES_CA_FILE or KUBERNETES_TLS_VERIFY"
            )
        return value
