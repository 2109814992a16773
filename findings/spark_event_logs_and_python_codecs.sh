#!/usr/bin/env bash
# Event logs that Spark 4.1.4 has compressed are read in part, or not at all, by Python's packages for the same
# codecs, and two of them say nothing.
#
# A log of zstd has a frame for every flush. zstandard's decompressobj stops, without an error, after the first
# one: some events of thousands, and what is left over in `unused_data`. What Spark calls lz4 and snappy are the
# block streams of lz4-java and snappy-java: the package lz4 raises, python-snappy returns nothing, and no error.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  pyspark==4.1.4 zstandard==0.25.0 lz4==4.4.5 python-snappy==0.7.3 pyarrow==26.0.1

cat >write.py <<'PYTHON'
import sys
from pyspark import SparkConf, SparkContext

codec = sys.argv[1]
settings = {
    "spark.master": "local[1]",
    "spark.app.name": codec,
    "spark.ui.enabled": "false",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.dir": f"file:{sys.argv[2]}",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "true",
    "spark.eventLog.compression.codec": codec,
}
with SparkContext(conf=SparkConf().setAll(list(settings.items()))) as context:
    for _ in range(3):
        context.parallelize(range(8), 4).sum()
PYTHON

cat >see.py <<'PYTHON'
import sys
from pathlib import Path

import lz4.frame
import pyarrow
import snappy
import zstandard


def tried(reader, content):
    try:
        return len(reader(content).splitlines())
    except Exception as error:
        return type(error).__name__


def log(codec):
    [path] = [each for each in Path(codec).iterdir() if not each.name.startswith(".")]
    return path.read_bytes()


zstd = log("zstd")
whole = len(pyarrow.CompressedInputStream(pyarrow.BufferReader(zstd), "zstd").read().splitlines())
first = tried(lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content), zstd)
lz4_lines = tried(lz4.frame.decompress, log("lz4"))
snappy_lines = tried(snappy.StreamDecompressor().decompress, log("snappy"))
print(f"zstd: {whole} events; zstandard's decompressobj gives {first}")
print(f"lz4: {lz4_lines}; snappy: {snappy_lines}")
sys.exit(not (isinstance(first, int) and first < whole and (lz4_lines, snappy_lines) == ("RuntimeError", 0)))
PYTHON

for codec in zstd lz4 snappy; do
  mkdir "$codec"
  venv/bin/python write.py "$codec" "$folder/$codec" >/dev/null 2>&1
done
venv/bin/python see.py
