"""Hashed pictures on the wire."""

from __future__ import annotations

from hashdb.wire import Answered, SignalText


class PictureOut(Answered):
    """What was computed of one picture."""

    signals: list[SignalText]
    quality: int | None


class PicturesOut(Answered):
    """What was computed of each picture, in order."""

    pictures: list[PictureOut]
