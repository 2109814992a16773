"""From a request to the `SparkApplication` that describes it."""
