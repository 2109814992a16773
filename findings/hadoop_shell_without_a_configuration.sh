#!/usr/bin/env bash
# Hadoop's shell in the jars of pyspark 4.1.4 does not list a local folder where no core-site.xml is on the class
# path: it ends with "core-site.xml not found", though everything in it has a default.
#
# Spark itself, and every other program with these jars, works without one. An empty one is enough.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4
jars=$(venv/bin/python -c 'import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent / "jars")')
mkdir here && touch here/file

list() { java -cp "$1" org.apache.hadoop.fs.FsShell -ls "file://$folder/here" 2>&1 || true; }

without=$(list "$jars/*")
mkdir configuration
echo '<configuration/>' >configuration/core-site.xml
with=$(list "$folder/configuration:$jars/*")

echo "without: $(grep -m1 -o 'core-site.xml not found' <<<"$without")"
echo "with an empty one: $(grep -c '/here/file' <<<"$with") file"
grep -q 'core-site.xml not found' <<<"$without"
grep -q '/here/file' <<<"$with"
