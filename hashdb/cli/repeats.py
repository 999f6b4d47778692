"""Requests that are sent again where the service was busy or did not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hashdb.errors import ServiceUnreachable, Unavailable

_REPEATS = 3
_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_Answer = TypeVar("_Answer")


def repeated(ask: Callable[[], _Answer]) -> _Answer:
    """What a request is answered, sent up to four times. It must do no harm twice. Raises what the last one raises."""
    for _ in range(_REPEATS):
        try:
            return ask()
        except ServiceUnreachable:
            time.sleep(_PAUSE)
        except Unavailable as error:
            time.sleep(min(error.retry_after, _LONGEST_PAUSE))
    return ask()
