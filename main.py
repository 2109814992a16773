"""Start the service: `python main.py`. Settings are environment variables, see `common/settings/`."""

import argparse
import sys

from app.run import run
from app.version import VERSION


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args()
    return run()


if __name__ == "__main__":
    sys.exit(main())
