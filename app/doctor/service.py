"""A running service, where one answers: whether it knows who asks."""

import httpx

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from app.client.retries import NEVER
from app.doctor.finding import Finding, ok, skipped, wrong

_SERVICE, _TOKEN = "Service", "Token"
_SECONDS = 5.0
_SET = "Set ENEL_TOKEN, or one in a profile (docs/cli.md)."


async def check_service(url: str, token: str) -> list[Finding]:
    """Nothing is wrong where none runs: the rest is looked at without it."""
    try:
        async with AsyncClient(url, token=token, timeout_seconds=_SECONDS, retries=NEVER) as client:
            response = await client.http.get("/readyz")
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                detail = ProblemError.of(response).detail
                return [wrong(_SERVICE, f"{url} is not ready: {detail}", "Mend what is wrong above.")]
            if not response.is_success:
                said = f"{url} answers {response.status_code} to /readyz"
                return [wrong(_SERVICE, said, "Set ENEL_URL to the address of an Enel Service.")]
            return [ok(_SERVICE, f"{url} is ready"), await _token(client, bool(token))]
    except httpx.TransportError:
        return [skipped(_SERVICE, f"none answers at {url}; `enel serve` starts one")]


async def _token(client: AsyncClient, is_given: bool) -> Finding:
    try:
        who = await client.me()
    except ProblemError as problem:
        if problem.status == httpx.codes.NOT_FOUND:
            return skipped(_TOKEN, "this service does not say who asks")
        if problem.status == httpx.codes.UNAUTHORIZED and not is_given:
            return wrong(_TOKEN, "the service wants a token, and none is set", _SET)
        if problem.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return wrong(
                _TOKEN,
                f"the service refuses it: {problem.detail or problem.title}",
                "Set ENEL_TOKEN to one that is valid; an admin makes one with `enel tokens create`.",
            )
        return wrong(_TOKEN, f"the service cannot say: {problem}", "Look at the service's log.")
    if who.get("permissions") == [] and not is_given:
        return wrong(_TOKEN, "the service wants a token, and none is set", _SET)
    role = f", {who['role']}" if who.get("role") else ""
    return ok(_TOKEN, f"asks as {who.get('name', 'somebody')}{role}")
