"""What bodies hold: files that come, and the kind of answer that is wanted."""
