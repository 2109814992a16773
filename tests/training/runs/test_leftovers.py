"""What trainings leave that are killed with their service, and where that goes."""

from pathlib import Path

from tests.support.services import service_in_process


async def test_a_start_removes_what_trainings_have_left(mongo_uri: str, tmp_path: Path) -> None:
    """A token and a history, of which nobody knows any more: others may have taken the training over."""
    left = tmp_path / "training" / "x"
    (left / "ray").mkdir(parents=True)
    (left / "ray-token").write_text("hunter2")
    (left / "request.json").write_text("{}")
    async with service_in_process(mongo_uri, tmp_path) as client:
        assert not left.exists()
        assert (await client.get("/healthz")).status_code == 200
