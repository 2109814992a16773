"""The command line `enel`: commands, what they show, and which service they ask."""
