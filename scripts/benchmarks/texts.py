"""Measure for `scripts/bench text` everything but recall: the choice of the hash, hashing, and search."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.texts import Text
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, hash_text
from hashdb.index.segment import build_segment
from hashdb.index.tiered import TieredIndex

RADII = (64, 68, 72, 76)
_BITS = 256
_SEED = 20_260
_WINDOWS, _PASSAGES = 600, 200
_Bits = NDArray[np.bool_]


def _window(words: Sequence[str], length: int, *, once: bool) -> _Bits:
    grams = [" ".join(words[place : place + length]) for place in range(len(words) - length + 1)]
    counted_grams = list(dict.fromkeys(grams)) if once else grams
    octets = b"".join(
        hashlib.blake2b(gram.encode("utf-8", "replace"), digest_size=32).digest() for gram in counted_grams
    )
    bits = np.unpackbits(np.frombuffer(octets, np.uint8).reshape(-1, 32), axis=1)
    majority: _Bits = 2 * bits.sum(axis=0, dtype=np.int32) > len(counted_grams)
    return majority


def _length(text: Text, spaced: int) -> int:
    """The words of a shingle for the script of a text; `spaced` is that for scripts with spaces."""
    return spaced + 1 if text.script in ("Chinese, Japanese",) else spaced


def _replaced(words: Sequence[str], random: Random, others: Sequence[str], share: float = 0.1) -> list[str]:
    return [random.choice(others) if random.random() < share else word for word in words]


def curves(texts: Sequence[Text]) -> dict[str, Any]:
    """Distances of copies and of different texts by hash, and the recall by window and step."""
    random = Random(_SEED)
    drawn = random.sample(texts, min(_WINDOWS, len(texts)))
    places = [random.randint(0, len(text.words) - 170) for text in drawn]
    windows = [text.words[at : at + 150] for text, at in zip(drawn, places, strict=True)]
    copies = [
        _replaced(text.words[at + 12 : at + 162], random, text.words) for text, at in zip(drawn, places, strict=True)
    ]
    shared = _sharing(windows)
    rows, pairs = [], 0
    for length in (1, 2, 3, 4):
        for once in (False, True):
            listed = np.stack([_window(words, _length(text, length), once=once)
                               for text, words in zip(drawn, windows, strict=True)])  # fmt: skip
            queried = np.stack([_window(words, _length(text, length), once=once)
                              for text, words in zip(drawn, copies, strict=True)])  # fmt: skip
            same = (listed != queried).sum(axis=1)
            apart = np.stack([(listed != row).sum(axis=1) for row in listed])
            different = np.sort(apart[~shared & np.tri(len(drawn), k=-1, dtype=np.bool_)])
            pairs = len(different)
            counted = "once" if once else "as often as they occur"
            shares = [round(float(np.percentile(same, share))) for share in (50, 95, 99)]
            rows.append([length, counted, *shares, int(different[0]), int(different[pairs // 10_000])])
    passages = [text for text in texts if len(text.words) >= 900]
    passages = random.sample(passages, min(_PASSAGES, len(passages)))
    steps = [
        [window, listed_step, query_step, *_recall_by_radius(passages, window, listed_step, query_step)]
        for window, listed_step, query_step in (
            (200, 100, 25), (200, 50, 25), (150, 75, 25), (150, 50, 50), (150, 50, 25), (100, 50, 25),
        )
    ]  # fmt: skip
    return {"windows": len(drawn), "pairs": pairs, "passages": len(passages), "hashes": rows, "steps": steps}


def _sharing(windows: Sequence[Sequence[str]]) -> _Bits:
    """The pairs of windows that have 8 consecutive words in common."""
    holders: dict[tuple[str, ...], list[int]] = {}
    for place, words in enumerate(windows):
        for run in {tuple(words[at : at + 8]) for at in range(len(words) - 7)}:
            holders.setdefault(run, []).append(place)
    shared = np.zeros((len(windows), len(windows)), np.bool_)
    for places in holders.values():
        shared[np.ix_(places, places)] = True
    return shared


def _recall_by_radius(texts: Sequence[Text], window: int, listed_step: int, query_step: int) -> list[str]:
    """Per cent of passages of which two windows are within each radius: of altered and of short passages."""
    random = Random(_SEED)
    needed: tuple[list[int], list[int]] = ([], [])
    for place, text in enumerate(texts):
        start = random.randint(0, len(text.words) - 300)
        nearby = text.words[max(0, start - 300) : start + 600]
        others = texts[place - 1].words
        listed = _windows(nearby, window, listed_step, _length(text, 2))
        passage = text.words[start : start + 300]
        for kind, upload in enumerate((_replaced(passage, random, others), passage[:150])):
            queried = _windows([*others[:300], *upload, *others[300:600]], window, query_step, _length(text, 2))
            apart = np.stack([(listed != row).sum(axis=1) for row in queried])
            second = [np.sort(apart.min(axis=axis))[1] for axis in (0, 1)]
            needed[kind].append(int(max(second)))
    return [f"{100 * float(np.mean(np.array(distances) <= radius)):.1f}" for distances in needed for radius in RADII]


def _windows(words: Sequence[str], window: int, step: int, length: int) -> _Bits:
    starts = range(0, max(1, len(words) - window + 1), step)
    return np.stack([_window(words[start : start + window], length, once=True) for start in starts])


def hashing(texts: Sequence[Text]) -> dict[str, Any]:
    """Milliseconds to hash 1,000 words by script, as a listed text and as a query."""
    rows = []
    for script, _ in Counter(text.script for text in texts).most_common(8):
        words = next((text for text in texts if text.script == script and len(text.words) >= 1_000), None)
        if words is not None:
            passage = "".join(words.pieces[: _pieces_of(words, 1_000)])
            rows.append([script, *(1e3 * _seconds(passage, step) for step in (LISTED_STEP, QUERY_STEP))])
    return {"scripts": rows}


def _pieces_of(text: Text, words: int) -> int:
    return int(np.searchsorted(np.cumsum(text.counts), words)) + 1


def _seconds(text: str, step: int) -> float:
    times = []
    for _ in range(15):
        started = time.process_time()
        hash_text(text, step=step)
        times.append(time.process_time() - started)
    return min(times)


def search(count: int) -> dict[str, Any]:
    """Search with a query of 3,000 words among `count` random windows, in the index of the service."""
    rng = np.random.default_rng(_SEED)
    words = rng.integers(0, 2**64, (count, _BITS // 64), np.uint64)
    radius = Algorithm.SIMHASH256.radius
    started = time.perf_counter()
    index = TieredIndex(_BITS, radius)
    index.adopt([build_segment(words, radius)], 0)
    built = time.perf_counter() - started
    queries = [int.from_bytes(rng.bytes(_BITS // 8)) for _ in range((3_000 - 150) // QUERY_STEP + 1)]
    index.search(queries, radius)
    elapsed, processor, near = [], [], 0
    for _ in range(3):
        wall_start, processor_start = time.perf_counter(), time.process_time()
        near = sum(map(len, index.search(queries, radius)))
        elapsed.append(time.perf_counter() - wall_start)
        processor.append(time.process_time() - processor_start)
    return {
        "values": count,
        "asked": len(queries),
        "near": near,
        "build": built,
        "elapsed": median(elapsed),
        "processor": median(processor),
    }
