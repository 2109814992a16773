"""From an .npz of images to partitions that processes train from: the first step of `pipeline.yaml`.

By hand: `spark-submit --master 'local[2]' process.py --images mnist.npz --location /tmp/digits`.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from contract import Heartbeat, leave, tell
from pyspark.sql import SparkSession
from stores import Store, WrongLocation, store_at

IMAGES_PER_PARTITION = 1_000
"""A partition is what one task writes and one process fetches at once. A thousand images of 16×16 are 256 KB:
with fewer, most of the time is the opening of a file (two requests over WebHDFS); with more, 8,000 images to
train from are too few partitions to be shared evenly among up to six processes."""

TEST_SHARE = 0.2
_LARGEST_BYTES = 2 << 30


class WrongData(ValueError):
    """The file does not hold what is needed; the message says what."""


@dataclass(frozen=True)
class Images:
    """Images and what they show."""

    pixels: np.ndarray
    """(n, height, width), from 0 to 255."""
    labels: np.ndarray
    """(n), from 0 to 9."""
    is_test: np.ndarray
    """(n)."""

    def checksum(self) -> str:
        """SHA-256 of all of it: the same data, the same checkpoints."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        for array in (self.pixels, self.labels, self.is_test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def read_images(content: bytes, seed: int) -> Images:
    """Of an .npz, nothing of which is unpickled.

    It has `images` or `x`, and `labels` or `y`, and may have `originals`: images with the same number there
    are never on both sides of the split. Or it is split already: `x_train`, `y_train`, `x_test`, `y_test`.

    Raises:
        WrongData: It is none, or has others.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise WrongData(f"it is no .npz of plain arrays: {error}") from error
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        pixels = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        is_test = np.arange(len(pixels)) >= len(arrays["x_train"])
    else:
        pixels, labels = _either(arrays, "images", "x"), _either(arrays, "labels", "y")
        originals = arrays.get("originals", np.arange(len(labels)))
        if originals.shape != labels.shape:
            raise WrongData(f"{labels.shape} labels and {originals.shape} originals do not fit together")
        is_test = chosen_for_test(originals, seed)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise WrongData(f"images of shape {pixels.shape} and labels of shape {labels.shape} do not fit")
    if pixels.dtype.kind == "f" and pixels.max() <= 1.0:
        pixels = np.rint(pixels * 255.0)
    # Written so that numbers that are none are refused, too.
    if not (np.isin(labels, range(10)).all() and pixels.min() >= 0 and pixels.max() <= 255):
        raise WrongData("labels are digits from 0 to 9, and pixels are from 0 to 255, or from 0 to 1")
    if not 0 < is_test.sum() < len(is_test):
        raise WrongData("there are too few images to train and to test with")
    return Images(pixels.astype(np.uint8), labels.astype(np.uint8), is_test)


def _either(arrays: dict[str, np.ndarray], *names: str) -> np.ndarray:
    found = next((arrays[name] for name in names if name in arrays), None)
    if found is None or not len(found):
        there = ", ".join(sorted(arrays)) or "nothing"
        raise WrongData(f"it has no {' or '.join(names)}, but {there}")
    return found


def chosen_for_test(originals: np.ndarray, seed: int, share: float = TEST_SHARE) -> np.ndarray:
    """Which images are for the test, (n): all that were made of a share of the originals."""
    there = np.unique(originals)
    chosen = np.random.default_rng(seed).permutation(there)[: round(share * len(there))]
    return np.isin(originals, chosen)


def fetch(spark: SparkSession, path: str) -> bytes:
    """A file: of this machine, or by its URI through Spark. Raises WrongData."""
    if "://" not in path:
        if not Path(path).is_file():
            raise WrongData("there is no such file in the workspace's folder, nor on the driver")
        return Path(path).read_bytes()
    rows = spark.read.format("binaryFile").load(path).select("length").collect()
    if len(rows) != 1 or rows[0].length > _LARGEST_BYTES:
        raise WrongData("it is not one file of at most 2 GiB")
    return bytes(spark.read.format("binaryFile").load(path).select("content").collect()[0].content)


def write(spark: SparkSession, images: Images, per_partition: int, store: Store, folder: str) -> None:
    """Partitions below `train/` and `test/`, written by the JVM; those that are there already are kept."""
    order = np.random.default_rng(0).permutation(len(images.labels))  # a partition holds all digits
    for name, wanted in (("train", ~images.is_test), ("test", images.is_test)):
        chosen = order[wanted[order]]
        parts = np.array_split(chosen, max(1, round(len(chosen) / per_partition)))
        there = store.names(f"{folder}/{name}")
        if "_SUCCESS" in there and len(_partitions(there)) == len(parts):
            continue
        # A list for each part: neither hashing nor ranges would make parts of one size.
        lists = [[(int(images.labels[at]), images.pixels[at].tobytes()) for at in part] for part in parts]
        rows = spark.sparkContext.parallelize(lists, len(lists)).flatMap(list)
        frame = spark.createDataFrame(rows, "label int, image binary")
        frame.write.mode("overwrite").parquet(store.for_spark(f"{folder}/{name}"))


def _partitions(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".parquet") and not name.startswith(".")]


def describe(images: Images, store: Store, folder: str) -> dict[str, Any]:
    """Where the partitions are, and what they hold."""
    described: dict[str, Any] = {
        "location": store.root,
        "webhdfs": store.webhdfs,
        "folder": folder,
        "checksum": images.checksum(),
        "shape": list(images.pixels.shape[1:]),
    }
    for name, wanted in (("train", ~images.is_test), ("test", images.is_test)):
        names = _partitions(store.names(f"{folder}/{name}"))
        counts = np.bincount(images.labels[wanted], minlength=10).tolist()
        described[name] = {
            "partitions": [f"{folder}/{name}/{each}" for each in names],
            "images": int(wanted.sum()),
            "of_each_digit": counts,
        }
    return described


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--images", required=True, help="an .npz: in the workspace, hdfs://…, or a local path"
    )
    parser.add_argument("--location", required=True, help="where partitions go: hdfs://…, or a folder")
    parser.add_argument("--webhdfs", default="", help="such as http://namenode:9870; empty: no HDFS")
    parser.add_argument("--images-per-partition", type=int, default=IMAGES_PER_PARTITION)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if args.images_per_partition < 1:
        parser.error("--images-per-partition: at least 1")
    try:
        args.store = store_at(args.location, args.webhdfs)
    except WrongLocation as error:
        parser.error(str(error))
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    tell(progress=0.0, message=f"reads {args.images}")
    with SparkSession.builder.appName("digits: processing").getOrCreate() as spark, Heartbeat():
        try:
            images = read_images(fetch(spark, args.images), args.seed)
        except WrongData as error:
            raise WrongData(f"{args.images}: {error}.") from None
        # Named by what it holds and how: who writes it again writes the same.
        folder = f"partitions/{images.checksum()[:16]}-{args.images_per_partition}"
        tell(progress=0.3, message=f"writes {len(images.labels):,} images below {args.store.root}/{folder}")
        write(spark, images, args.images_per_partition, args.store, folder)
        described = describe(images, args.store, folder)
    leave("result.json", described)
    counts = ", ".join(
        f"{described[name]['images']:,} images in {len(described[name]['partitions'])} partitions to {name}"
        for name in ("train", "test")
    )
    tell(progress=1.0, message=counts, data=f"{args.images} (SHA-256 {described['checksum'][:16]}…)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
