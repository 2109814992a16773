"""A double of the Kubernetes API server, over HTTP on loopback.

It stores SparkApplications: create, get, list (label selector by equality, limit and continue), watch (from a
version, bookmarks, 410 after compaction), delete, merge patch of a resource and of its status, dry run,
resource versions, conflicts; it validates SparkApplications against the CRD's schema. Secrets are as these,
without rules of their own. It answers reviews of one's own access by `forbidden`, and the logs of pods that a
test has given it. Faults can be set.

What it does not do: run anything; admission webhooks, quotas, CEL rules, defaults of built-in
types; finalizers and deletion in the foreground; server-side apply, JSON patch, PUT, generateName;
label selectors beyond `key=value`, field selectors; continuation of a list as it was
(but 410 once that was compacted away); authorization beyond `forbidden`; any other resource.
"""

import asyncio
import copy
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from benchmarks.support.kubernetes_schema import Refusal, Schema, crd_schema, merged

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Resource (plural), namespace and name."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MOST_ETCD_BYTES = 3 << 19
_MOST_BODY_BYTES = 3 << 20
_POLL_SECONDS = 0.02


@dataclass
class Fault:
    """What happens to the next requests of a kind, `times` of them."""

    method: str = ""
    """Empty: any; `WATCH` for watches, which are no `GET` here."""
    path: str = ""
    """Part of the path."""
    status: int = 0
    """Answer with this; nothing is carried out. 429 is plain text, as of a server with too much to do."""
    message: str = "as the test wants it"
    retry_after: int | None = None
    drop: Literal["", "before", "after"] = ""
    """Break the connection, before or after carrying the request out."""
    delay_seconds: float = 0.0
    is_effective_late: bool = False
    """With a delay: carry out first, answer late."""
    times: int = 1


