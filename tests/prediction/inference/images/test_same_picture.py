"""One picture gives one array, whatever file it comes in."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from prediction.inference.images.fitting import read_image, read_pixels
from prediction.inference.images.form import ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage
from prediction.inference.model_process.frames import Array
from tests.support.images import Pixels, colours, file_of, grey, png_of_chunks, tiff_of_tags

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # pytest undoes the service's own filter

LIMITS = ImageLimits()
RGB = ImageForm("RGB")
GREY = ImageForm("L")


def array(made: Array) -> Pixels:
    assert made.dtype == "uint8"
    return np.frombuffer(made.data, np.uint8).reshape(made.shape)


def read(data: bytes, form: ImageForm = RGB) -> Pixels:
    return array(read_image(data, form, LIMITS))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"compress_level": 0}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_what_loses_nothing_gives_the_pixels_themselves(kind: str, options: dict[str, object]) -> None:
    assert (read(file_of(colours(), kind, **options)) == colours()).all()
    level = read(file_of(grey(), kind, **options), GREY)
    assert level.shape == (12, 17)
    assert (level == grey()).all()
    assert (read(file_of(grey(), kind, **options)) == grey()[..., None]).all()


@pytest.mark.parametrize(("kind", "most"), [("JPEG", 12), ("WEBP", 30)])
def test_what_loses_something_loses_little(kind: str, most: int) -> None:
    smooth = np.asarray(Image.fromarray(colours(4, 4)).resize((64, 48)))
    given = read(file_of(smooth, kind, quality=95))
    assert np.abs(given.astype(int) - smooth).max() <= most


def test_jpeg_is_as_pillow_decodes_it() -> None:
    data = file_of(colours(64, 48), "JPEG", quality=80)
    with Image.open(io.BytesIO(data)) as image:
        assert (read(data) == np.asarray(image)).all()


def test_grey_of_a_colour_is_its_luminance() -> None:
    picture = colours()
    expected = picture @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(file_of(picture, "PNG"), GREY) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (200, 30, 90)])
def test_what_is_transparent_lets_the_background_through(kind: str, background: tuple[int, int, int]) -> None:
    opacity = np.linspace(0, 255, 12 * 17).reshape(12, 17).astype(np.uint8)
    picture = np.dstack([colours(), opacity])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    share = opacity[..., None] / 255
    expected = colours() * share + np.array(background) * (1 - share)
    form = ImageForm("RGB", background=background)
    assert np.abs(read(file_of(picture, kind, **options), form) - expected).max() <= 1
    assert np.abs(array(read_pixels(picture, form, LIMITS)) - expected).max() <= 1
    opaque = np.dstack([colours(), np.full((12, 17), 255, np.uint8)])
    assert (read(file_of(opaque, kind, **options), form) == colours()).all()


def test_no_colour_of_transparent_parts_bleeds_when_a_picture_is_made_smaller() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, ::2] = (255, 0, 0, 0)  # red, and not to be seen
    picture[:, 1::2] = (0, 0, 255, 255)
    small = read(file_of(picture, "PNG"), ImageForm("RGB", (8, 8), background=(0, 0, 255)))
    assert (small == (0, 0, 255)).all()


def test_grey_with_opacity_and_one_colour_that_is_transparent() -> None:
    opacity = np.where(grey() > 100, 255, 0).astype(np.uint8)
    expected = np.where(opacity == 255, grey(), 255)
    levels = Image.merge("LA", (Image.fromarray(grey()), Image.fromarray(opacity)))
    assert (read(file_of(levels, "PNG"), GREY) == expected).all()
    marked = Image.fromarray(np.where(grey() == 0, 0, grey() // 2 + 100).astype(np.uint8))
    shown = read(file_of(marked, "PNG", transparency=0), GREY)
    assert (shown == np.where(np.asarray(marked) == 0, 255, np.asarray(marked))).all()
    colour = tuple(int(each) for each in colours()[0, 0])
    through = read(file_of(colours(), "PNG", transparency=colour))
    assert (through[0, 0] == 255).all()
    assert (through[1:] == colours()[1:]).all()


def test_palettes_with_and_without_transparency() -> None:
    image = Image.fromarray(colours()).quantize(16)
    assert (read(file_of(image, "PNG")) == np.asarray(image.convert("RGB"))).all()
    assert (read(file_of(image, "TIFF")) == np.asarray(image.convert("RGB"))).all()
    expected = np.asarray(image.convert("RGB")).copy()
    expected[np.asarray(image) == 3] = (9, 8, 7)
    form = ImageForm("RGB", background=(9, 8, 7))
    assert (read(file_of(image, "PNG", transparency=3), form) == expected).all()
    assert read(file_of(image, "PNG", transparency=bytes([255, 255, 255, 0])), form).tolist() == (
        expected.tolist()
    )
    assert (read(file_of(image, "PNG"), GREY) == np.asarray(image.convert("RGB").convert("L"))).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit_is_black_and_white(kind: str) -> None:
    image = Image.fromarray(grey() > 100)
    assert image.mode == "1"
    for compression in ({}, {"compression": "group4"}) if kind == "TIFF" else ({},):
        assert (read(file_of(image, kind, **compression), GREY) == np.where(grey() > 100, 255, 0)).all()


def test_cmyk_is_near_its_colours() -> None:
    image = Image.fromarray(colours(64, 48)).convert("CMYK")
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert (read(file_of(image, "TIFF")) == expected).all()
    assert np.abs(read(file_of(image, "JPEG", quality=98, subsampling=0)) - expected).mean() < 3


def test_lab_is_near_its_colours() -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(colours()),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    assert np.abs(read(file_of(lab, "TIFF")).astype(int) - colours()).mean() < 6


DEEP = (np.arange(12 * 17).reshape(12, 17) * 321).astype(np.uint16)
SCALED = np.rint(DEEP / 257)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped(kind: str) -> None:
    assert (read(file_of(DEEP, kind), GREY) == SCALED).all()
    assert (read(file_of(DEEP, kind)) == SCALED[..., None]).all()
    assert (read(file_of(grey().astype(np.uint16) * 257, kind), GREY) == grey()).all()


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}])
def test_16_bits_in_the_other_byte_order(options: dict[str, str]) -> None:
    image = Image.frombytes("I;16B", (17, 12), DEEP.astype(">u2").tobytes())
    assert (read(file_of(image, "TIFF", **options), GREY) == SCALED).all()


def tiff_of_16_bits(pixels: Pixels, *, bits: int = 16, photometric: int = 1) -> bytes:
    height, width = pixels.shape
    data = pixels.astype("<u2").tobytes()
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 1, bits), (259, 3, 1, 1)]
    tags += [(262, 3, 1, photometric), (273, 4, 1, 1000), (277, 3, 1, 1), (278, 3, 1, height)]
    return tiff_of_tags(*tags, (279, 4, 1, len(data)), data=data)


def test_16_bits_where_white_is_zero() -> None:
    assert (read(tiff_of_16_bits(DEEP), GREY) == SCALED).all()
    assert (read(tiff_of_16_bits(DEEP, photometric=0), GREY) == 255 - SCALED).all()


def test_16_bits_of_colours_and_with_a_transparent_level() -> None:
    wide = colours().astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    assert (read(png_of_chunks(17, 12, 16, 2, (b"IDAT", zlib.compress(rows)))) == colours()).all()
    rows = b"".join(b"\0" + row.tobytes() for row in DEEP.astype(">u2"))
    level = struct.pack(">H", DEEP[3, 3])
    chunks = ((b"tRNS", level), (b"IDAT", zlib.compress(rows)))
    expected = SCALED.copy()
    expected[3, 3] = 255
    assert (read(png_of_chunks(17, 12, 16, 0, *chunks), GREY) == expected).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_level_of_few_bits(bits: int) -> None:
    levels = (1 << bits) - 1
    row = bytes([0b00_01_10_11]) if bits < 8 else bytes([0, 1, 2, 255])
    width = 8 // bits if bits < 8 else 4
    values = (
        [row[0] >> (8 - bits * (index + 1)) & levels for index in range(width)] if bits < 8 else list(row)
    )
    for level in {*values}:
        chunks = ((b"tRNS", struct.pack(">H", level)), (b"IDAT", zlib.compress(b"\0" + row)))
        shown = read(png_of_chunks(width, 1, bits, 0, *chunks), ImageForm("RGB", background=(9, 8, 7)))
        assert shown[0].tolist() == [
            [9, 8, 7] if value == level else [value * 255 // levels] * 3 for value in values
        ]


def test_a_transparent_colour_of_16_bits() -> None:
    pixels = [(0x1234, 0x5678, 0x9ABC), (0x3434, 0x7878, 0xBCBC), (0x3412, 0x7856, 0xBC9A)]
    rows = b"\0" + b"".join(struct.pack(">HHH", *pixel) for pixel in pixels)
    chunks = ((b"tRNS", struct.pack(">HHH", *pixels[0])), (b"IDAT", zlib.compress(rows)))
    shown = read(png_of_chunks(3, 1, 16, 2, *chunks), ImageForm("RGB", background=(9, 8, 7)))
    assert shown[0].tolist() == [[9, 8, 7], [0x34, 0x78, 0xBC], [0x34, 0x78, 0xBC]]


def test_numbers_are_scaled_by_the_range_that_they_state() -> None:
    values = Image.fromarray((grey() / 255 * 3 - 1).astype(np.float32))
    assert values.mode == "F"
    with pytest.raises(UnreadableImage, match="of what range"):
        read(file_of(values, "TIFF"))
    stated = file_of(values, "TIFF", tiffinfo={340: -1.0, 341: 2.0})
    assert np.abs(read(stated, GREY).astype(int) - grey()).max() <= 1
    whole = Image.fromarray(grey().astype(np.int32) * 1000)
    with pytest.raises(UnreadableImage, match="8 or 16 bits"):
        read(file_of(whole, "TIFF"))
    assert (read(file_of(whole, "TIFF", tiffinfo={340: 0, 341: 255_000}), GREY) == grey()).all()
    hole = np.array([[0.5, np.nan]], np.float32)
    with pytest.raises(UnreadableImage, match="no number"):
        read(file_of(hole, "TIFF", tiffinfo={340: 0.0, 341: 1.0}))


LYING = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""How a camera that was held so stores the upright picture."""


