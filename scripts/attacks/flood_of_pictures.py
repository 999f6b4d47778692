"""One key sends forms of 32 pictures on six connections, to slow down a picture of another member."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from hashdb.domain.accounts.members import Scope
from scripts.attacks import Finding
from scripts.attacks._load import Script, flooding, measure
from scripts.attacks._service import service

SECONDS = 180
_CONNECTIONS = 6
_PICTURES = 32
_FLOOD_SECONDS = 20.0
SLOWER = 10.0
"""The largest median of the other member, as a multiple of that without the flood.

The member waits for a picture of the flood, on cores that the flood keeps busy.
"""
_BOUNDARY = "hashdb-attack"


def run() -> Iterator[Finding]:
    """Measure another member's picture without the flood, then during it."""
    picture = _picture()
    with service() as target:
        key = target.key(target.member("Other"), Scope.MATCH)
        attacker_key = target.key(target.member("Attacker"), Scope.MATCH)
        content_type = f"multipart/form-data; boundary={_BOUNDARY}"
        single = {"a picture": Script("POST", "/v1/matches/media", key, [_form(picture, 1)], content_type)}
        flood = Script("POST", "/v1/matches/media", attacker_key, [_form(picture, _PICTURES)], content_type)
        measure(target.url, single, 3.0)
        without_flood = measure(target.url, single, 8.0)["a picture"]
        with flooding(target.url, flood, _CONNECTIONS, _FLOOD_SECONDS + 2) as running_flood:
            time.sleep(2)
            with_flood = measure(target.url, single, _FLOOD_SECONDS)["a picture"]
            print(f"the statuses of the flood are {json.dumps(running_flood.statuses())}")
    yield Finding(
        f"a picture of another member in a flood of forms of {_PICTURES} pictures",
        f"none fails, and the median is at most {SLOWER:.0f} times that without the flood",
        f"{with_flood.failed} of {with_flood.sent} failed {dict(with_flood.statuses)}; "
        f"p50 {with_flood.p50 * 1e3:.0f} ms, without it {without_flood.p50 * 1e3:.0f} ms; "
        f"p99 {with_flood.p99 * 1e3:.0f} ms, without it {without_flood.p99 * 1e3:.0f} ms",
        not with_flood.failed and with_flood.p50 <= SLOWER * without_flood.p50,
    )


def _picture() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).resize((1200, 900)).save(out, "JPEG")
    return out.getvalue()


def _form(picture: bytes, copies: int) -> bytes:
    part = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n%s\r\n'
    return part % (_BOUNDARY.encode(), picture) * copies + f"--{_BOUNDARY}--\r\n".encode()
