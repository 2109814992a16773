"""How fast served models answer, and what serving costs.

    python benchmarks/serving.py [--seconds 15] [--parts grid batching overhead replicas changes memory]

Starts a service of its own and puts models into it. Times are those of clients on the same machine, which
take part of its processors.

- grid: an untrained ResNet-50 (ONNX) asked with a JPEG of 224×224, by 1 to 4 users (Locust) of 1 and 2
  replicas, and feedback to each answer; beside the means of a published service, and beside onnxruntime
  alone with the same picture, in a process of its own, in turn.
- batching: a small network asked by 32 users (Locust), with rows computed together and one by one, in turn.
- overhead: a model that does nothing, asked by one user.
- replicas: a model that keeps one core busy, with one replica and with two.
- changes: 1,000 requests while a version is promoted and rolled back.
- memory: of the service and all that it starts, after 1,000 requests and after 10,000.
"""

import argparse
import asyncio
import contextlib
import csv
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.client import AsyncClient  # noqa: E402
from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402
from benchmarks.support.onnxruntime_alone import in_turn  # noqa: E402
from benchmarks.support.resnet import SIZE, as_onnx, resnet50, small_network  # noqa: E402

PUBLISHED_MS = {1: (367.0, 292.0, 265.0, 399.0), 2: (268.0, 270.0, 276.0, 288.0)}
"""Means of a published service with the same kind of model: by instances, for 1 to 4 users."""

OVER_BARE = 1.3
FEEDBACK_MS = 9.0
BATCHING = 1.5
OVERHEAD_MS = {"p50": 12.0, "p99": 40.0}
TWO_REPLICAS = 1.7
MEMORY = 1.05

_WAIT_MILLISECONDS = 20
"""That rows wait for others, where they are computed together."""

NOTHING = "def predict(inputs):\n    return 1\n"
BUSY = """
import time

def predict(inputs):
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    return 1
"""
PARTS = ("grid", "batching", "overhead", "replicas", "changes", "memory")

_LARGE = {
    "WORKSPACE_MAX_FILE_BYTES": str(256 << 20),
    "WORKSPACE_MAX_BYTES": str(1 << 30),
    "MAX_BODY_BYTES": str(256 << 20),
}
console = open_console()
Json = dict[str, Any]


async def main(parts: list[str], seconds: float) -> int:
    """Print the figures; how many bars are missed."""
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            service_process(folder / "service", **ALONE, **_LARGE) as url,
            AsyncClient(url, timeout_seconds=300) as client,
        ):
            await client.create_workspace("bench")
            for part in parts:
                began = time.monotonic()
                bars += await _PARTS[part](client, url, folder, seconds)
                await _end_all(client)
                console.print(f"{part}: {time.monotonic() - began:.0f} s", style="dim")
    show(console, [_machine(), bars_section(bars)])
    return sum(not bar.is_met for bar in bars)


# --- the grid -----------------------------------------------------------------------------------------


