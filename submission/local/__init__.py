"""Applications on this machine: a standalone Spark, and `spark-submit`."""