@dataclass
class KubernetesApi:
    """The state behind the server; tests may look at it and set faults."""

    group: str = "sparkoperator.k8s.io"
    version: str = "v1beta2"
    """Of SparkApplications, as whose operator wants them."""
    namespaces: set[str] = field(default_factory=lambda: {"default"})
    schema: Schema | None = field(default_factory=crd_schema)
    token: str = ""
    """Required of every request, if set."""
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """Verb and resource, such as ("create", "sparkapplications")."""
    has_crd: bool = True
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What admission policies say to each creation that they let pass."""
    user_agents: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    """Verb and path of everything that was asked."""
    resources: dict[Key, Json] = field(default_factory=dict)
    logs: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Namespace and pod to its lines so far."""
    waiting_pods: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why nothing runs in a pod."""
    ended_pods: set[tuple[str, str]] = field(default_factory=set)
    """Whose log will not go on."""
    bookmark_seconds: float = 60.0
    """Between the bookmarks of a watch, as a real server sends them: a quiet watch says nothing for long."""
    compact_between_pages: int = 0
    """So many times everything is compacted away after a page that another one follows."""
    lines_per_stamp: int = 1
    """Lines of a log that have the same time stamp, as some container runtimes write them."""
    url: str = ""
    _version: int = 100
    _compacted: int = 0
    _events: list[tuple[int, str, str, Json]] = field(default_factory=list)
    _left: dict[int, Json] = field(default_factory=dict)
    """By version, how a resource was before, for watches whose selector it has left."""
    _cuts: int = 0
    _restored: int = 0
    _broken_logs: int = 0
    _is_closing: bool = False

    def fail(self, **fault: Any) -> None:
        self.faults.append(Fault(**fault))

    def compact(self) -> None:
        """Forget what has happened so far: watches from before get 410."""
        self._compacted = self._version
        self._events.clear()

    def break_watches(self) -> None:
        """End all present watches with 410, as a server does whose history was compacted meanwhile."""
        self.compact()
        self._version += 1
        self._compacted = self._version

    def cut_watches(self) -> None:
        """Break the connections of all present watches, as a proxy does that cuts what is quiet."""
        self._cuts += 1

    def restore(self, version: int) -> None:
        """Give lower versions to everything, as a server does whose etcd was restored; watches get 410."""
        self._events.clear()
        self._version = version
        for resource in self.resources.values():
            self._version += 1
            resource["metadata"]["resourceVersion"] = str(self._version)
        self._restored += 1

    def break_logs(self) -> None:
        """Break the connections that follow a log."""
        self._broken_logs += 1

    def delete(self, name: str, namespace: str = "default") -> None:
        """As somebody with kubectl would."""
        self._delete(("sparkapplications", namespace, name))

    def tell(self, kind: str, resource: Json) -> None:
        """Send an event to watches that nothing here has caused."""
        self._version += 1
        resource = copy.deepcopy(resource)
        self._events.append((self._version, kind, "sparkapplications", resource))

    def names(self, namespace: str = "default", plural: str = "sparkapplications") -> list[str]:
        return [key[2] for key in self.resources if key[:2] == (plural, namespace)]

    # --- HTTP -------------------------------------------------------------------------------------

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_MOST_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        is_watch = request.query.get("watch") in ("true", "1")
        method = "WATCH" if is_watch else request.method
        self.requests.append(f"{method} {request.path}")
        self.user_agents.add(request.headers.get("User-Agent", ""))
        fault = self._fault(method, request.path)
        try:
            body = await request.json() if request.can_read_body else {}
            if fault and not fault.is_effective_late:
                await asyncio.sleep(fault.delay_seconds)
            if fault and fault.drop == "before":
                return _abort(request)
            if fault and fault.status:
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                if fault.status == 429:
                    text = "Too many requests, please try again later.\n"
                    return web.Response(status=429, text=text, headers=headers)
                refusal = Refusal(fault.status, "InternalError", fault.message)
                return web.json_response(refusal.status, status=fault.status, headers=headers)
            response = await self._answer(request, method, body)
            if fault and fault.is_effective_late:
                await asyncio.sleep(fault.delay_seconds)
            return _abort(request) if fault and fault.drop == "after" else response
        except ConnectionError:  # the client has gone
            return web.Response()

    async def _answer(self, request: web.Request, method: str, body: Json) -> web.StreamResponse:
        try:
            return await self._route(request, method, body)
        except Refusal as refusal:
            return web.json_response(refusal.status, status=refusal.code)

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method in ("", method) and fault.path in path:
                fault.times -= 1
                return fault
        return None

    async def _route(self, request: web.Request, method: str, body: Json) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if request.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            return web.json_response(self._reviewed(body), status=201)
        match = re.fullmatch(
            rf"/(?:api/v1|apis/{re.escape(self.group)}/{self.version})/namespaces/(?P<namespace>[^/]+)"
            r"/(?P<plural>sparkapplications|pods|secrets)(?:/(?P<name>[^/]+)(?:/(?P<sub>status|log))?)?",
            request.path,
        )
        if match is None or (match["plural"] == "sparkapplications" and not self.has_crd):
            return web.Response(status=404, text="404 page not found\n")
        namespace, plural, name = match["namespace"], match["plural"], match["name"]
        verb = {"POST": "create", "GET": "get" if name else "list"}.get(method, method.lower())
        resource = f"{plural}/{match['sub']}" if match["sub"] == "log" else plural
        self._authorize(verb, resource, namespace)
        query = request.query
        if resource == "pods/log":
            return await self._log(request, (namespace, name))
        if method == "WATCH":
            return await self._watch(request, plural, namespace)
        if method == "POST":
            created, warnings = self._create(plural, namespace, body, query)
            answer = web.json_response(created, status=201)
            for text in warnings:  # a line each
                quoted = text.replace("\\", r"\\").replace('"', r"\"")
                answer.headers.add("Warning", f'299 - "{quoted}"')
            return answer
        if name is None:
            return web.json_response(self._list(plural, namespace, query))
        key = (plural, namespace, name)
        if method == "DELETE":
            deleted = self._delete(key)
            details = {"name": name, "kind": plural, "uid": deleted["metadata"]["uid"]}
            return web.json_response({"kind": "Status", "status": "Success", "details": details})
        if method == "PATCH":
            return web.json_response(self._patch(key, body, request.content_type, match["sub"] == "status"))
        return web.json_response(self._get(key))

    def _authorize(self, verb: str, resource: str, namespace: str) -> None:
        if (verb, resource) in self.forbidden:
            group = self._group(resource)
            raise Refusal(
                403,
                "Forbidden",
                f'{resource}.{group} is forbidden: User "system:serviceaccount:default:enel" cannot {verb}'
                f' resource "{resource}" in API group "{group}" in the namespace "{namespace}"',
                kind=resource,
            )

    def _group(self, resource: str) -> str:
        return self.group if resource == "sparkapplications" else ""

    def _reviewed(self, review: Json) -> Json:
        """Whether who asks may do what; of somebody who may everything but what is forbidden."""
        asked = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        return {**review, "status": {"allowed": (asked["verb"], resource) not in self.forbidden}}

    # --- resources --------------------------------------------------------------------------------

    def _create(self, plural: str, namespace: str, body: Json, query: Any) -> tuple[Json, list[str]]:
        if namespace not in self.namespaces:
            message = f'namespaces "{namespace}" not found'
            raise Refusal(404, "NotFound", message, name=namespace, kind="namespaces")
        resource = copy.deepcopy(body)
        metadata = resource.setdefault("metadata", {})
        name = str(metadata.get("name") or "")
        if metadata.setdefault("namespace", namespace) != namespace:
            raise Refusal(400, "BadRequest", "the namespace of the object does not match the request")
        resource.pop("status", None)
        warnings = self._prune(plural, resource, query.get("fieldValidation", "Warn"))
        self._validate(plural, name, resource)
        key = (plural, namespace, name)
        if key in self.resources:
            message = f'{plural}.{self._group(plural)} "{name}" already exists'
            raise Refusal(409, "AlreadyExists", message, name=name, kind=plural)
        metadata |= {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": now(),
            "generation": 1,
        }
        if query.get("dryRun") != "All":  # which never reaches etcd
            if len(json.dumps(resource)) > _MOST_ETCD_BYTES:
                raise Refusal(500, "InternalError", "etcdserver: request is too large")
            self._store("ADDED", key, resource)
        return resource, [*warnings, *self.warnings]

    def _prune(self, plural: str, resource: Json, validation: str) -> list[str]:
        if plural != "sparkapplications" or self.schema is None:
            return []
        messages = [f'unknown field "{path}"' for path in self.schema.prune(resource)]
        if messages and validation == "Strict":
            raise Refusal(400, "BadRequest", f"strict decoding error: {', '.join(messages)}")
        return messages if validation == "Warn" else []

    def _validate(self, plural: str, name: str, resource: Json) -> None:
        causes = []
        if not _NAME.fullmatch(name) or len(name) > 253:
            causes.append({"field": "metadata.name", "reason": "FieldValueInvalid", "message": "no DNS name"})
        if plural == "sparkapplications" and self.schema is not None:
            causes += self.schema.causes(resource)
        if causes:
            said = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
            message = f'{resource.get("kind")}.{self._group(plural)} "{name}" is invalid: {said}'
            raise Refusal(422, "Invalid", message, name=name, kind=resource.get("kind"), causes=causes)

    def _get(self, key: Key) -> Json:
        if key not in self.resources:
            plural, _, name = key
            message = f'{plural}.{self._group(plural)} "{name}" not found'
            raise Refusal(404, "NotFound", message, name=name, kind=plural)
        return self.resources[key]

    def _list(self, plural: str, namespace: str, query: Any) -> Json:
        found = [
            resource
            for key, resource in sorted(self.resources.items())
            if key[:2] == (plural, namespace) and _selected(resource, query)
        ]
        first, _, version = (query.get("continue") or "0@").partition("@")
        if version and int(version) < self._compacted:
            raise Refusal(410, "Expired", "The provided continue parameter is too old to display a list")
        start = int(first)
        end = start + int(query.get("limit") or len(found) or 1)
        metadata = {"resourceVersion": str(self._version)}
        if end < len(found):
            metadata["continue"] = f"{end}@{self._version}"
            if self.compact_between_pages > 0:
                self.compact_between_pages -= 1
                self.break_watches()
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found[start:end]}

    def _patch(self, key: Key, patch: Json, content_type: str, is_status: bool) -> Json:
        if content_type != "application/merge-patch+json":
            raise Refusal(415, "UnsupportedMediaType", "only merge patches are known here")
        present = self._get(key)
        expected = patch.get("metadata", {}).get("resourceVersion")
        if expected not in (None, present["metadata"]["resourceVersion"]):
            message = f'Operation cannot be fulfilled on {key[0]} "{key[2]}": the object has been modified'
            raise Refusal(409, "Conflict", message, name=key[2], kind=key[0])
        wanted = {name: value for name, value in patch.items() if (name == "status") == is_status}
        patched = merged(present, wanted)
        self._prune(key[0], patched, "Ignore")
        self._validate(key[0], key[2], patched)
        if patched != present:
            self._store("MODIFIED", key, patched, present)
        return patched

    def _delete(self, key: Key) -> Json:
        deleted = copy.deepcopy(self._get(key))
        del self.resources[key]
        self._version += 1
        deleted["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, "DELETED", key[0], deleted))
        return deleted

    def _store(self, kind: str, key: Key, resource: Json, before: Json | None = None) -> None:
        self._version += 1
        resource["metadata"]["resourceVersion"] = str(self._version)
        self.resources[key] = resource
        self._events.append((self._version, kind, key[0], copy.deepcopy(resource)))
        if before is not None:
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(self._version)
            self._left[self._version] = gone

    # --- streams ----------------------------------------------------------------------------------

    async def _watch(self, request: web.Request, plural: str, namespace: str) -> web.StreamResponse:
        query = request.query
        loop = asyncio.get_running_loop()
        deadline = loop.time() + float(query.get("timeoutSeconds") or 3600)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        version = int(query.get("resourceVersion") or 0)
        if version == 0:
            version = self._version
            for resource in self._list(plural, namespace, {})["items"]:
                if _selected(resource, query):
                    await _send(response, "ADDED", resource)
        restored, cuts = self._restored, self._cuts
        bookmark_at = loop.time() + self.bookmark_seconds
        while loop.time() < deadline and not self._is_closing:
            if cuts != self._cuts:
                return _abort(request)
            if version < self._compacted or restored != self._restored or version > self._version:
                expired = Refusal(410, "Expired", f"too old resource version: {version} ({self._compacted})")
                await _send(response, "ERROR", expired.status)
                break
            for at, kind, what, resource in list(self._events):
                if at > version:
                    version = at
                    in_it = what == plural and resource["metadata"]["namespace"] == namespace
                    before = self._left.get(at)
                    was_selected = before is not None and _selected(before, query)
                    if in_it and _selected(resource, query):
                        is_new = before is not None and not was_selected
                        await _send(response, "ADDED" if is_new else kind, resource)
                    elif in_it and was_selected and before is not None:
                        await _send(response, "DELETED", before)
            if query.get("allowWatchBookmarks") == "true" and loop.time() > bookmark_at:
                bookmark_at = loop.time() + self.bookmark_seconds
                bookmark = {"kind": "SparkApplication", "metadata": {"resourceVersion": str(version)}}
                await _send(response, "BOOKMARK", bookmark)
            await asyncio.sleep(_POLL_SECONDS)
        return response

    async def _log(self, request: web.Request, pod: tuple[str, str]) -> web.StreamResponse:
        if pod not in self.logs:
            raise Refusal(404, "NotFound", f'pods "{pod[1]}" not found', name=pod[1], kind="pods")
        if pod in self.waiting_pods:
            why = self.waiting_pods[pod]
            said = f'container "spark-kubernetes-driver" in pod "{pod[1]}" is waiting to start: {why}'
            raise Refusal(400, "BadRequest", said)
        query = request.query
        stamped = query.get("timestamps") == "true"
        start = max(0, len(self.logs[pod]) - int(query["tailLines"])) if "tailLines" in query else 0
        if "sinceTime" in query:
            start = sum(self._stamp(number) < query["sinceTime"] for number in range(len(self.logs[pod])))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        breaks = self._broken_logs
        while not self._is_closing:
            if breaks != self._broken_logs:
                return _abort(request)
            lines = self.logs.get(pod, [])
            for number in range(start, len(lines)):
                text = f"{self._stamp(number)} {lines[number]}" if stamped else lines[number]
                await response.write(f"{text}\n".encode())
            start = len(lines)
            if query.get("follow") != "true" or pod in self.ended_pods or pod not in self.logs:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return response

    def _stamp(self, number: int) -> str:
        number //= self.lines_per_stamp
        return f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000000Z"


@contextmanager
def kubernetes_api(**state: Any) -> Iterator[KubernetesApi]:
    """A server in a thread of its own; the fields of `KubernetesApi` may be given."""
    api = KubernetesApi(**state)
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(api.application(), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def stop(runner: web.AppRunner) -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # of connections that were aborted
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, name="kubernetes-api", daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        api._is_closing = True
        asyncio.run_coroutine_threadsafe(stop(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _abort(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _send(response: web.StreamResponse, kind: str, resource: Json) -> None:
    await response.write(json.dumps({"type": kind, "object": resource}).encode() + b"\n")


def _selected(resource: Json, query: Any) -> bool:
    labels = resource["metadata"].get("labels") or {}
    wanted = [part.partition("=")[::2] for part in (query.get("labelSelector") or "").split(",") if part]
    return all(labels.get(name) == value for name, value in wanted)