async def _grid(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    content = await asyncio.to_thread(as_onnx, resnet50(), 3, SIZE)
    model, picture = folder / "resnet50.onnx", folder / "picture.jpg"
    model.write_bytes(content)
    _picture(SIZE, "RGB").save(picture, "JPEG", quality=90)
    preprocessing = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    image = {"type": "image", "mode": "RGB", "width": SIZE, "height": SIZE, "layout": "NCHW", **preprocessing}
    signature = {"inputs": {"image": image}, "output": {"scores": "scores", "activation": "softmax"}}
    await _publish(client, "resnet50", {"model.onnx": content, "signature.json": _json(signature)})
    bars, rows = [], []
    alone, bare = 0.0, 0.0
    for replicas in (1, 2):
        await _serve(client, "resnet50", picture.read_bytes(), replicas=replicas)
        if replicas == 1:
            alone, bare = await in_turn(url, "resnet50", model, picture)
        for users, published in enumerate(PUBLISHED_MS[replicas], 1):
            stats = await _locust(url, "resnet50", picture, users, seconds)
            predict, feedback = (float(stats[name][_MEAN]) for name in ("predict", "feedback"))
            rows.append([f"{users}", f"{replicas}", f"{predict:.1f}", f"{feedback:.1f}", f"{published:.0f}"])
            cell = f"{users} users, {replicas} replicas"
            bars.append(Bar(f"predict ms, {cell}", predict, published))
            bars.append(Bar(f"feedback ms, {cell}", feedback, FEEDBACK_MS))
    bars.append(Bar("predict ms alone, over onnxruntime alone", alone, OVER_BARE, bare))
    columns = ("users", "replicas", "predict ms", "feedback ms", "published ms")
    show(console, [Section("ResNet-50, JPEG of 224×224, means", columns, rows)])
    return bars


_MEAN, _RATE, _P95 = "Average Response Time", "Requests/s", "95%"
"""Columns of Locust."""


async def _locust(
    url: str, model: str, picture: Path, users: int, seconds: float, kind: str = "Person"
) -> dict[str, dict[str, str]]:
    """Locust's columns by the name of a request.

    Args:
        seconds: Rounded up: Locust knows whole ones only.
        kind: Of users in `serving_users.py`.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "serving_users.py"), kind),
            *("--headless", "-u", str(users), "-r", str(users), "-t", f"{math.ceil(seconds)}s"),
            *("--host", url, "--csv", f"{folder}/run", "--only-summary"),
        ]
        environment = {**os.environ, "SERVED_MODEL": model, "SERVED_PICTURE": str(picture)}
        table = await asyncio.to_thread(_table_of, command, environment, Path(folder, "run_stats.csv"))
    stats = {row["Name"]: row for row in csv.DictReader(io.StringIO(table))}
    # Locust's exit code is 0 also where nothing was asked at all.
    asked, failed = (int(stats["Aggregated"][f"{name} Count"]) for name in ("Request", "Failure"))
    if not asked or failed:
        raise SystemExit(f"{failed} of {asked} requests failed with {users} users")
    return stats


def _table_of(command: list[str], environment: dict[str, str], path: Path) -> str:
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    if not path.is_file():
        raise SystemExit(f"Locust made no table: {ran.stderr[-1000:]}")
    return path.read_text()


# --- the other parts ------------------------------------------------------------------------------------


async def _batching(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    signature = {
        "inputs": {
            "image": {
                "type": "image",
                "mode": "L",
                "width": 28,
                "height": 28,
                "scale": 1 / 255,
                "layout": "NCHW",
            }
        },
        "output": {"scores": "scores", "activation": "softmax"},
    }
    content = await asyncio.to_thread(as_onnx, small_network(), 1, 28)
    await _publish(client, "small", {"model.onnx": content, "signature.json": _json(signature)})
    picture = folder / "small.png"
    picture.write_bytes(_png(_picture(28, "L")))
    rates: dict[int, list[float]] = {1: [], 32: []}
    slow: dict[int, list[float]] = {1: [], 32: []}
    for _ in range(2):
        for rows in rates:
            wait = _WAIT_MILLISECONDS if rows > 1 else 0
            await _serve(
                client, "small", picture.read_bytes(), max_batch_rows=rows, batch_wait_milliseconds=wait
            )
            stats = (await _locust(url, "small", picture, 32, seconds / 2, "Impatient"))["predict"]
            rates[rows].append(float(stats[_RATE]))
            slow[rows].append(float(stats[_P95]))
    together, single = statistics.mean(rates[32]), statistics.mean(rates[1])
    return [
        Bar("requests/s together over one by one", together, math.inf, single, BATCHING),
        Bar("p95 ms together over one by one", statistics.mean(slow[32]), 1.0, statistics.mean(slow[1])),
    ]


async def _overhead(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    await _publish(client, "nothing", {"predict.py": NOTHING.encode()})
    await _serve(client, "nothing", None)
    await _users(url, "nothing", 1, 2.0)
    times, _ = await _users(url, "nothing", 1, seconds)
    return [
        Bar(f"{name} ms of asking a model that does nothing", _percentile(times, int(name[1:])), most)
        for name, most in OVERHEAD_MS.items()
    ]


async def _replicas(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    await _publish(client, "busy", {"predict.py": BUSY.encode()})
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(2):
        for replicas in rates:
            await _serve(client, "busy", None, replicas=replicas, max_batch_rows=1)
            times, elapsed = await _users(url, "busy", 4, seconds / 2)
            rates[replicas].append(len(times) / elapsed)
    two, one = statistics.mean(rates[2]), statistics.mean(rates[1])
    return [Bar("requests/s of two replicas over one", two, math.inf, one, TWO_REPLICAS)]


async def _changes(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    for number in (1, 2):
        file = f"def predict(inputs):\n    return {{'label': '{number}'}}\n"
        await _publish(client, "changing", {"predict.py": file.encode()}, f"changing-{number}")
    await _serve(client, "changing", None)
    statuses: list[int] = []
    seen: set[str] = set()

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as asking:
            while len(statuses) < 1000 or len(seen) < 2:
                answer = await asking.post("/serving/changing/predict", json={"inputs": {}})
                statuses.append(answer.status_code)
                seen.add(str(answer.json().get("label")))
                await asyncio.sleep(0.02)

    async def change() -> None:
        version = 1
        while len(statuses) < 1000 or len(seen) < 2:
            await client.set_alias("spark.changing.program", "champion", version)
            version = 3 - version
            await asyncio.sleep(4.0)

    await asyncio.gather(change(), *(ask() for _ in range(4)))
    failed = sum(status != 200 for status in statuses)
    return [Bar(f"failed of {len(statuses):,} requests while versions change", failed, 0.0)]


async def _memory(client: AsyncClient, url: str, folder: Path, seconds: float) -> list[Bar]:
    await _publish(client, "nothing", {"predict.py": NOTHING.encode()})
    await _serve(client, "nothing", None)
    await _users(url, "nothing", 8, 3600.0, most=1_000)
    first = _resident()
    await _users(url, "nothing", 8, 3600.0, most=9_000)
    return [Bar("MB after 10,000 requests over after 1,000", _resident(), MEMORY, first)]


_PARTS: dict[str, Callable[[AsyncClient, str, Path, float], Awaitable[list[Bar]]]] = {
    "grid": _grid,
    "batching": _batching,
    "overhead": _overhead,
    "replicas": _replicas,
    "changes": _changes,
    "memory": _memory,
}


# --- what all need ----------------------------------------------------------------------------------------


async def _publish(client: AsyncClient, model: str, files: dict[str, bytes], folder: str = "") -> None:
    for path, content in files.items():
        await client.put_file("bench", f"{folder or model}/{path}", content)
    await client.publish_folder("bench", model, folder=folder or model)


async def _serve(client: AsyncClient, model: str, image: bytes | None, **options: Any) -> None:
    """Serve it so, and return once it answers so."""
    await client.serve_model(model, **options)
    deadline = time.monotonic() + 180
    while True:
        await client.predict(model, {} if image is None else {"image": image})
        loaded = (await client.served_model(model))["loaded"]
        wanted = options.get("replicas", 1)
        if len(loaded) == 1 and loaded[0]["replicas"] == wanted:
            await asyncio.sleep(1.5)  # what served before ends
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{model} does not answer with {wanted} replicas")
        await asyncio.sleep(0.2)


async def _end_all(client: AsyncClient) -> None:
    """Idle replicas, too, take a few percent of a core each: the next part is to have the machine alone."""
    for served in (await client.served_models())["items"]:
        await client.end_serving(served["model"])


async def _users(
    url: str, model: str, users: int, seconds: float, most: int | None = None
) -> tuple[list[float], float]:
    """Seconds of each request of so many users that ask without a pause, and how long it took in all."""
    times: list[float] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while time.perf_counter() - began < seconds and (most is None or len(times) < most):
            at = time.perf_counter()
            response = await client.post(f"/serving/{model}/predict", json={"inputs": {}})
            if response.status_code != 200:
                raise SystemExit(f"{model}: {response.status_code}: {response.text[:300]}")
            times.append(time.perf_counter() - at)

    limits = httpx.Limits(max_connections=users, max_keepalive_connections=users)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await client.get("/healthz")
        began = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(users)))
        return times, time.perf_counter() - began


def _percentile(times: list[float], percent: int) -> float:
    """Milliseconds."""
    return 1000 * float(np.percentile(times, percent))


def _resident() -> float:
    """MB of the service and of all that it has started but MongoDB, which keeps what it has room for."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name() != "mongod":
                total += process.memory_info().rss
    return total / 1e6


def _picture(size: int, mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).convert(mode)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _json(value: Json) -> bytes:
    return json.dumps(value).encode()


def _machine() -> Section:
    memory = psutil.virtual_memory().total / 1e9
    cores = os.cpu_count()
    return Section(
        "Machine", ("cores", "memory GB", "python"), [[f"{cores}", f"{memory:.0f}", sys.version.split()[0]]]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    sys.exit(1 if asyncio.run(main(given.parts, given.seconds)) else 0)
