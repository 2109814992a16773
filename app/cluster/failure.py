"""What keeps a command about a cluster from being carried out."""


class CannotBeDone(Exception):
    """A program is not there or refuses, or what was asked for does not fit; `advice` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice
