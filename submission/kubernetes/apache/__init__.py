"""Applications that Apache's own operator carries out (`spark.apache.org/v1`, 1.0.0)."""
