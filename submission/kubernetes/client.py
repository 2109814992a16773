"""The Kubernetes API server: how to connect, and requests that are repeated where that is safe.

The only module that knows the `kubernetes` package. Of it the connection is used (kubeconfig with
its exec plugins, service accounts, TLS); resources travel as the JSON that they are.
"""

import asyncio
import json
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.utils.retry import Backoff, on_retry_after_error, retry_after_seconds

from common.addresses import http_address, parse_address
from common.errors import ServiceError, StartError
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.errors import Access, KubernetesUnavailable, error_of
from submission.kubernetes.keepalive import keep_alive
from submission.log_lines import ByteLines

logger = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")
Reload = Callable[[], Awaitable[None]]

MERGE_PATCH = "application/merge-patch+json"

_USER_AGENT = "enel-service"
"""As audit logs and API priority and fairness see who asks."""

_BACKOFF = Backoff(steps=5, duration=0.2, factor=3.0, jitter=0.2, cap=5.0)
_LONGEST_RETRY_AFTER_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_MOST_LINE_BYTES = 16 << 20
"""Of an answer that goes on; of a longer line the rest is left out."""
_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
_NOT_FROM_AN_API_SERVER = (ValueError, UnicodeDecodeError)
_BAD_KUBECONFIG = (
    ConfigException,
    OSError,
    yaml.YAMLError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,  # of a user's home that is not known
)
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')
"""Of several in a header, which a proxy may have joined, each; a date may follow."""
_CHANGED_MEANWHILE = "Operation cannot be fulfilled on "
"""What a creation is told that a quota counted together with another one: nothing was created."""


@dataclass(frozen=True)
class Answer:
    body: bytes
    warnings: tuple[str, ...] = ()
    """What the API server had to say although it did what was asked."""

    def json(self) -> Json:
        """The resource. Raises KubernetesUnavailable where that is no JSON object."""
        try:
            resource = json.loads(self.body)
        except _NOT_FROM_AN_API_SERVER as error:
            raise _no_api_server() from error
        if not isinstance(resource, dict):
            raise _no_api_server()
        return resource

    def text(self) -> str:
        return self.body.decode(errors="replace")


