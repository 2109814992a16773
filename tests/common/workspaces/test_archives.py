"""Archives as people make them, and as they should not be."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from common.workspaces.archives import ArchiveTooLarge, Bounds, InvalidArchive, read_archive
from common.workspaces.paths import InvalidPath

FILES = {"train.py": b"print(1)\n", "data/a.csv": b"a,b\n" * 1000, "empty": b""}
BOUNDS = Bounds(files=10, size_bytes=100_000, file_bytes=50_000)

Make = Callable[[Mapping[str, bytes]], bytes]


def a_zip(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("a folder")
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def a_tar(mode: str) -> Make:
    def make(files: Mapping[str, bytes]) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
            folder = tarfile.TarInfo("a folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return made.getvalue()

    return make


KINDS = {"zip": a_zip, **{mode[2:] or "tar": a_tar(mode) for mode in ("w:", "w:gz", "w:bz2")}}

every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_files_come_out_as_they_went_in(make: Make) -> None:
    assert read_archive(make({f"./{name}": content for name, content in FILES.items()}), BOUNDS) == FILES


@every_kind
@pytest.mark.parametrize("name", ["../out.py", "/etc/passwd", "a/../../b"])
def test_no_path_leads_out(make: Make, name: str) -> None:
    with pytest.raises(InvalidPath):
        read_archive(make({"train.py": b"", name: b"x"}), BOUNDS)


@every_kind
def test_what_it_holds_is_bounded_whatever_its_own_size(make: Make) -> None:
    for files in (
        {"zeros": bytes(50_001)},
        {f"zeros{number}": bytes(40_000) for number in range(3)},
        {str(number): b"" for number in range(11)},
    ):
        with pytest.raises(ArchiveTooLarge):
            read_archive(make(files), BOUNDS)
    assert len(read_archive(make({"zeros": bytes(50_000), "more": bytes(50_000)}), BOUNDS)) == 2


@every_kind
def test_what_is_cut_short_or_changed_is_no_archive(make: Make) -> None:
    whole = make({str(number): bytes([number]) * 700 for number in range(10)})
    assert read_archive(whole, BOUNDS)
    last = len(whole) - (len(whole) % 10240 or 10240) if make is KINDS["tar"] else len(whole) - 1
    for end in range(1, last, max(last // 60, 1)):
        with pytest.raises(InvalidArchive):
            read_archive(whole[:end], BOUNDS)


@every_kind
def test_a_file_and_a_folder_of_one_name(make: Make) -> None:
    with pytest.raises(InvalidPath, match="a file and a folder"):
        read_archive(make({"a": b"", "a/b": b""}), BOUNDS)


@pytest.mark.parametrize("content", [b"", b"not an archive", bytes(2000)])
def test_what_was_never_one(content: bytes) -> None:
    with pytest.raises(InvalidArchive):
        read_archive(content, BOUNDS)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_or_devices_in_a_tar(kind: bytes) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "train.py"
        archive.addfile(member)
    with pytest.raises(InvalidArchive, match="link or device"):
        read_archive(made.getvalue(), BOUNDS)


def test_no_links_in_a_zip_and_no_file_twice() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "train.py")
    with pytest.raises(InvalidArchive, match="link or device"):
        read_archive(made.getvalue(), BOUNDS)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("./a", "2")
    with pytest.raises(InvalidArchive, match="twice"):
        read_archive(made.getvalue(), BOUNDS)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_what_is_no_file_counts_too(mode: str) -> None:
    """Long headers, folders without end, and what comes after the end."""
    long = tarfile.TarInfo("a")
    long.pax_headers = {"comment": "0" * 3_000_000}
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    for members in ([long], [folder] * 3000):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            for member in members:
                archive.addfile(member)
        with pytest.raises(ArchiveTooLarge):
            read_archive(made.getvalue(), BOUNDS)


def test_a_zip_that_lists_folders_without_end_is_refused_before_its_list_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred bytes of such a list are a kilobyte in memory."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(3000):
            archive.writestr(f"folder-{number}/", b"")
    listed: list[object] = []

    class Noted(zipfile.ZipInfo):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            listed.append(self)

    monkeypatch.setattr(zipfile, "ZipInfo", Noted)
    with pytest.raises(ArchiveTooLarge):
        read_archive(made.getvalue(), BOUNDS)
    assert listed == []
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(100):
            archive.writestr(f"folder-{number}/", b"")
        archive.writestr("folder-1/a", b"1")
    assert read_archive(made.getvalue(), BOUNDS) == {"folder-1/a": b"1"}
