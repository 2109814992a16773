#!/usr/bin/env bash
# Pillow 13.0.0 reads a TIFF whose zero is white as a negative if it has 16 bits, and rightly if it has 8.
#
# TIFF says by PhotometricInterpretation whether 0 is black (1) or white (0, as scanners and faxes write it). With
# 8 bits Pillow turns white-is-zero into its own "L", where 0 is black. With 16 bits the same picture comes as
# "I;16" with the numbers as they lie in the file: what was dark is light. Neither mode nor `info` says so, only
# `tag_v2[262]` does; a model is then asked about a negative.
#
# And beside it: `convert("L")` of "I;16" does not scale but cuts off: 255 for everything above 255 of 65,535.
#
# Needs bash and Python 3.11. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6

cat >see.py <<'PYTHON'
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__, "tifffile", tifffile.__version__)
black_to_white = {"uint8": [[0, 85, 170, 255]], "uint16": [[0, 21845, 43690, 65535]]}
seen = {}
for dtype, values in black_to_white.items():
    picture = np.array(values, dtype)
    tifffile.imwrite("black_is_zero.tif", picture, photometric="minisblack")
    tifffile.imwrite("white_is_zero.tif", np.iinfo(dtype).max - picture, photometric="miniswhite")
    for name in ("black_is_zero", "white_is_zero"):
        with Image.open(f"{name}.tif") as image:
            seen[dtype, name] = (image.mode, np.asarray(image).tolist())
            print(f"{dtype}, {name}: mode {image.mode}, {np.asarray(image)[0]}")
cut = np.asarray(Image.fromarray(np.array(black_to_white["uint16"], "uint16")).convert("L")).tolist()
print("16 bits, converted to L:", cut[0])
expected = {
    ("uint8", "black_is_zero"): ("L", [[0, 85, 170, 255]]),
    ("uint8", "white_is_zero"): ("L", [[0, 85, 170, 255]]),
    ("uint16", "black_is_zero"): ("I;16", [[0, 21845, 43690, 65535]]),
    ("uint16", "white_is_zero"): ("I;16", [[65535, 43690, 21845, 0]]),
}
sys.exit(seen != expected or cut != [[0, 255, 255, 255]])
PYTHON
venv/bin/python see.py