class Kubernetes:
    """A client for the life of the service.

    Reads, and deletions, which are as good twice, are repeated with growing pauses after 429, 5xx
    and network errors; a creation only where it certainly was not carried out. Everything else
    reaches the caller as an error that says whether the outcome is known.

    Args:
        reload: Reads the credentials again, after a 401: tokens expire.
    """

    def __init__(
        self,
        api: ApiClient,
        timeout_seconds: float,
        *,
        reload: Reload | None = None,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._api = api
        self._timeout_seconds = timeout_seconds
        self._reload = reload
        self._backoff = backoff

    async def request(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        changes_nothing: bool = False,
    ) -> Answer:
        """One request and its answer.

        Args:
            changes_nothing: Whatever the method suggests, as with a dry run.
        Raises:
            KubernetesUnavailable: No usable answer, after several attempts where that is safe;
                `outcome_unknown` says whether the request may have been carried out.
            KubernetesForbidden: RBAC lacks a rule for `access`.
            ServiceError: What the API server answered otherwise, see `error_of`.
        """
        timeout = aiohttp.ClientTimeout(
            total=self._timeout_seconds, sock_connect=min(_CONNECT_SECONDS, self._timeout_seconds)
        )

        async def once() -> Answer:
            response = await self._send(method, path, query, body, content_type, timeout)
            async with response:
                content = await response.read()
            if response.status >= 400:
                raise _failure(response, content)
            return Answer(content, _warnings(response))

        is_read = method == "GET" or changes_nothing
        repeatable = is_read or method == "DELETE"
        deadline = asyncio.get_running_loop().time() + 2 * self._timeout_seconds

        def is_worth_another(error: Exception) -> bool:
            if asyncio.get_running_loop().time() > deadline:
                return False
            if isinstance(error, ApiException):
                if (retry_after_seconds(error) or 0.0) > _LONGEST_RETRY_AFTER_SECONDS:
                    return False
                is_for_now = error.status == 409 and _CHANGED_MEANWHILE in (error.body or "")
                return error.status == 429 or is_for_now or (repeatable and error.status >= 500)
            if isinstance(error, aiohttp.ClientSSLError):
                return False
            return isinstance(error, _NETWORK_ERRORS) and (repeatable or _was_never_sent(error))

        async def repeatedly() -> Answer:
            return await self._with_credentials(
                lambda: on_retry_after_error(self._backoff, is_worth_another, once)
            )

        return await self._translated(repeatedly, access, outcome_matters=not is_read)

    async def lines(
        self,
        path: str,
        access: Access,
        query: Mapping[str, str],
        *,
        seconds: float | None = None,
        silence_seconds: float | None = None,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an answer that goes on, until the API server ends it.

        Args:
            seconds: Longest duration as a whole.
            silence_seconds: Longest time without a byte: a dead connection says nothing either.
            opened: Called when the API server has begun to answer.
        Raises:
            ServiceError: As `request`; nothing is repeated.
        """
        timeout = aiohttp.ClientTimeout(
            total=seconds,
            sock_connect=min(_CONNECT_SECONDS, self._timeout_seconds),
            sock_read=silence_seconds,
        )

        async def open_() -> aiohttp.ClientResponse:
            response = await self._send("GET", path, query, None, "application/json", timeout)
            if response.status >= 400:
                async with response:
                    raise _failure(response, await response.read())
            return response

        response = await self._translated(lambda: self._with_credentials(open_), access)
        keep_alive(response)
        opened()
        try:
            # Not by `readline`: it raises for lines of 128 KiB, which logs and resources may have.
            found = ByteLines(_MOST_LINE_BYTES)
            while piece := await self._translated(response.content.readany, access):
                for line, _ in found.feed(piece):
                    yield line
            for line, _ in found.end():
                yield line
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Json | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        verb, url, headers, data, _ = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(verb, url, headers, data, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _with_credentials(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except ApiException as error:
            if error.status != 401 or self._reload is None:
                raise
        await self._reload()
        return await work()

    async def _translated(
        self, work: Callable[[], Awaitable[T]], access: Access, *, outcome_matters: bool = False
    ) -> T:
        try:
            return await work()
        except ApiException as error:
            raise error_of(
                error.status, error.body or "", error.headers, access, outcome_unknown=outcome_matters
            ) from error
        except _NETWORK_ERRORS as error:
            unknown = outcome_matters and not _was_never_sent(error)
            raise self._unreachable(error, access, unknown) from error
        except _NOT_FROM_AN_API_SERVER as error:  # also a line that is longer than any resource
            raise _no_api_server() from error

    def _unreachable(self, error: Exception, access: Access, unknown: bool) -> KubernetesUnavailable:
        where = _address(self._api.configuration.host)
        if isinstance(error, aiohttp.ClientSSLError):
            return KubernetesUnavailable(
                f"The API server at {where}: no TLS connection, or its certificate is not trusted.",
                look_at="KUBERNETES_CA_FILE and KUBERNETES_TLS_VERIFY",
            )
        if isinstance(error, TimeoutError):
            detail = (
                f"The API server at {where} does not answer within {self._timeout_seconds:g} s ({access})."
            )
        elif isinstance(error, aiohttp.ClientConnectorError):
            reason = error.os_error.strerror or "no answer"
            detail = f"The API server at {where} cannot be reached: {reason}."
        else:
            detail = f"The API server at {where} broke off the connection ({access})."
        return KubernetesUnavailable(detail, outcome_unknown=unknown)


@asynccontextmanager
async def kubernetes_client(
    settings: KubernetesSettings, *, backoff: Backoff = _BACKOFF
) -> AsyncIterator[Kubernetes]:
    """A client for the configured API server, which has not been asked anything yet.

    Proxies that the environment names for other programs are not used; a kubeconfig's `proxy-url` is.

    Raises:
        StartError: The settings contradict the machine: an unreadable file, no service account.
    """
    configuration = Configuration(client_session_kwargs={"trust_env": False})

    async def load() -> None:
        await _load(settings, configuration)

    await load()
    try:
        api = ApiClient(configuration)
    except OSError as error:  # also what the ssl module raises
        setting = "KUBERNETES_CA_FILE" if settings.kubernetes_ca_file else "KUBECONFIG"
        reason = "holds no usable certificates" if isinstance(error, ssl.SSLError) else str(error.strerror)
        raise StartError(f"{setting}: a file with certificates cannot be used: {reason}.") from error
    api.user_agent = _USER_AGENT
    _warn(settings, configuration.host)
    try:
        yield Kubernetes(api, settings.kubernetes_timeout_seconds, reload=_reload_with(load), backoff=backoff)
    finally:
        await api.close()


async def _load(settings: KubernetesSettings, configuration: Configuration) -> None:
    if settings.kubeconfig:
        await _load_kubeconfig(settings.kubeconfig, configuration)
    elif settings.kubernetes_in_cluster:
        try:
            load_incluster_config(client_configuration=configuration)
        except (ConfigException, OSError) as error:
            raise StartError(
                f"KUBERNETES_IN_CLUSTER: no service account of a pod is here: {error}"
            ) from error
    else:
        configuration.host = settings.kubernetes_endpoint
        if token := settings.kubernetes_api_key.get_secret_value():
            configuration.api_key["BearerToken"] = token
            configuration.api_key_prefix["BearerToken"] = settings.kubernetes_api_key_prefix
    _check_host(settings, configuration.host)
    if settings.kubernetes_ca_file:
        configuration.ssl_ca_cert = settings.kubernetes_ca_file
    if not settings.kubernetes_tls_verify:
        configuration.verify_ssl = False


def _check_host(settings: KubernetesSettings, host: object) -> None:
    """Of a kubeconfig nobody has looked at it yet. Raises StartError."""
    try:
        if not isinstance(host, str) or "://" not in host:
            raise ValueError("not an address")
        http_address(host, "an API server has one such as https://10.0.0.1:6443", "https")
    except ValueError as error:
        raise StartError(f"{settings.setting}: the address of the API server: {error}.") from error


async def _load_kubeconfig(path: str, configuration: Configuration) -> None:
    try:
        if not any(Path(part).expanduser().is_file() for part in path.split(":")):  # noqa: ASYNC240
            raise StartError(f"KUBECONFIG: there is no file {path}.")
        # Persisting would write to the file at once, whatever it holds.
        await load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)
    except _BAD_KUBECONFIG as error:
        # The file holds secrets, and so may a message about its content.
        reason = str(error) if isinstance(error, ConfigException) else type(error).__name__
        raise StartError(f"KUBECONFIG: {path} cannot be used: {reason}.") from error


def _reload_with(load: Reload) -> Reload:
    async def reload() -> None:
        try:
            await load()
        except StartError as error:  # it worked when the service started
            logger.warning("The credentials for Kubernetes cannot be read again: %s", error)

    return reload


def _warn(settings: KubernetesSettings, host: str) -> None:
    if not settings.kubernetes_tls_verify:
        logger.warning("KUBERNETES_TLS_VERIFY is off: the API server's certificate is not checked.")
    parts = parse_address(host)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme == "http" and not local and settings.kubernetes_api_key.get_secret_value():
        logger.warning("KUBERNETES_API_KEY travels unencrypted: KUBERNETES_ENDPOINT is http.")


def _failure(response: aiohttp.ClientResponse, content: bytes) -> ApiException:
    error = ApiException(
        status=response.status, reason=response.reason, body=content.decode(errors="replace")
    )
    error.headers = response.headers
    return error


def _warnings(response: aiohttp.ClientResponse) -> tuple[str, ...]:
    found = _WARNING.findall(", ".join(response.headers.getall("Warning", ())))
    return tuple(re.sub(r"\\(.)", r"\1", text) for text in found)


def _was_never_sent(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _address(host: str) -> str:
    """Host and port; never more of an address."""
    parts = parse_address(host)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}"


def _no_api_server() -> ServiceError:
    return KubernetesUnavailable(
        "What answers is not a Kubernetes API server.", look_at="KUBERNETES_ENDPOINT or KUBECONFIG"
    )
