"""Publishing of trained models, with doubles around it and with a process that is killed on the way."""
