"""Parts of the launcher, which imports nothing of the service."""

import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from common.settings.group import PROJECT_ROOT
from submission.launcher.files import Damaged, OutputRefused, outputs, part, size_of, unpack
from submission.launcher.progress import ProgressFile
from submission.launcher.service import Away, Service
from submission.launcher.signature import signature_of


def test_it_needs_the_standard_library_alone() -> None:
    modules = [
        path.stem
        for path in (PROJECT_ROOT / "submission" / "launcher").glob("*.py")
        if path.stem != "__init__"
    ]
    names = ", ".join(f"submission.launcher.{each}" for each in modules)
    code = f"import sys; before = set(sys.modules); import {names}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.decode().split()}
    assert roots - set(sys.stdlib_module_names) == {"submission"}


def test_lines_are_read_as_they_come_and_the_rest_is_counted(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress")
    assert file.further() == []
    with (tmp_path / "progress").open("a") as written:
        written.write('{"progress": 2, "step": true}\n\n{"prog')
        written.flush()
        assert file.further() == [{"progress": 1.0}]
        written.write('ress": 0.5}\n[1]\nno\n{"unknown": 1}\n' + "x" * 40_000)
        written.flush()
        assert file.further() == [{"progress": 0.5}]
        assert file.unreadable == 4
        written.write('yz\n{"metrics": {"loss": NaN, "a": 1}}\n{"message": " last "}')
        written.flush()
        assert file.further() == [{"metrics": {"a": 1.0}}]
        assert file.further(is_last=True) == [{"message": "last"}]
        assert file.unreadable == 4


def test_at_the_end_all_is_read_whatever_the_size_of_a_look(tmp_path: Path) -> None:
    lines = [json.dumps({"message": f"{number} " + "x" * 300}) for number in range(1000)]
    noise = ["no JSON"] * 70_000  # more than one look's worth
    (tmp_path / "progress").write_text("\n".join([*lines, *noise, *lines, '{"message": "last"}']))
    file = ProgressFile(tmp_path / "progress")
    said = file.further(is_last=True)
    while file.goes_on:
        said += file.further(is_last=True)
    assert len(said) == 2 * len(lines) + 1
    assert said[-1] == {"message": "last"}
    assert file.unreadable == len(noise)


def test_half_a_pair_of_surrogates_becomes_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "progress").write_text(
        '{"metrics": {"\\ud800x": 1}, "message": "a\\udfff", "data": "\\ud83d\\ude00"}\n'
    )
    [said] = ProgressFile(tmp_path / "progress").further()
    assert said == {"metrics": {"?x": 1.0}, "message": "a?", "data": "\N{GRINNING FACE}"}


def test_a_link_is_no_progress(tmp_path: Path) -> None:
    (tmp_path / "real").write_text('{"progress": 1}\n')
    (tmp_path / "progress").symlink_to(tmp_path / "real")
    assert ProgressFile(tmp_path / "progress").further() == []


def test_what_is_left_is_described_in_parts(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"0123456789")
    (tmp_path / "a").write_bytes(b"")
    found = outputs(tmp_path, most_files=10, most_bytes=100, part_bytes=4)
    assert [(each.path, each.size_bytes, [part["size_bytes"] for part in each.parts]) for each in found] == [
        ("a", 0, []),
        ("b/c", 10, [4, 4, 2]),
    ]
    assert part(found[1], 2, 4) == b"89"
    (tmp_path / "b" / "c").write_bytes(b"01234567XX")
    with pytest.raises(OutputRefused, match="changes after the program's end"):
        part(found[1], 2, 4)


@pytest.mark.parametrize(("files", "size_bytes"), [(1, 100), (10, 9)])
def test_more_than_may_be_left_is_refused(tmp_path: Path, files: int, size_bytes: int) -> None:
    (tmp_path / "a").write_bytes(b"01234")
    (tmp_path / "b").write_bytes(b"56789")
    with pytest.raises(OutputRefused, match="PROGRAM_OUTPUT_MAX_BYTES"):
        outputs(tmp_path, most_files=files, most_bytes=size_bytes, part_bytes=4)


def test_links_and_pipes_are_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputRefused, match=r"'pipe' .* is a link or device"):
        outputs(tmp_path, most_files=10, most_bytes=100, part_bytes=4)


def tar(**files: bytes) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return io.BytesIO(made.getvalue())


A = {
    "path": "a",
    "size_bytes": 1,
    "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
}


def test_files_are_what_was_announced_or_they_are_asked_for_again(tmp_path: Path) -> None:
    unpack(tar(a=b"a"), tmp_path, [A])
    assert (tmp_path / "a").read_bytes() == b"a"
    for archive in (tar(a=b"b"), tar(b=b"b"), tar(), io.BytesIO(tar(a=b"a").getvalue()[:300])):
        with pytest.raises(Damaged):
            unpack(archive, tmp_path, [A])


def test_sizes_are_counted_as_far_as_the_limits(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(bytes(10_000))
    (tmp_path / "loop").symlink_to(tmp_path)
    size, files = size_of(tmp_path, 50_000, 1_000)
    assert 50_000 < size < 20 * 16_384
    assert size_of(tmp_path, 10**9, 5)[1] >= 5
    assert files <= 21
    assert size_of(tmp_path / "missing", 1, 1) == (0, 0)


def test_a_pipe_or_link_has_no_signature_and_nobody_waits_for_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert signature_of(tmp_path / "pipe.py") is None
    (tmp_path / "real.py").write_text("def predict(a: int): ...")
    (tmp_path / "link.py").symlink_to("real.py")
    assert signature_of(tmp_path / "link.py") is None


@pytest.mark.parametrize(
    ("source", "signature"),
    [
        (
            "def predict(a: int, *, b: 'list[str]' = []) -> float: ...",
            {"inputs": {"a": "int", "b": "'list[str]'"}, "output": "float"},
        ),
        ("async def predict(inputs: dict): ...", {"inputs": {"inputs": "dict"}, "output": None}),
        ("def predict(a, b): ...", None),
        ("def other(a: int): ...", None),
        ("def predict(a: int:", None),
        (
            "raise SystemExit('it is not run')\ndef predict(a: int): ...",
            {"inputs": {"a": "int"}, "output": None},
        ),
    ],
)
def test_a_signature_is_read_and_never_run(tmp_path: Path, source: str, signature: object) -> None:
    (tmp_path / "predict.py").write_text(source)
    assert json.dumps(signature_of(tmp_path / "predict.py")) == json.dumps(signature)


def test_an_answer_of_something_in_between_is_asked_for_again() -> None:
    """A proxy that says 200 with a page of its own ends neither a run nor its reports."""
    answers = [b"<html>Bad gateway</html>", b'{"superseded": false}']

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers.pop(0))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert Service(address, "e").post("progress", {}) == {"superseded": False}
        answers.append(b"<html>")
        with pytest.raises(Away, match="no JSON"):
            Service(address, "e").post("progress", {}, patience_seconds=0.1)
        server.shutdown()
        thread.join()
