"""Forms as they are read: small and large, never by way of a disk."""

import numpy as np
import pytest
from starlette.datastructures import Headers, UploadFile

from common.errors import InvalidRequest
from routers.serving.reading import read_form

BOUNDARY = "a-boundary"
HEADERS = Headers({"content-type": f"multipart/form-data; boundary={BOUNDARY}"})


def part(disposition: str, content: bytes) -> bytes:
    return b"".join(
        (f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode(), content, b"\r\n")
    )


@pytest.mark.parametrize("size", [10, 5 << 20])
async def test_uploads_of_any_size_stay_in_memory(size: int) -> None:
    content = np.random.default_rng(1).bytes(size)
    body = part('name="age"', b"41") + part('name="image"; filename="a.png"', content)
    form = await read_form(HEADERS, body + f"--{BOUNDARY}--\r\n".encode())
    assert form["age"] == "41"
    upload = form["image"]
    assert isinstance(upload, UploadFile)
    assert not getattr(upload.file, "_rolled", True)
    assert upload.file.read() == content


async def test_a_large_form_that_is_none_says_so() -> None:
    with pytest.raises(InvalidRequest, match="form cannot be read"):
        await read_form(HEADERS, b"--none" + b"x" * (1 << 20))
