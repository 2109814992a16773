"""What programs need beside Spark: built once from their requirements, kept, handed to executors."""
