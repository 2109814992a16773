"""Formats of images, told by how a file begins. Four are read: JPEG, PNG, WebP and TIFF."""

READ = frozenset({"JPEG", "PNG", "WebP", "TIFF"})

_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an archive",
    b"\x1f\x8b": "an archive",
    b"{": "JSON",
    b"data:": "base64 text, which belongs into JSON",
}


def format_of(data: bytes) -> str:
    """`JPEG`, `PNG`, `WebP`, `TIFF`, or in words what else the bytes look like."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video"
    for beginning, name in _BEGINNINGS.items():
        if data.startswith(beginning):
            return name
    start = data[:200].lstrip().lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in data[:1000]):
        return "an SVG"
    if start.startswith(b"<"):
        return "HTML or XML"
    return "no image that is known"


def is_image(data: bytes) -> bool:
    """Whether the bytes begin as one of the formats that are read."""
    return format_of(data) in READ
