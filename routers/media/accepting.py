"""What kind of answer a request asks for."""


def wants_text(accept: str) -> bool:
    """Whether plain text is asked for before JSON; who asks for nothing gets JSON."""
    asked = sorted(map(_preference, accept.split(",")), key=lambda each: -each[0])  # stable
    for quality, kind in asked:
        if quality > 0 and kind in ("text/plain", "text/*"):
            return True
        if quality > 0 and kind in ("application/json", "application/*", "*/*"):
            return False
    return False


def _preference(part: str) -> tuple[float, str]:
    kind, _, parameters = part.partition(";")
    for each in parameters.split(";"):
        name, _, value = each.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value), kind.strip().lower()
            except ValueError:
                return 0.0, kind.strip().lower()
    return 1.0, kind.strip().lower()