@pytest.mark.parametrize("orientation", LYING)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_every_orientation_is_the_upright_picture(kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(LYING[orientation](colours()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (read(file_of(stored, kind, exif=exif, **options)) == colours()).all()


@pytest.mark.parametrize("orientation", LYING)
def test_every_orientation_of_a_jpeg(orientation: int) -> None:
    stored = np.ascontiguousarray(LYING[orientation](colours(64, 48)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    given = read(file_of(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert given.shape == (64, 48, 3)
    assert np.abs(given.astype(int) - colours(64, 48)).mean() < 3


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*garbage" * 9])
def test_broken_exif_turns_nothing(exif: bytes) -> None:
    assert (read(file_of(colours(), "PNG", exif=exif)) == colours()).all()
    assert read(file_of(colours(), "JPEG", exif=exif)).shape == (12, 17, 3)


def test_a_profile_of_colours_is_left_alone() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for kind in ("PNG", "TIFF"):
        assert (read(file_of(colours(), kind, icc_profile=profile)) == colours()).all()


def test_the_first_of_several_pictures() -> None:
    other = Image.fromarray(255 - colours())
    several = file_of(colours(), "TIFF", save_all=True, append_images=[other])
    assert (read(several) == colours()).all()
    # What phones call a JPEG may hold a second, such as a map of depth.
    pair = file_of(colours(64, 48), "MPO", save_all=True, append_images=[other], quality=95)
    assert read(pair).shape == (64, 48, 3)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_pixels_give_what_their_file_gives(channels: tuple[int, ...]) -> None:
    picture = colours() if channels == (3,) else grey()
    for form in (RGB, GREY, ImageForm("L", (9, 5), "contain", (0, 0, 0), True)):
        direct = array(read_pixels(picture.reshape(12, 17, *channels), form, LIMITS))
        assert (direct == read(file_of(picture, "PNG"), form)).all()
