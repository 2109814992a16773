"""The version of Enel Service, as the API and `python main.py --version` say it."""

VERSION = "0.1.0"
