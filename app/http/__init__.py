"""What every request passes, how errors are answered, and what is measured."""
