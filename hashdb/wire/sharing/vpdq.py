"""vPDQ's own forms of the hashes of a video, as other systems exchange them.

Its text has a line a frame: `number,quality,hash,seconds`. Its JSON is a list of `hash,quality,seconds`; older programs
write an object with `quality`, `hash` and `timestamp` by frame number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from hashdb.domain.frames import Frame, with_pdq
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.sharing import digits_of

_INTERVAL: Final = 1.0
"""Seconds from a frame to the next where the list does not tell them."""
_NOT_VPDQ: Final = "is not vPDQ: it takes a list of `hash,quality,seconds`, or lines of `number,quality,hash,seconds`"


def text_line(number: int, at: float, quality: int, signal: Signal) -> str:
    """The line of a frame in vPDQ's text, without its end."""
    return f"{number},{quality},{digits_of(signal)},{at:.3f}"


def json_text(frames: Iterable[Frame]) -> str:
    """The frames of a video that have PDQ, as vPDQ's JSON. Times are in seconds, with three decimals."""
    return json.dumps(
        [f"{digits_of(frame.signals[0])},{frame.quality or 0},{frame.at:.3f}" for frame in with_pdq(frames)]
    )


def read_vpdq(value: object) -> dict[str, Any]:
    """The fields `frames` and `duration` of a draft or a query, from a text or parsed JSON.

    A video lasts as long after its last frame as that is after the one before. Raises ValueError with a sentence.
    """
    rows = list(_rows(value))
    if not rows:
        raise ValueError("has no frames")
    times = _distinct([at for _, _, at in rows])
    frames = [
        {"at": at, "quality": quality, "signals": [f"{Algorithm.PDQ}:{digits}"]}
        for at, (digits, quality, _) in zip(times, rows, strict=True)
    ]
    step = times[-1] - times[-2] if len(times) > 1 else _INTERVAL
    return {"frames": frames, "duration": round(times[-1] + max(0.0, step), 3)}


def _rows(value: object) -> Iterator[tuple[str, int, float]]:
    """The hash, the quality and the seconds of each frame."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] not in ("[", "{"):
            for line in text.splitlines():
                _, quality, digits, seconds = _parts(line, 4)
                yield _row(digits, quality, seconds)
            return
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(_NOT_VPDQ) from None
    if isinstance(value, dict):
        value = [
            [frame.get(name) for name in ("hash", "quality", "timestamp")] if isinstance(frame, dict) else None
            for frame in value.values()
        ]
    if not isinstance(value, list):
        raise ValueError(_NOT_VPDQ)
    for frame in value:
        yield _row(*(frame if isinstance(frame, list) and len(frame) == 3 else _parts(frame, 3)))


def _parts(text: object, count: int) -> Sequence[str]:
    parts = text.split(",") if isinstance(text, str) else ()
    if len(parts) != count:
        raise ValueError(_NOT_VPDQ)
    return parts


def _row(digits: object, quality: object, seconds: object) -> tuple[str, int, float]:
    try:
        row = str(digits).strip().lower(), int(str(quality)), float(str(seconds))
    except ValueError:
        raise ValueError(_NOT_VPDQ) from None
    if not math.isfinite(row[2]):
        raise ValueError(_NOT_VPDQ)
    return row


def _distinct(times: Sequence[float]) -> list[float]:
    """The times, in seconds, with equal ones spread up to the next one.

    The reference's JSON rounds times to three digits: past 100 seconds several frames may have the same.
    """
    runs = [(at, len(list(group))) for at, group in groupby(times)]
    step = (runs[-1][0] - runs[-2][0]) / runs[-2][1] if len(runs) > 1 else _INTERVAL
    at, count = runs[-1]
    spread: list[float] = []
    for (start, equal), (end, _) in pairwise([*runs, (at + count * step, 1)]):
        spread += [round(start + (end - start) * place / equal, 3) for place in range(equal)]
    return spread
