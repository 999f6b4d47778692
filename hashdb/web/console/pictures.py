"""Signals that are pasted on a page, or of a picture that is dropped: hashed in memory, gone with its request."""

from __future__ import annotations

from collections.abc import Mapping

from flask import request

from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput, MediaRefused, TooLarge, UnreadablePicture
from hashdb.hashing import Mode
from hashdb.web import media
from hashdb.web.console.pages import Form
from hashdb.web.context import face
from hashdb.wire.neighbors import read_lines

Sides = Mapping[str, tuple[Signal, ...]]
"""Signals by the name of their transform, empty for the thing itself."""
_TOLD = 3


def sides(sent: Form, mode: Mode) -> Sides:
    """What a picture gives, or else what was pasted. Raises InvalidInput, at `file` or once at `signals`."""
    picture = request.files.get("file")
    octets = b"" if picture is None else picture.stream.read()
    try:
        return _hashed(octets, mode) if octets else read_lines(sent.text("signals"))
    except (UnreadablePicture, MediaRefused, TooLarge) as error:
        raise InvalidInput((Fault("file", str(error)),)) from None
    except InvalidInput as error:
        raise together(error) from None


def together(error: InvalidInput) -> InvalidInput:
    """The faults of signals as one, at the field in which they all were pasted."""
    of_signals = [fault.reason for fault in error.faults if fault.at.startswith("signals")]
    others = tuple(fault for fault in error.faults if not fault.at.startswith("signals"))
    more = f" (and {len(of_signals) - _TOLD} more)" if len(of_signals) > _TOLD else ""
    told = (Fault("signals", "; ".join(of_signals[:_TOLD]) + more),) if of_signals else ()
    return InvalidInput((*told, *others))


def _hashed(octets: bytes, mode: Mode) -> Sides:
    settings = face().settings
    if not settings.accept_media:
        raise MediaRefused()
    if len(octets) > settings.media_max_bytes:
        raise TooLarge("a picture, in bytes,", settings.media_max_bytes)
    [hashed] = media.hash_pictures([octets], [mode])
    return {"": hashed.signals, **dict(hashed.transforms)}
