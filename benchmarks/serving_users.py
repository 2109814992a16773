"""People who ask a model about a picture and say that it was right, for Locust.

    locust -f benchmarks/serving_users.py Person --headless -u 4 -r 4 -t 20s --host http://127.0.0.1:5000

The model is SERVED_MODEL (resnet50), the picture SERVED_PICTURE. `benchmarks/serving.py` starts a service,
puts a model into it, and runs this: Locust's quick client takes a fraction of the processor time of httpx, so
that it is the service that is measured.
"""

import mimetypes
import os
from pathlib import Path

from locust import FastHttpUser, constant, task

MODEL = os.environ.get("SERVED_MODEL", "resnet50")
PICTURE = Path(os.environ.get("SERVED_PICTURE", "picture.jpg"))
KIND = mimetypes.guess_type(PICTURE)[0] or "application/octet-stream"


class Person(FastHttpUser):
    """Asks, looks, says."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self._picture = PICTURE.read_bytes()

    @task
    def ask(self) -> None:
        """A prediction, and feedback for it."""
        files = {"image": (PICTURE.name, self._picture, KIND)}
        with self.client.post(
            f"/serving/{MODEL}/predict", files=files, name="predict", catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")
                return
            prediction = answer.json()["prediction_id"]
        said = {"prediction_id": prediction, "verdict": "right"}
        self.client.post(f"/serving/{MODEL}/feedback", json=said, name="feedback")


class Impatient(FastHttpUser):
    """Asks with the picture as the body, and asks again."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self._picture = PICTURE.read_bytes()

    @task
    def ask(self) -> None:
        """A prediction."""
        headers = {"Content-Type": KIND}
        self.client.post(f"/serving/{MODEL}/predict", data=self._picture, headers=headers, name="predict")
