#!/usr/bin/env bash
# Spark 4.1.4 names the stages of one program otherwise in each run, where its main file comes by URL.
#
# spark-submit fetches a main file of http, https or ftp into a folder with a random name, and what Spark calls a
# stage is the place in the source that asked for it: `count at /tmp/spark-<uuid>/app.py:4`. Whoever recognises
# stages of recurring applications by their names, as history servers and tuners do, never sees one twice. (Files
# that a resource manager copies, in its cluster mode, have the same fate.)
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4
mkdir logs served

cat >served/app.py <<'PYTHON'
from pyspark import SparkContext

with SparkContext() as context:
    context.parallelize(range(4), 2).count()
PYTHON

venv/bin/python -u -m http.server 0 --bind 127.0.0.1 --directory served >server.log 2>&1 &
server=$!
until port=$(sed --quiet --regexp-extended 's/.* port ([0-9]+) .*/\1/p' server.log) && test -n "$port"; do sleep 0.2; done

for main in "$folder/served/app.py" "http://127.0.0.1:$port/app.py"; do
  for _ in 1 2; do
    PATH="$folder/venv/bin:$PATH" venv/bin/spark-submit --master 'local[1]' --conf spark.ui.enabled=false \
      --conf spark.eventLog.enabled=true --conf spark.eventLog.compress=false \
      --conf spark.eventLog.rolling.enabled=false --conf "spark.eventLog.dir=file:$folder/logs" \
      "$main" >/dev/null 2>&1
  done
  grep --no-filename --only-matching '"Stage Name":"[^"]*"' logs/* | sort --unique >names
  rm logs/*
  case $main in http*) by=url ;; *) by=path ;; esac
  mv names "$by"
  echo "two runs by $by:"
  sed 's/^/  /' "$by"
done

test "$(wc --lines <path)" = 1
test "$(wc --lines <url)" = 2
test "$(grep --count --extended-regexp '"count at /.*/spark-[0-9a-f-]{36}/app\.py:4"' url)" = 2
