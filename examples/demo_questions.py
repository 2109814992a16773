"""The last part of `make demo-digits`: pictures are classified on the page, people say what they show, the
next training learns from that, and the version before comes back.
"""

import io
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent / "digits"))

import make_data

from app.client.client import Client

Json = dict[str, Any]

PICTURES = 12
_SEED = 7
"""Other pictures than those of `mnist.npz`, of the same scans."""

_PATIENCE_SECONDS = 120.0
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Picture:
    """A PNG, and the digit that it shows."""

    content: bytes
    digit: int


def pictures() -> list[Picture]:
    """Drawn anew."""
    made = make_data.make(2_000, seed=_SEED)
    chosen = range(1_800, 1_800 + PICTURES)  # behind the scans as they are: turned, shifted, with noise
    return [Picture(_png(made["images"][number]), int(made["labels"][number])) for number in chosen]


def classify_on_the_page(console: Console, url: str, client: Client, model: str) -> list[Json]:
    """What the model answers to pictures that are sent as the page's own form sends them."""
    shown = pictures()
    with httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS) as browser:
        page = browser.get(f"/ui/prediction/{model}")
        page.raise_for_status()
        token = _TOKEN.search(page.text)
        if token is None:
            raise RuntimeError("the page of predictions has no form")
        files = [("file.image", (f"{number}.png", each.content)) for number, each in enumerate(shown)]
        answer = browser.post(
            f"/ui/prediction/{model}",
            data={"csrf_token": token[1]},
            files=files,
            headers={"origin": url, "sec-fetch-site": "same-origin"},
        )
        answer.raise_for_status()
    latest = client.predictions(model, limit=PICTURES)["items"]
    by_id = {each["id"]: each for each in latest}
    ids = list(dict.fromkeys(found for found in re.findall(r"p-[0-9a-f]{24}", answer.text) if found in by_id))
    if len(ids) != PICTURES:
        raise RuntimeError(f"the page shows {len(ids)} answers to {PICTURES} pictures")
    found = [{**by_id[each], "digit": picture.digit} for each, picture in zip(ids, shown, strict=True)]
    right = sum(each["label"] == str(each["digit"]) for each in found)
    console.print(
        f"  version {found[0]['version']}: {right} of {PICTURES} pictures are read right", style="dim"
    )
    return found


def say_what_they_show(console: Console, client: Client, model: str, answers: list[Json]) -> None:
    """Feedback to each answer, and what it has moved."""
    for each in answers:
        client.give_feedback(model, each["id"], label=str(each["digit"]))
    [live] = [
        live
        for version in client.served_model(model)["versions"]
        for live in version["live"]
        if version["version"] == answers[0]["version"] and live["role"] == "primary"
    ]
    console.print(f"  live: {live['right']} right, {live['wrong']} wrong", style="dim")


def let_serve(console: Console, client: Client, model: str, version: int) -> float:
    """Make a version serve, and wait until it answers; asked all the while. Seconds. Raises on any error."""
    picture = pictures()[0].content
    client.set_alias(model, "champion", version, reason="the demo shows it")
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE_SECONDS:
        if client.predict(model, {"image": picture})["version"] == version:
            seconds = time.monotonic() - began
            console.print(f"  version {version} answers after {seconds:.1f} s", style="dim")
            return seconds
        time.sleep(0.1)
    raise RuntimeError(f"version {version} does not answer within {_PATIENCE_SECONDS:g} s")


def _png(pixels: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
