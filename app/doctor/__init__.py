"""What `enel doctor` looks at: whether everything that the settings name can be used, and what mends it."""
