"""What a training's process is given."""

import pytest

from common.processes.children import child_environment


@pytest.mark.parametrize(
    "secret", ["MONGODB_PASSWORD", "hdfs_token", "KUBERNETES_API_KEY", "KUBECONFIG", "CALLBACK_TOKEN"]
)
def test_a_training_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv(secret, "s3cret")
    monkeypatch.setenv("TRAINING_SEED", "7")
    environment = child_environment()
    assert "s3cret" not in environment.values()
    assert environment["TRAINING_SEED"] == "7"
