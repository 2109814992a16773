#!/usr/bin/env bash
# A program in Connect mode takes every other plugin out of Spark 4.1.4, though it was asked for at submission.
#
# `SparkSession.builder.config("spark.api.mode", "connect")` starts a server within the driver, whose own plugin is
# set as `spark.plugins` in the place of what spark-submit, spark-defaults.conf or an operator have put there: no
# line of the log says that theirs was dropped. `spark.extraListeners` stays as it was submitted.
#
# Needs bash, Python 3.11 and a Java 17 JDK. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyspark[connect]==4.1.4' setuptools==80.9.0
spark=$(venv/bin/python -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')

cat >Seen.java <<'JAVA'
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

public class Seen implements SparkPlugin {
    public Seen() {
        System.err.println("SEEN: a plugin");
    }

    public DriverPlugin driverPlugin() {
        return null;
    }

    public ExecutorPlugin executorPlugin() {
        return null;
    }
}
JAVA
cat >SeenListener.java <<'JAVA'
public class SeenListener extends org.apache.spark.scheduler.SparkListener {
    public SeenListener() {
        System.err.println("SEEN: a listener");
    }
}
JAVA
mkdir classes
javac -cp "$spark/jars/*" -d classes Seen.java SeenListener.java
(cd classes && jar --create --file ../seen.jar .)

cat >program.py <<'PYTHON'
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.config("spark.api.mode", sys.argv[1]).getOrCreate()
print("COUNTED:", spark.range(10).count(), type(spark).__module__)
spark.stop()
PYTHON

for mode in classic connect; do
  PATH="$folder/venv/bin:$PATH" PYSPARK_PYTHON="$folder/venv/bin/python" venv/bin/spark-submit --master 'local[1]' \
    --conf spark.ui.enabled=false --jars "$folder/seen.jar" --driver-class-path "$folder/seen.jar" \
    --conf spark.plugins=Seen --conf spark.extraListeners=SeenListener program.py "$mode" >"$mode.log" 2>&1
  grep --only-matching --extended-regexp '(SEEN|COUNTED): .*' "$mode.log" | sort --unique >"$mode"
  echo "$mode:"
  sed 's/^/  /' "$mode"
done

[[ $(cat classic) == *"pyspark.sql.session"*"SEEN: a listener"*"SEEN: a plugin" ]]
[[ $(cat connect) == *"pyspark.sql.connect.session"*"SEEN: a listener" ]]
