"""What onnxruntime takes by itself for a picture, in a process of its own, in turn with something else."""

import asyncio
import http.client
import json
import os
import statistics
import sys
import time
import urllib.parse
from pathlib import Path

_PROCESS = """
import sys, time
import numpy as np, onnxruntime
from PIL import Image
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
for _ in sys.stdin:
    began = time.perf_counter()
    pixels = np.asarray(Image.open(sys.argv[2]).convert("RGB"), np.float32) / 255
    image = ((pixels - mean) / std).transpose(2, 0, 1)[None]
    session.run(None, {"image": np.ascontiguousarray(image)})
    print(1000 * (time.perf_counter() - began), flush=True)
"""

_PAUSE_SECONDS = 0.06
"""Until threads of onnxruntime, which by default go on turning for some 40 ms, take nothing from others."""

_WARM_UP = 10
_BOUNDARY = "picture"


async def in_turn(url: str, name: str, model: Path, picture: Path, rounds: int = 80) -> tuple[float, float]:
    """Mean milliseconds of a served model and of onnxruntime alone, decoding included.

    They are asked in turn, since a shared machine's speed changes within seconds; with as many threads as
    the machine has processors, and feedback after each answer.

    Args:
        name: Of the served model.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROCESS, str(model), str(picture), str(os.cpu_count() or 1)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    served, alone = [], []
    client = await asyncio.to_thread(_Client, url, name, picture)
    try:
        for _ in range(_WARM_UP + rounds):
            process.stdin.write(b"\n")
            alone.append(float(await process.stdout.readline()))
            await asyncio.sleep(_PAUSE_SECONDS)
            served.append(await asyncio.to_thread(client.ask))
    finally:
        process.kill()
        await process.wait()
    return statistics.fmean(served[_WARM_UP:]), statistics.fmean(alone[_WARM_UP:])


class _Client:
    """One connection, and a request that was written before."""

    def __init__(self, url: str, name: str, picture: Path) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
        self._name = name
        head = (
            f"--{_BOUNDARY}\r\n"
            'Content-Disposition: form-data; name="image"; filename="picture.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        self._body = head.encode() + picture.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()

    def ask(self) -> float:
        """Milliseconds of a question; feedback follows. Raises SystemExit: it failed."""
        began = time.perf_counter()
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        answer = self._post("predict", self._body, kind)
        took = time.perf_counter() - began
        said = {"prediction_id": json.loads(answer)["prediction_id"], "verdict": "right"}
        self._post("feedback", json.dumps(said).encode(), "application/json")
        return 1000 * took

    def _post(self, what: str, body: bytes, kind: str) -> bytes:
        self._connection.request("POST", f"/serving/{self._name}/{what}", body, {"Content-Type": kind})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{what}: {answer.status}: {content[:200]!r}")
        return content
