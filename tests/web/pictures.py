"""Pictures and multipart forms, as a client sends them."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image

from tests.hashing.samples import draw_picture, encode_picture
from tests.web.callers import REMOVED

METADATA = {"labels": ["incitement"], "removed_at": REMOVED}
NOT_A_PICTURE = b"\0this is no picture"


def photo(seed: int = 7) -> bytes:
    """A picture with as much detail as a photograph."""
    return encode_picture(draw_picture(seed=seed))


def flat() -> bytes:
    """A picture of one colour."""
    return encode_picture(Image.new("RGB", (64, 64), (200, 10, 10)))


def form(*files: bytes, metadata: object = None, **fields: str) -> dict[str, Any]:
    """The arguments with which Flask's test client sends a form: files, their metadata, and further fields."""
    if metadata is not None:
        fields["metadata"] = metadata if isinstance(metadata, str) else json.dumps(metadata)
    parts = [(f'name="file"; filename="{n}.png"', octets) for n, octets in enumerate(files)]
    return multipart("5d0a", *parts, *((f'name="{name}"', text.encode()) for name, text in fields.items()))


def multipart(boundary: str, *parts: tuple[str, bytes]) -> dict[str, Any]:
    """The arguments for a form of any parts: the Content-Disposition and content of each.

    Flask's own encoder would open temporary files.
    """
    lines = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), disposition.encode(), content)
        for disposition, content in parts
    )
    body = lines + f"--{boundary}--\r\n".encode()
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}
