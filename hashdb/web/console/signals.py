"""Signals on a page: drawn as a grid of bits, and read from pasted text or a picture that is hashed in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flask import request
from markupsafe import Markup

from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput, MediaRefused, TooLarge, UnreadablePicture
from hashdb.hashing import Mode
from hashdb.web import media
from hashdb.web.console.pages import Form
from hashdb.web.context import app_state
from hashdb.wire.matching import parse_lines


def grid(signal: Signal, other: Signal | None = None) -> Markup:
    """An SVG of 16 × 16 or 8 × 8 cells, highest bit first. With `other`, differing bits are highlighted."""
    side = 16 if signal.algorithm.bits == 256 else 8
    differing = 0 if other is None else signal.value ^ other.value
    summary = f"{signal.value.bit_count()} of {signal.algorithm.bits} bits set"
    if other is not None:
        summary = f"{differing.bit_count()} bits differ"
    return Markup(
        '<svg class="bits" viewBox="0 0 {side} {side}" role="img" aria-label="{name}: {summary}">'
        '<path class="bits-on" d="{on}"/><path class="bits-gone" d="{gone}"/><path class="bits-new" d="{new}"/></svg>'
    ).format(
        side=side,
        name=str(signal.algorithm),
        summary=summary,
        on=_path(signal.value & ~differing, side),
        gone=_path(~signal.value & differing, side),
        new=_path(signal.value & differing, side),
    )


def _path(value: int, side: int) -> str:
    return "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in _runs(value, side))


def _runs(value: int, side: int) -> Iterator[tuple[int, int, int]]:
    """The runs of set bits: (first column, row, length)."""
    for y in range(side):
        row = [value >> (side * side - 1 - y * side - x) & 1 for x in range(side)]
        x = 0
        while x < side:
            length = 0
            while x + length < side and row[x + length]:
                length += 1
            if length:
                yield x, y, length
            x += length or 1


Sides = Mapping[str, tuple[Signal, ...]]
"""Signals by the name of their transform; the name is empty for the unaltered item."""
_SHOWN_FAULTS = 3


def read_signals(sent: Form, mode: Mode) -> Sides:
    """The signals of the uploaded picture, or the pasted ones. Raises InvalidInput at `file` or `signals`."""
    picture = request.files.get("file")
    content = b"" if picture is None else picture.stream.read()
    try:
        return _hashed(content, mode) if content else parse_lines(sent.text("signals"))
    except (UnreadablePicture, MediaRefused, TooLarge) as error:
        raise InvalidInput((Fault("file", str(error)),)) from None
    except InvalidInput as error:
        raise merge_faults(error) from None


def merge_faults(error: InvalidInput) -> InvalidInput:
    """The error with all faults of signals merged into one, at the field `signals` of the form."""
    of_signals = [fault.reason for fault in error.faults if fault.at.startswith("signals")]
    others = tuple(fault for fault in error.faults if not fault.at.startswith("signals"))
    more = f" (and {len(of_signals) - _SHOWN_FAULTS} more)" if len(of_signals) > _SHOWN_FAULTS else ""
    pasted = (Fault("signals", "; ".join(of_signals[:_SHOWN_FAULTS]) + more),) if of_signals else ()
    return InvalidInput((*pasted, *others))


def _hashed(picture: bytes, mode: Mode) -> Sides:
    settings = app_state().settings
    if not settings.accept_media:
        raise MediaRefused()
    if len(picture) > settings.media_max_bytes:
        raise TooLarge("the bytes of a picture", settings.media_max_bytes)
    [hashed] = media.hash_pictures([picture], [mode])
    return {"": hashed.signals, **dict(hashed.transforms)}
