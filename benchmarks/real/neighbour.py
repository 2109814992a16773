"""Takes one core until whoever started it is gone, or ends it."""

import os


def main() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


if __name__ == "__main__":
    main()
