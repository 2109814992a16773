"""How HDFS is spoken to: a session that authenticates, and HdfsCLI's client with errors that say more.

A delegation token travels in the query of every address, and the HTTP libraries log whole addresses:
their loggers are held back.
"""

import getpass
import logging
import ssl
from typing import Any

import requests
import urllib3
from hdfs import Client, HdfsError

from common.errors import StartError
from common.models.artifacts import StoreUnavailable
from common.settings.hdfs import HdfsSettings

logger = logging.getLogger(__name__)

_LOGGERS = ("hdfs", "urllib3", "requests", "requests_kerberos", "spnego")
"""They log addresses, some of them as warnings; what fails reaches us as an exception anyway."""

_TRY_ANOTHER_NAMENODE = ("StandbyException", "RetriableException")


class HdfsUnavailable(StoreUnavailable):
    """HDFS cannot be used now. `look_at` names the settings to look at if that was never different."""

    def __init__(self, detail: str, look_at: str = "HDFS_ENDPOINT") -> None:
        super().__init__(f"{detail}.")
        self.look_at = look_at


class WebHdfs(Client):  # type: ignore[misc]
    """HdfsCLI's client, with errors that say what was refused, and a rename that replaces nothing."""

    is_closed = False

    def close(self) -> None:
        self._session.close()

    def rename_once(self, source: str, target: str) -> None:
        """Move a folder; HdfsError where there is something at `target`, into which it would be moved."""
        # The only variant with options is atomic. HttpFS ignores the option, and answers as without.
        answer = self._rename(source, destination=target, renameoptions="NONE")
        if answer.content and not answer.json()["boolean"]:
            raise HdfsError("the rename was refused", exception="IOException")

    def content_of(self, path: str, size_bytes: int) -> bytes:
        """A whole file, or HdfsUnavailable."""
        with self.read(path) as reader:
            content = bytes(reader.read())
        if len(content) != size_bytes:
            raise HdfsUnavailable(f"HDFS sent {len(content)} of {size_bytes} bytes of {path}")
        return content

    def _request(self, method: str, url: str, **options: Any) -> requests.Response:
        if self.is_closed:
            raise HdfsUnavailable("The service is stopping")
        response: requests.Response = super()._request(method, url, **options)
        if response.status_code < 400:
            return response
        name, message = _remote_exception(response)
        if name in _TRY_ANOTHER_NAMENODE:
            return response  # HdfsCLI does
        if response.status_code == 401 or (not name and response.status_code == 403):
            raise HdfsError(message, exception="AuthenticationException")
        if not name and response.status_code >= 500:
            raise requests.ConnectionError(request=response.request)  # a gateway, or a dying server
        raise HdfsError(message, exception=name)


def open_session(settings: HdfsSettings) -> tuple[requests.Session, str, str]:
    """A session that authenticates, who that is in words, and the settings that decide it.

    Proxies and certificates that the environment names for other programs are not used: what counts
    are the settings.

    Raises:
        StartError: The settings contradict the machine: an unreadable file, a missing package.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"  # sizes are compared
    session.verify = _verification(settings)
    if settings.hdfs_kerberos:
        try:
            from hdfs.ext.kerberos import KerberosClient
        except ImportError as error:
            raise StartError(
                "HDFS_KERBEROS needs a package that is not installed: pip install requests-kerberos."
            ) from error
        KerberosClient(settings.hdfs_endpoint, session=session)  # gives the session its authentication
        return session, "the owner of the Kerberos ticket", "HDFS_KERBEROS"
    if token := settings.hdfs_token.get_secret_value():
        session.params = {"delegation": token}
        return session, "the owner of the token", "HDFS_TOKEN"
    try:
        user = settings.hdfs_user or getpass.getuser()
    except (KeyError, OSError) as error:
        raise StartError("HDFS_USER: this process's user has no name; set the user to act as.") from error
    session.params = {"user.name": user}
    return session, f"user {user!r}", "HDFS_USER"


def _verification(settings: HdfsSettings) -> bool | str:
    if not settings.hdfs_tls_verify:
        if "https:" in settings.hdfs_endpoint:
            logger.warning("HDFS_TLS_VERIFY is off: certificates of HDFS are not checked.")
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # said once is enough
        return False
    if not settings.hdfs_ca_file:
        return True
    try:
        ssl.create_default_context(cafile=settings.hdfs_ca_file)
    except OSError as error:  # also what the ssl module raises
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise StartError(f"HDFS_CA_FILE: {settings.hdfs_ca_file} cannot be used: {reason}.") from error
    return settings.hdfs_ca_file


def _remote_exception(response: requests.Response) -> tuple[str, str]:
    """Class and message of Hadoop's own error; no class where something else has answered."""
    try:
        remote = response.json()["RemoteException"]
        return str(remote["exception"]), str(remote["message"])
    except (ValueError, KeyError, TypeError):
        return "", f"status {response.status_code}"
