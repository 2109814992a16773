#!/bin/sh
# Build the plugin's jar where there is a JDK but no Python: SOURCES SPARK_JARS JAR
# The options are those of listener/build.py; a test builds with both and compares.
set -eu
sources=$1
spark_jars=$2
jar=$3
classes=$(mktemp -d)
find "$sources" -name '*.java' -exec javac \
    --release 17 -Xlint:all,-classfile,-path -Werror -proc:none -encoding UTF-8 \
    -classpath "$spark_jars/*" -d "$classes" {} +
# Spark's core is named like spark-core_2.13-4.1.4.jar; the plugin says what it was built for.
core=$(basename "$spark_jars"/spark-core_*.jar .jar)
manifest=$(mktemp)
echo "Spark-Version: ${core##*-}" > "$manifest"
jar --create --file "$jar" --manifest "$manifest" -C "$classes" .
rm -r "$classes" "$manifest"
