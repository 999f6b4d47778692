"""Reads and writes the hashes of a video in the formats of vPDQ, which other systems exchange.

The text format has one line for each frame: `number,quality,hash,seconds`. The JSON format is a list of strings
`hash,quality,seconds`. Older programs write an object: by frame number, an object with `quality`, `hash`, `timestamp`.
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

_DEFAULT_INTERVAL: Final = 1.0
"""Seconds from one frame to the next, if all frames have the same time, or there is only one."""
_NOT_VPDQ: Final = "is not vPDQ: it takes a list of `hash,quality,seconds`, or lines of `number,quality,hash,seconds`"


def vpdq_line(number: int, at: float, quality: int, signal: Signal) -> str:
    """The line of a frame in the text format, without a line end. `at` is in seconds."""
    return f"{number},{quality},{digits_of(signal)},{at:.3f}"


def vpdq_json(frames: Iterable[Frame]) -> str:
    """The frames of a video that have a PDQ hash, in the JSON format. Times are in seconds, with three decimals."""
    return json.dumps(
        [f"{digits_of(frame.signals[0])},{frame.quality or 0},{frame.at:.3f}" for frame in with_pdq(frames)]
    )


def read_vpdq(value: object) -> dict[str, Any]:
    """The fields `frames` and `duration` of a draft or a query, from the text or the JSON format, parsed or not.

    vPDQ has no duration: the last frame is taken to last as long as the one before. Raises ValueError, whose text
    continues a sentence that begins with the name of the field.
    """
    rows = list(_read_rows(value))
    if not rows:
        raise ValueError("has no frames")
    times = _spread_equal([at for _, _, at in rows])
    frames = [
        {"at": at, "quality": quality, "signals": [f"{Algorithm.PDQ}:{digits}"]}
        for at, (digits, quality, _) in zip(times, rows, strict=True)
    ]
    interval = times[-1] - times[-2] if len(times) > 1 else _DEFAULT_INTERVAL
    return {"frames": frames, "duration": round(times[-1] + max(0.0, interval), 3)}


def _read_rows(value: object) -> Iterator[tuple[str, int, float]]:
    """The hash (hex), the quality and the time (seconds) of each frame. Raises ValueError."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] not in ("[", "{"):
            for line in text.splitlines():
                _, quality, digits, seconds = _split_fields(line, 4)
                yield _row(digits, quality, seconds)
            return
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(_NOT_VPDQ) from None
    if isinstance(value, dict):
        # The form of older programs.
        value = [
            [frame.get(name) for name in ("hash", "quality", "timestamp")] if isinstance(frame, dict) else None
            for frame in value.values()
        ]
    if not isinstance(value, list):
        raise ValueError(_NOT_VPDQ)
    for frame in value:
        yield _row(*(frame if isinstance(frame, list) and len(frame) == 3 else _split_fields(frame, 3)))


def _split_fields(text: object, count: int) -> Sequence[str]:
    fields = text.split(",") if isinstance(text, str) else ()
    if len(fields) != count:
        raise ValueError(_NOT_VPDQ)
    return fields


def _row(digits: object, quality: object, seconds: object) -> tuple[str, int, float]:
    try:
        at = float(str(seconds))
        row = str(digits).strip().lower(), int(str(quality)), at
    except ValueError:
        raise ValueError(_NOT_VPDQ) from None
    if not math.isfinite(at):
        raise ValueError(_NOT_VPDQ)
    return row


def _spread_equal(times: Sequence[float]) -> list[float]:
    """The times in seconds, where equal ones are spread evenly over the time up to the next one.

    The JSON of Meta's program has times of three significant digits: after 100 seconds, several frames may have the
    same time.

    >>> _spread_equal([101.0, 101.0, 102.0])
    [101.0, 101.5, 102.0]
    """
    runs = [(at, len(list(group))) for at, group in groupby(times)]
    interval = (runs[-1][0] - runs[-2][0]) / runs[-2][1] if len(runs) > 1 else _DEFAULT_INTERVAL
    at, count = runs[-1]
    spread: list[float] = []
    for (start, count_here), (end, _) in pairwise([*runs, (at + count * interval, 1)]):
        spread += [round(start + (end - start) * position / count_here, 3) for position in range(count_here)]
    return spread
