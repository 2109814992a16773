"""Pictures of any size are brought to the size that was declared."""

from typing import Literal

import numpy as np
import pytest
from PIL import Image

from prediction.inference.images.fitting import read_image, read_pixels
from prediction.inference.images.form import Fit, ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage
from prediction.inference.model_process.frames import Array
from tests.support.images import Pixels, colours, file_of

LIMITS = ImageLimits()


def fitted(picture: Pixels, form: ImageForm) -> Pixels:
    made: Array = read_pixels(picture, form, LIMITS)
    return np.frombuffer(made.data, np.uint8).reshape(made.shape)


@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("height_and_width", [(1, 1), (1, 400), (400, 1), (30, 40), (31, 7), (224, 224)])
def test_every_picture_gets_the_size(
    fit: Fit, mode: Literal["RGB", "L"], height_and_width: tuple[int, int]
) -> None:
    picture = np.full((*height_and_width, 3), 90, np.uint8)
    made = fitted(picture, ImageForm(mode, (20, 10), fit))
    assert made.shape == ((10, 20) if mode == "L" else (10, 20, 3))
    assert 90 in made


def test_a_picture_of_the_size_is_left_as_it_is() -> None:
    for fit in ("stretch", "cover", "contain"):
        assert (fitted(colours(), ImageForm(size=(17, 12), fit=fit)) == colours()).all()


def test_stretching_averages_all_that_becomes_a_pixel() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = fitted(stripes, ImageForm(size=(8, 8)))
    assert np.abs(small[:, 1:-1].astype(int) - 100).max() <= 8
    expected = Image.fromarray(colours(300, 200)).resize((32, 32), Image.Resampling.BILINEAR)
    assert (fitted(colours(300, 200), ImageForm(size=(32, 32))) == np.asarray(expected)).all()


def test_cover_cuts_off_both_sides() -> None:
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, :10], picture[:, 10:20], picture[:, 20:] = 50, 100, 150
    assert (fitted(picture, ImageForm(size=(10, 10), fit="cover")) == 100).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_contain_leaves_room_in_the_colour_of_the_background(mode: Literal["RGB", "L"]) -> None:
    picture = np.full((10, 20, 3), 77, np.uint8)
    form = ImageForm(mode, (20, 20), "contain", (255, 255, 255))
    made = fitted(picture, form).reshape(20, 20, -1)
    assert (made[:5] == 255).all()
    assert (made[5:15] == 77).all()
    assert (made[15:] == 255).all()
    across = fitted(picture.transpose(1, 0, 2), form).reshape(20, 20, -1)
    assert (across[:, 5:15] == 77).all()


def test_inverting_comes_last() -> None:
    picture = np.full((10, 20), 255, np.uint8)
    picture[2:8] = 0
    made = fitted(picture, ImageForm("L", (20, 20), "contain", (255, 255, 255), invert=True))
    assert (made[:5] == 0).all()
    assert made.max() == 255


def test_a_size_that_is_not_declared_is_the_picture_s_own() -> None:
    made = read_image(file_of(colours(5, 9), "PNG"), ImageForm(), LIMITS)
    assert made.shape == (5, 9, 3)
    assert len(made.data) == 5 * 9 * 3


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 5), (1, 2, 2, 3), (2, 0), (0, 2, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnreadableImage):
        read_pixels(np.zeros(shape, np.uint8), ImageForm(), LIMITS)
