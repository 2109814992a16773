"""Files of questions: a Spark application over the model that serves."""
