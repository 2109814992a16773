"""What keeps a message from its topic; apart from the broker itself, whose libraries only its users need."""

from common.errors import PayloadTooLarge, Unavailable


class NotAcknowledged(Unavailable):
    """The broker has not said that it has a message; it may have it all the same."""

    title = "The broker does not answer"


class MessageTooLarge(PayloadTooLarge):
    """However often it is sent, the broker does not take it."""

    title = "The broker takes no message of this size"
