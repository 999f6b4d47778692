"""Windows of words as other systems can carry them: a JSON list of `hash,first,end`, where words count from 0."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from hashdb.domain.frames import FRAMES_AN_ITEM, Frame, Unit
from hashdb.domain.signals import Algorithm
from hashdb.wire.sharing import digits_of

PASSAGES: Final = str(Algorithm.SIMHASH256)
"""The name of this form among the types of signals of other systems."""
_WINDOW = re.compile(r"([0-9a-fA-F]{64}),([0-9]{1,7}),([0-9]{1,7})", re.ASCII)
_NOT_PASSAGES: Final = "is not a list of `hash,first,end`: a hash of 64 digits, the first word, the word after the last"


def passages_text(frames: Iterable[Frame]) -> str:
    """The windows of words among some frames, as JSON; `[]` if there are none."""
    return json.dumps(
        [
            f"{digits_of(frame.signals[0])},{frame.at:.0f},{frame.at + frame.length:.0f}"
            for frame in frames
            if frame.unit is Unit.WORDS and frame.signals
        ]
    )


def read_passages(text: str) -> list[dict[str, Any]]:
    """The field `frames` of a draft or a query. Raises ValueError, whose text continues the name of the field."""
    try:
        windows = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(_NOT_PASSAGES) from None
    if not isinstance(windows, list) or not 0 < len(windows) <= FRAMES_AN_ITEM:
        raise ValueError(_NOT_PASSAGES)
    return [_read_window(window) for window in windows]


def _read_window(text: object) -> dict[str, Any]:
    match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(_NOT_PASSAGES)
    return {"words": [int(match[2]), int(match[3])], "signals": [f"{PASSAGES}:{match[1].lower()}"]}
