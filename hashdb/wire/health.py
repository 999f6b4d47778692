"""Health on the wire."""

from __future__ import annotations

from typing import Literal

from hashdb.wire import Answered


class HealthOut(Answered):
    """The process is alive."""

    status: Literal["alive"]


class ReadyOut(Answered):
    """The process answers from this number of the log."""

    status: Literal["ready"]
    checkpoint: int
