"""Drafts and queries of documents, texts and addresses, as a client sends them."""

from __future__ import annotations

from typing import Any

from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import url_signals
from tests.builders import near, signal
from tests.web.callers import item

STEP = 100
"""The distance in words between the starts of two windows of 200 words."""


def pages(*seeds: int, away: int = 0) -> list[dict[str, Any]]:
    """Return a page for each seed, from page 1 on, with a signal `away` bits from the seed's signal."""
    return [
        {"page": page, "signals": [str(near(signal(seed), away))], "quality": 90} for page, seed in enumerate(seeds, 1)
    ]


def windows(*seeds: int, away: int = 0) -> list[dict[str, Any]]:
    """Return a window of 200 words for each seed. Each starts 100 words after the one before."""
    return [
        {"words": [STEP * place, STEP * place + 200], "signals": [str(window(seed, away))]}
        for place, seed in enumerate(seeds)
    ]


def window(seed: int, away: int = 0) -> Any:
    """Return the signal of a window, `away` bits from the seed's signal."""
    return near(signal(seed, Algorithm.SIMHASH256), away)


def document(*frames: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a draft of a document with these pages and windows, or of a text if it has windows only."""
    media = "document" if any("page" in frame for frame in frames) else "text"
    draft = {**item(signals=[]), "media": media, "frames": list(frames), **fields}
    del draft["quality"]
    return draft


def address(text: str, **fields: Any) -> dict[str, Any]:
    """Return a draft of an address."""
    draft = {
        **item(signals=[str(signal) for signal in url_signals(text, for_query=False)]),
        "media": "document",
        **fields,
    }
    del draft["quality"]
    return draft
