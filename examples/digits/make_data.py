"""Handwritten digits for the example, without a download: `make_data.py mnist.npz`.

scikit-learn carries 1,797 scanned digits of 8×8 pixels. Each is enlarged to 16×16, and comes several times:
once as it is, then shifted, turned and with noise. `originals` says of which scan an image was made, so that
no scan is learned from and tested with.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

IMAGES = 10_000
SIZE = 16
_BRIGHTEST = 16.0
"""Of scikit-learn's digits."""

_MOST_TURN_DEGREES = 12.0
_MOST_SHIFT_PIXELS = 1.5
_NOISE = 12.0
"""Standard deviation, of 255."""


def enlarged(scan: np.ndarray, size: int, turn: float, shift: np.ndarray) -> np.ndarray:
    """An image (size, size) from 0 to 255.

    Args:
        scan: From 0 to 16, (8, 8).
        turn: Radians, around the middle.
        shift: Down and to the right, in pixels of the result.
    """
    scale = len(scan) / size
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle_in, middle_out = (len(scan) - 1) / 2, (size - 1) / 2
    matrix = scale * rotation
    offset = middle_in - matrix @ (middle_out + shift)
    return affine_transform(scan * (255.0 / _BRIGHTEST), matrix, offset, (size, size), order=1)


def make(images: int = IMAGES, size: int = SIZE, seed: int = 0) -> dict[str, np.ndarray]:
    """`images` (n, size, size), `labels` (n) and `originals` (n); the same seed, the same arrays."""
    digits = load_digits()
    generator = np.random.default_rng(seed)
    originals = np.arange(images) % len(digits.images)
    made = np.empty((images, size, size), dtype=np.uint8)
    for number, original in enumerate(originals):
        turn, shift, noise = 0.0, np.zeros(2), 0.0
        if number >= len(digits.images):
            turn = np.radians(generator.uniform(-_MOST_TURN_DEGREES, _MOST_TURN_DEGREES))
            shift = generator.uniform(-_MOST_SHIFT_PIXELS, _MOST_SHIFT_PIXELS, 2)
            noise = generator.normal(0.0, _NOISE, (size, size))
        image = enlarged(digits.images[original], size, turn, shift) + noise
        made[number] = np.clip(np.rint(image), 0, 255)
    return {"images": made, "labels": digits.target[originals].astype(np.uint8), "originals": originals}


def main(arguments: list[str] | None = None) -> int:
    """Write the file, whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    unfinished = args.path.with_name(f"{args.path.name}.unfinished.npz")
    np.savez_compressed(unfinished, **make(args.images, args.size, args.seed))
    unfinished.replace(args.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
