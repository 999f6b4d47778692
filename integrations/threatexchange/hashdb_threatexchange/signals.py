"""Signal types that `threatexchange` lacks: the digest of an address, and the hashed windows of a text.

Hashing needs the package of hashdb, and its extra `[addresses]` for addresses. Matching hashes does not need it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TypeVar

from threatexchange.content_type.content_base import ContentType
from threatexchange.content_type.text import TextContent
from threatexchange.content_type.url import URLContent
from threatexchange.signal_type import index, signal_base

T = TypeVar("T")
RADIUS = 72
"""The largest distance, in bits, at which two windows of 256 bits are near-duplicates."""
_DIGESTS = re.compile(r"[0-9a-f]{64}( [0-9a-f]{64})?", re.ASCII)
_WINDOW = re.compile(r"([0-9a-f]{64}),([0-9]{1,7}),([0-9]{1,7})", re.ASCII)


class HashdbUrlIndex(index.SignalTypeIndex[T]):
    """Finds equal digests. A query may have two: of the address, and of the address without its query string."""

    def __init__(self) -> None:
        """Create an empty index."""
        self.state: dict[str, list[T]] = defaultdict(list)

    def query(self, query: str) -> list[index.IndexMatch[T]]:
        """The entries with one of the digests."""
        entries = [entry for digest in query.split() for entry in self.state.get(digest, ())]
        return [index.IndexMatchUntyped(index.SignalSimilarityInfo(), entry) for entry in entries]

    def add(self, signal_str: str, entry: T) -> None:
        """Add an entry under the first digest of a value."""
        self.state[signal_str.split()[0]].append(entry)


class HashdbUrlSignal(signal_base.SimpleSignalType, signal_base.TextHasher):
    """The digest of a normalised address, as contributions to hashdb have it."""

    @classmethod
    def get_name(cls) -> str:
        """The name in configurations."""
        return "hashdb_url"

    @classmethod
    def get_content_types(cls) -> list[type[ContentType]]:
        """Addresses."""
        return [URLContent]

    @classmethod
    def get_index_cls(cls) -> type[index.SignalTypeIndex[T]]:
        """The index of equal digests."""
        return HashdbUrlIndex

    @classmethod
    def validate_signal_str(cls, signal_str: str) -> str:
        """The value in lower case. Raises ValueError."""
        value = signal_str.strip().lower()
        if not _DIGESTS.fullmatch(value):
            raise ValueError("must be one or two digests of 64 hexadecimal digits, separated by a space")
        return value

    @classmethod
    def hash_from_str(cls, text: str) -> str:
        """The digest of an address, then a space and the digest without its query string. Raises ValueError."""
        from hashdb.hashing.addresses import url_signals

        return " ".join(str(signal).removeprefix("url:") for signal in url_signals(text, for_query=True))

    @classmethod
    def compare_hash(cls, hash1: str, hash2: str) -> signal_base.SignalComparisonResult:
        """Whether the digest of a listed address (the first) is among those of a query (the second)."""
        return signal_base.SignalComparisonResult.from_bool_only(hash1.split()[0] in hash2.split())

    @staticmethod
    def get_examples() -> list[str]:
        """No examples: the contributions of a service are the values."""
        return []


class HashdbTextSignal(signal_base.SimpleSignalType, signal_base.TextHasher):
    """The windows of a text, as a JSON list of `hash,first,end`."""

    @classmethod
    def get_name(cls) -> str:
        """The name in configurations."""
        return "simhash256"

    @classmethod
    def get_content_types(cls) -> list[type[ContentType]]:
        """Texts."""
        return [TextContent]

    @classmethod
    def get_index_cls(cls) -> type[index.SignalTypeIndex[T]]:
        """The index that compares a text with every value."""
        return HashdbTextIndex

    @classmethod
    def validate_signal_str(cls, signal_str: str) -> str:
        """The value itself. Raises ValueError."""
        _windows(signal_str)
        return signal_str

    @classmethod
    def hash_from_str(cls, text: str) -> str:
        """The windows of a text at the steps of a query; empty if the text has too few words."""
        from hashdb.hashing.texts import QUERY_STEP, hash_text

        listed = [
            f"{str(frame.signals[0]).partition(':')[2]},{frame.at:.0f},{frame.at + frame.length:.0f}"
            for frame in hash_text(text, step=QUERY_STEP)
        ]
        return json.dumps(listed) if listed else ""

    @classmethod
    def compare_hash(cls, hash1: str, hash2: str) -> signal_base.SignalComparisonResult:
        """Whether a text (the second) has two windows of a listed text (the first), or its only window."""
        # A text with too few words has no windows (`hash_from_str`).
        listed, queried = _windows(hash1), _windows(hash2) if hash2 else []
        near = sum(any((window ^ other).bit_count() <= RADIUS for other in queried) for window in listed)
        return signal_base.SignalComparisonResult.from_bool_only(near >= min(2, len(listed)))

    @staticmethod
    def get_examples() -> list[str]:
        """No examples: the contributions of a service are the values."""
        return []


class HashdbTextIndex(signal_base.TrivialLinearSearchHashIndex[T]):
    """Compares a text with every listed text."""

    _SIGNAL_TYPE = HashdbTextSignal


def _windows(value: str) -> list[int]:
    """The hashes of a value. Raises ValueError."""
    listed = json.loads(value)
    texts = listed if isinstance(listed, list) else []
    hashes = [int(window[1], 16) for text in texts if (window := _WINDOW.fullmatch(str(text)))]
    if not hashes or len(hashes) < len(texts):
        raise ValueError("must be a JSON list of `hash,first,end`")
    return hashes
