#!/bin/sh
# Build the plugin's jar where there is a JDK but no Python: SOURCES SPARK_JARS JAR
# The options are those of listener/build.py; a test builds with both and compares.
set -eu
sources=$1
spark_jars=$2
jar=$3
classes=$(mktemp -d)
compile() {
    release=$1
    shift
    find "$sources" -name '*.java' "$@" -exec javac \
        --release "$release" -Xlint:all,-classfile,-path,-options -Werror -proc:none -encoding UTF-8 \
        -classpath "$spark_jars/*" -d "$classes" {} +
}
# What Spark loads first says in one line that a Java is too old, and has to be read by one that is.
entry="-name EntryPoint.java -o -name EnelPlugin.java -o -name EnelExtraListener.java"
compile 8 \( $entry \)
compile 17 ! \( $entry \)
# Spark's core is named like spark-core_2.13-4.1.4.jar; the plugin says what it was built for.
core=$(basename "$spark_jars"/spark-core_*.jar .jar)
manifest=$(mktemp)
echo "Spark-Version: ${core##*-}" > "$manifest"
jar --create --file "$jar" --manifest "$manifest" -C "$classes" .
rm -r "$classes" "$manifest"
