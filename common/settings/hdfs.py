"""Settings of the model store in HDFS."""

from pydantic import SecretStr, ValidationInfo, field_validator

from common.addresses import http_address
from common.settings.group import SettingsGroup, Timeout


class HdfsSettings(SettingsGroup):
    """Where models are kept."""

    hdfs_endpoint: str = ""
    """WebHDFS address, such as http://namenode:9870; several NameNodes are separated by `;`. Empty
    keeps models in a folder below DATA_DIR."""

    hdfs_output_dir: str = "/enel_service"
    """Folder in HDFS below which models are written."""

    hdfs_user: str = ""
    """User to act as where HDFS trusts its clients; empty: the user that runs the service."""

    hdfs_token: SecretStr = SecretStr("")
    """Delegation token to authenticate with."""

    hdfs_kerberos: bool = False
    """Authenticate with the Kerberos ticket of the process; needs the package requests-kerberos."""

    hdfs_tls_verify: bool = True
    """Whether certificates of https addresses are checked; without that, anyone can pretend to be HDFS."""

    hdfs_ca_file: str = ""
    """File with the certificate authorities to trust instead of the public ones (PEM)."""

    hdfs_timeout_seconds: Timeout = 10.0
    """Seconds to wait for a connection, and for each piece of an answer; then 503."""

    @field_validator("hdfs_endpoint")
    @classmethod
    def _http_addresses(cls, value: str) -> str:
        parts = value.split(";") if value.strip() else []
        addresses = [http_address(part.strip(), _WEBHDFS) for part in parts]
        return ";".join(dict.fromkeys(addresses))  # the client would never stop asking the same one twice

    @field_validator("hdfs_output_dir")
    @classmethod
    def _absolute_folder(cls, value: str) -> str:
        names = value.rstrip("/").split("/")[1:]
        if not value.startswith("/"):
            raise ValueError("a folder in HDFS is an absolute path, such as /enel_service")
        if any(
            name in ("", ".", "..") or not name.isprintable() or set(name) & set(":#%?;") for name in names
        ):
            raise ValueError("not a path of a folder in HDFS")
        return "/" + "/".join(names)

    @field_validator("hdfs_token")
    @classmethod
    def _token_says_who(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        token = value.get_secret_value().strip()
        if token and info.data.get("hdfs_user"):
            raise ValueError("a token says whose it is: unset HDFS_USER or HDFS_TOKEN")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("not a delegation token")
        return SecretStr(token)

    @field_validator("hdfs_kerberos")
    @classmethod
    def _one_way_to_authenticate(cls, value: bool, info: ValidationInfo) -> bool:
        token = info.data.get("hdfs_token")
        if value and token is not None and token.get_secret_value():
            raise ValueError("Kerberos and a token exclude each other: unset HDFS_KERBEROS or HDFS_TOKEN")
        if value and info.data.get("hdfs_user"):
            raise ValueError("a Kerberos ticket says whose it is: unset HDFS_USER or HDFS_KERBEROS")
        return value

    @field_validator("hdfs_ca_file")
    @classmethod
    def _used_to_verify(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("hdfs_tls_verify", True):
            raise ValueError("certificates are not checked at all: unset HDFS_CA_FILE or HDFS_TLS_VERIFY")
        return value


_WEBHDFS = "WebHDFS has one such as http://namenode:9870"
