"""Drafts and queries of documents, of texts and of addresses, as a client sends them."""

from __future__ import annotations

from typing import Any

from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import url_signals
from tests.builders import near, signal
from tests.web.callers import item

STEP = 100
"""Words from one window of 200 to the next."""


def pages(*seeds: int, away: int = 0) -> list[dict[str, Any]]:
    """A page for each seed, from page 1 on, `away` bits from the one that the seed makes."""
    return [
        {"page": page, "signals": [str(near(signal(seed), away))], "quality": 90} for page, seed in enumerate(seeds, 1)
    ]


def windows(*seeds: int, away: int = 0) -> list[dict[str, Any]]:
    """A window of 200 words for each seed, each 100 words after the one before."""
    return [
        {"words": [STEP * place, STEP * place + 200], "signals": [str(window(seed, away))]}
        for place, seed in enumerate(seeds)
    ]


def window(seed: int, away: int = 0) -> Any:
    """The signal of a window."""
    return near(signal(seed, Algorithm.SIMHASH256), away)


def document(*frames: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A draft of a document with these pages and windows, or of a text with windows only."""
    media = "document" if any("page" in frame for frame in frames) else "text"
    made = {**item(signals=[]), "media": media, "frames": list(frames), **fields}
    del made["quality"]
    return made


def address(text: str, **fields: Any) -> dict[str, Any]:
    """A draft of an address."""
    made = {**item(signals=[str(one) for one in url_signals(text, asking=False)]), "media": "document", **fields}
    del made["quality"]
    return made
