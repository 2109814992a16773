"""The logs that the benchmark makes up are whole, and are read as such by every codec."""

from pathlib import Path

import pytest

from benchmarks.event_logs import CODECS, compress, read, write_log


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_made_up_is_read_whole(codec: str, tmp_path: Path) -> None:
    plain = tmp_path / "app-1"
    jobs = write_log(plain, 2_000_000)
    path = plain
    if codec != "plain":
        path = tmp_path / "packed"
        compress(plain, path, codec)
        assert path.stat().st_size < plain.stat().st_size
    found = read(path)
    assert (found["jobs"], found["incomplete"]) == (jobs, "")
    assert found["read_bytes"] >= 2_000_000
    assert found["megabytes"] > 0
