"""Addresses and texts that other systems' clients send: hashed at once, and neither stored nor logged."""

from __future__ import annotations

import re

from hashdb.errors import MalformedRequest, TextRefused
from hashdb.hashing.addresses import url_signals
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, hash_text
from hashdb.wire.sharing import digits_of
from hashdb.wire.sharing.passages import PASSAGES, passages_text

ADDRESS = "url"
TEXT = "raw_text"
_DIGESTS = re.compile(r"[0-9a-fA-F]{64}(?:[ ,][0-9a-fA-F]{64})?", re.ASCII)


def hash_value(name: str, value: str, *, for_query: bool, accept_text: bool) -> tuple[str, str]:
    """A signal type and a value of it: those that were sent, or what is computed from an address or a text.

    An address becomes its digest. A text becomes the JSON list of its windows, whose type is `PASSAGES`.
    `for_query`: to match it, else to contribute it. Raises TextRefused, MalformedRequest, ExtraMissing.
    """
    if name == ADDRESS and not _DIGESTS.fullmatch(value):
        try:
            return name, " ".join(digits_of(signal) for signal in url_signals(value, for_query=for_query))
        except ValueError as error:
            raise MalformedRequest(f"invalid signal: it {error}") from None
    if name == TEXT:
        if not accept_text:
            raise TextRefused()
        frames = hash_text(value, step=QUERY_STEP if for_query else LISTED_STEP)
        if not frames:
            raise MalformedRequest(
                "invalid signal: the text is too short: it has fewer than 20 different pairs of words"
            )
        return PASSAGES, passages_text(frames)
    return name, value


def hash_pairs(pairs: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Pairs of values to compare, by signal type, with the digest of each address in its place.

    Raises MalformedRequest, ExtraMissing.
    """
    if ADDRESS not in pairs:
        return pairs
    first, second = (hash_value(ADDRESS, value, for_query=False, accept_text=False)[1] for value in pairs[ADDRESS])
    return pairs | {ADDRESS: (first, second)}
