"""Addresses and texts that other systems' clients send: hashed at once, and neither stored nor logged."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hashdb.domain.frames import Frame
from hashdb.errors import MalformedRequest, TextRefused
from hashdb.hashing.addresses import url_signals
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, hash_text
from hashdb.wire.sharing import digits_of
from hashdb.wire.sharing.passages import PASSAGES, passages_text

ADDRESS = "url"
TEXT = "raw_text"
_DIGESTS = re.compile(r"[0-9a-fA-F]{64}(?:[ ,][0-9a-fA-F]{64})?", re.ASCII)


def hashed(name: str, value: str, *, asking: bool, accept_text: bool) -> tuple[str, str]:
    """A signal type with a value of it; an address and a text become the type and the value of their hashes.

    Raises TextRefused, MalformedRequest, ExtraMissing.
    """
    if name == ADDRESS and not _DIGESTS.fullmatch(value):
        return name, address_digits(value, asking=asking)
    if name == TEXT:
        return PASSAGES, passages_text(text_frames(value, asking=asking, accept_text=accept_text))
    return name, value


def address_digits(value: str, *, asking: bool) -> str:
    """The digests of an address, separated by a space. Raises MalformedRequest, ExtraMissing."""
    try:
        return " ".join(digits_of(signal) for signal in url_signals(value, asking=asking))
    except ValueError as error:
        raise MalformedRequest(f"invalid signal: it {error}") from None


def text_frames(value: str, *, asking: bool, accept_text: bool) -> Iterable[Frame]:
    """The windows of a text. Raises TextRefused, MalformedRequest if it has none."""
    if not accept_text:
        raise TextRefused()
    frames = hash_text(value, step=QUERY_STEP if asking else LISTED_STEP)
    if not frames:
        raise MalformedRequest("invalid signal: the text is too short: it has fewer than 20 different pairs of words")
    return frames


def hashed_all(values: dict[str, str], *, accept_text: bool) -> dict[str, str]:
    """The values of one content by signal type, to be contributed. Raises what `hashed` raises."""
    return dict(hashed(name, value, asking=False, accept_text=accept_text) for name, value in values.items())


def hashed_pairs(pairs: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Pairs of values by signal type, with the digests of addresses. Raises MalformedRequest, ExtraMissing."""
    if ADDRESS not in pairs:
        return pairs
    one, other = (hashed(ADDRESS, value, asking=False, accept_text=False)[1] for value in pairs[ADDRESS])
    return pairs | {ADDRESS: (one, other)}
