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
"""Times the median of alone that the other member may wait: for a picture of the flood, on cores that it keeps busy."""
_LINE = "hashdb-attack"


def run() -> Iterator[Finding]:
    """Measure another member's picture alone, then under the flood."""
    picture = _picture()
    with service() as target:
        key = target.key(target.member("Other"), Scope.MATCH)
        stolen = target.key(target.member("Attacker"), Scope.MATCH)
        kind = f"multipart/form-data; boundary={_LINE}"
        one = {"a picture": Script("POST", "/v1/matches/media", key, [_form(picture, 1)], kind)}
        many = Script("POST", "/v1/matches/media", stolen, [_form(picture, _PICTURES)], kind)
        measure(target.url, one, 3.0)
        alone = measure(target.url, one, 8.0)["a picture"]
        with flooding(target.url, many, _CONNECTIONS, _FLOOD_SECONDS + 2) as answers:
            time.sleep(2)
            under = measure(target.url, one, _FLOOD_SECONDS)["a picture"]
            print(f"the flood was answered {json.dumps(answers.told())}")
    yield Finding(
        f"a picture of another member in a flood of forms of {_PICTURES} pictures",
        f"none fails, and the median is at most {SLOWER:.0f} times that of alone",
        f"{under.failed} of {under.sent} failed {dict(under.statuses)}; p50 {under.p50 * 1e3:.0f} ms, alone "
        f"{alone.p50 * 1e3:.0f} ms; p99 {under.p99 * 1e3:.0f} and {alone.p99 * 1e3:.0f} ms",
        not under.failed and under.p50 <= SLOWER * alone.p50,
    )


def _picture() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).resize((1200, 900)).save(out, "JPEG")
    return out.getvalue()


def _form(picture: bytes, many: int) -> bytes:
    part = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n%s\r\n'
    return part % (_LINE.encode(), picture) * many + f"--{_LINE}--\r\n".encode()
