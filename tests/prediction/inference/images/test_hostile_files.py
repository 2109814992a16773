"""Whatever is sent as an image, it is an image or it is refused in words."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.settings.group import PROJECT_ROOT
from prediction.inference.images.fitting import read_image
from prediction.inference.images.form import ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage
from tests.support.images import colours, file_of, grey, png_of_chunks, tiff_of_tags

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # pytest undoes the service's own filter

LIMITS = ImageLimits()
FORM = ImageForm("RGB", (8, 8))

FILES = {
    "JPEG": file_of(colours(40, 50), "JPEG"),
    "progressive JPEG": file_of(colours(40, 50), "JPEG", progressive=True),
    "PNG": file_of(colours(40, 50), "PNG"),
    "palette": file_of(Image.fromarray(colours(40, 50)).quantize(9), "PNG"),
    "WebP": file_of(colours(40, 50), "WEBP"),
    "lossless WebP": file_of(colours(40, 50), "WEBP", lossless=True),
    "WebP with EXIF": file_of(colours(40, 50), "WEBP", exif=Image.Exif().tobytes()),
    "TIFF": file_of(colours(40, 50), "TIFF"),
    "LZW": file_of(colours(40, 50), "TIFF", compression="tiff_lzw"),
    "16 bits": file_of(grey(40, 50).astype(np.uint16), "TIFF"),
}


def read(data: bytes, limits: ImageLimits = LIMITS) -> bool:
    """Whether it is an image; anything but a refusal in words fails the test."""
    try:
        made = read_image(data, FORM, limits)
    except UnreadableImage:
        return False
    assert (made.shape, len(made.data)) == ((8, 8, 3), 8 * 8 * 3)
    return True


def refused(data: bytes, words: str, limits: ImageLimits = LIMITS) -> None:
    with pytest.raises(UnreadableImage, match=words) as caught:
        read_image(data, FORM, limits)
    assert caught.value.status == 422
    assert 10 < len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", FILES)
def test_files_that_were_cut_off(kind: str) -> None:
    data = FILES[kind]
    whole = read_image(data, FORM, LIMITS)
    for length in sorted({*range(64), *range(64, len(data), max(1, len(data) // 150)), len(data) - 1}):
        try:
            made = read_image(data[:length], FORM, LIMITS)
        except UnreadableImage:
            continue
        # Only what lies behind the pixels may be missing.
        assert made == whole, length


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_files_with_other_bytes_in_them(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(damaged), ImageLimits(most_pixels=1_000_000))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([each[:16] for each in FILES.values()] + [b""]), st.binary(max_size=300))
def test_bytes_of_any_kind(beginning: bytes, rest: bytes) -> None:
    read(beginning + rest, ImageLimits(most_pixels=1_000_000))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"\n  <html>", "HTML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b'{"image": 1}', "JSON"),
        (b"PK\x03\x04rest", "archive"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"data:image/png;base64,iVBORw0KGgo=", "base64"),
        (b"iVBORw0KGgo=", "no image"),
        (file_of(colours(), "GIF"), "GIF.*send a JPEG, PNG, WebP or TIFF"),
        (file_of(colours(), "BMP"), "BMP"),
        (file_of(colours(), "PPM"), "no image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG is damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "WebP is damaged"),
        (b"II*\0" + bytes(100), "TIFF is damaged"),
        (b"\xff\xd8\xff\xd9", "JPEG is damaged"),
    ],
)
def test_what_is_no_image_is_said_in_words(data: bytes, words: str) -> None:
    refused(data, words)


@pytest.mark.parametrize("size", [(60_000, 60_000), (40_001, 1_000), (2**31 - 1, 1), (1, 2**31 - 1)])
def test_sizes_are_looked_at_before_anything_is_decoded(size: tuple[int, int]) -> None:
    # Ten bytes of pixels: decoding would say that they are cut off, and not that they are too many.
    pixels = (b"IDAT", zlib.compress(bytes(10)))
    refused(png_of_chunks(*size, 8, 2, pixels), "pixels")
    width, height = size
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    refused(
        tiff_of_tags(*tags, (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 9)), "pixels"
    )


def test_the_size_in_the_header_of_a_jpeg_and_of_a_webp() -> None:
    jpeg = bytearray(FILES["JPEG"])
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    refused(bytes(jpeg), "pixels")
    webp = FILES["lossless WebP"]
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_000).to_bytes(3, "little") * 2
    refused(webp[:12] + canvas + webp[12:], "WebP|pixels")


def test_limits_are_the_caller_s() -> None:
    data = FILES["PNG"]
    refused(data, r"40 |2,000|1,999", ImageLimits(most_pixels=1_999))
    assert read(data, ImageLimits(most_pixels=2_000))
    refused(data, "bytes", ImageLimits(most_bytes=len(data) - 1))
    assert read(data, ImageLimits(most_bytes=len(data)))
    wide = file_of(np.zeros((1, 65_536), np.uint8), "PNG")
    refused(wide, "no side")


def test_tiles_of_a_tiff_are_no_larger_than_a_picture_may_be() -> None:
    side = 16_384
    data = zlib.compress(bytes(1 << 20))
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    tags += [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 1000), (325, 4, 1, len(data))]
    refused(tiff_of_tags(*tags, data=data), "tiles")
    tags[6:8] = [(322, 4, 1, 1024), (323, 4, 1, 1024)]
    assert read(tiff_of_tags(*tags, data=data))


def test_scans_of_a_jpeg_take_time_each() -> None:
    data = FILES["progressive JPEG"]
    last = data[data.rindex(b"\xff\xda") : -2]
    assert read(data[:-2] + 50 * last + data[-2:])
    refused(data[:-2] + 150 * last + data[-2:], "100 scans")


@pytest.mark.parametrize("compression", ["lzma", "zstd"])
def test_compressions_that_take_memory_as_they_say(compression: str) -> None:
    refused(file_of(colours(), "TIFF", compression=compression), "compressed in a way")


def test_a_picture_without_a_row_or_column() -> None:
    refused(png_of_chunks(0, 5, 8, 2, (b"IDAT", b"")), "damaged|no pixels")


@pytest.mark.parametrize("chunk", [b"IHDR", b"IDAT", b"pHYs"])
def test_a_png_with_a_wrong_checksum(chunk: bytes) -> None:
    data = bytearray(file_of(colours(), "PNG", dpi=(72, 72)))
    at = data.index(chunk)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    data[at + 4 + length] ^= 0xFF
    refused(bytes(data), "PNG is damaged")


def test_texts_of_a_png_that_grow_are_refused() -> None:
    bomb = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 << 20)))
    rows = zlib.compress(b"".join(b"\0" + bytes(3) for _ in range(1)))
    refused(png_of_chunks(1, 1, 8, 2, bomb, (b"IDAT", rows)), "PNG is damaged")


def test_pixels_of_a_png_that_grow_beyond_its_size_end_with_it() -> None:
    rows = b"".join(b"\0" + bytes(6 * [level]) for level in (50, 200))
    made, grown = (
        read_image(png_of_chunks(2, 2, 8, 2, (b"IDAT", zlib.compress(rows + more))), FORM, LIMITS)
        for more in (b"", bytes(50 << 20))
    )
    assert grown == made
    assert (min(made.data), max(made.data)) == (50, 200)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    moving = file_of(colours(), kind, save_all=True, append_images=[Image.fromarray(255 - colours())])
    refused(moving, "animation")


STRANGE = [
    [],
    [(256, 3, 1, 4)],
    [(256, 2, 4, 0x41414141), (257, 3, 1, 4)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 9), (262, 3, 1, 1)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 99), (262, 3, 1, 1), (273, 4, 1, 8)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 2**31, 8), (279, 4, 1, 16)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 2**32 - 1), (279, 4, 1, 16)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (262, 3, 1, 8), (277, 3, 1, 60_000), (273, 4, 1, 8)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (34665, 4, 1, 8), (700, 7, 2**30, 8), (270, 99, 1, 0)],
    [(256, 3, 1, 4), (257, 3, 1, 4), (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (262, 3, 1, 1)],
]


@pytest.mark.parametrize("tags", STRANGE)
def test_tiffs_with_strange_tags(tags: list[tuple[int, int, int, int]]) -> None:
    assert not read(tiff_of_tags(*tags, data=bytes(64)))


def test_a_tiff_that_points_at_itself_is_its_first_picture() -> None:
    looping = bytearray(FILES["TIFF"])
    (at,) = struct.unpack("<I", looping[4:8])
    (count,) = struct.unpack("<H", looping[at : at + 2])
    end = at + 2 + 12 * count
    looping[end : end + 4] = struct.pack("<I", at)
    assert read(bytes(looping))


def test_nothing_is_warned_of() -> None:
    """In a process of its own: pytest has filters of warnings of its own."""
    script = """
import sys
from concurrent.futures import ThreadPoolExecutor
from prediction.inference.images.fitting import read_image
from prediction.inference.images.form import ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage
files = eval(sys.stdin.read())
def read(data):
    try:
        read_image(data, ImageForm(), ImageLimits())
    except UnreadableImage:
        pass
with ThreadPoolExecutor(4) as pool:
    list(pool.map(read, files * 4))
"""
    files = [tiff_of_tags(*tags, data=bytes(64)) for tags in STRANGE]
    files += [png_of_chunks(60_000, 60_000, 8, 2, (b"IDAT", b"")), FILES["TIFF"][:-300]]
    fax = bytearray(file_of(Image.fromarray(grey(40, 50) > 100), "TIFF", compression="group3"))
    fax[8:200] = bytes(192)
    files += [bytes(fax), FILES["LZW"][:8] + bytes(100) + FILES["LZW"][108:]]
    files += [file_of(colours(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        input=repr(files),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bytes_behind_the_picture_change_nothing() -> None:
    for kind in ("JPEG", "PNG", "TIFF"):
        assert read(FILES[kind] + b"<script>" * 99)
