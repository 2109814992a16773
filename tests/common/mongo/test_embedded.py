"""The embedded MongoDB of a folder that has been started many times."""

from pathlib import Path

from common.mongo.embedded import embedded_mongod


async def test_logs_of_the_latest_starts_are_kept_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "mongod.log").write_text("the last start\n")
    for day in range(1, 9):
        (tmp_path / f"mongod.log.2026-01-0{day}T00-00-00").touch()
    async with embedded_mongod(tmp_path):
        old = sorted(path.name for path in tmp_path.glob("mongod.log.*"))
    assert old[:-1] == [f"mongod.log.2026-01-0{day}T00-00-00" for day in range(4, 9)]
    assert (tmp_path / old[-1]).read_text() == "the last start\n"
