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
jar --create --file "$jar" -C "$classes" .
rm -r "$classes"
