"""Forms of pictures, as a client sends them."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image

from tests.hashing.samples import draw_picture, encode_picture
from tests.web.callers import REMOVED

SAID = {"labels": ["incitement"], "removed_at": REMOVED}
TEXT = b"\0this is no picture"


def photo(seed: int = 7) -> bytes:
    """A picture that is as full of detail as a photograph."""
    return encode_picture(draw_picture(seed=seed))


def flat() -> bytes:
    """A picture of one colour."""
    return encode_picture(Image.new("RGB", (64, 64), (200, 10, 10)))


def form(*files: bytes, said: object = None, **fields: str) -> dict[str, Any]:
    """What Flask's test client takes to send a form of files, what is said of them, and further fields."""
    if said is not None:
        fields["metadata"] = said if isinstance(said, str) else json.dumps(said)
    parts = [(f'name="file"; filename="{n}.png"', octets) for n, octets in enumerate(files)]
    return multipart("5d0a", *parts, *((f'name="{name}"', text.encode()) for name, text in fields.items()))


def multipart(boundary: str, *parts: tuple[str, bytes]) -> dict[str, Any]:
    """The same of any parts, each its Content-Disposition and its content (Flask's own would open temporary files)."""
    lines = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), said.encode(), content)
        for said, content in parts
    )
    body = lines + f"--{boundary}--\r\n".encode()
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}
