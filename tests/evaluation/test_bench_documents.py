"""The parts of the benchmark of documents: pages that are typeset again, altered pages, and pairs of pages."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image

from hashdb.domain.matching.pages import RADII, SPARSE_RADIUS
from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.passages import pieces
from hashdb.hashing.documents import HashedDocument
from hashdb.hashing.texts import split_words
from scripts import bench_documents
from scripts.benchmarks import documents
from scripts.benchmarks.documents import ALTERATIONS, Document
from tests.builders import near, signal, sparse
from tests.documents import page, prose

TEXT = f"{prose(3, 120)} Это написано по-русски. 日本語の文章です。 Tiếng Việt"


def test_a_text_that_is_typeset_again_has_the_same_words() -> None:
    lines = bench_documents._WRAP(pieces(TEXT), Random(0), ()).split("\n")
    hashed = documents.as_query(documents.typeset(lines, on_a_page=5))
    assert hashed.pages is not None and hashed.pages > 1
    assert hashed.words == len(split_words(TEXT))


def test_pairs_have_the_smallest_distance_and_omit_skipped_ones() -> None:
    def signals(*values: int) -> list[Signal]:
        return [Signal(Algorithm.PHASH256, value) for value in values]

    value = signal(1, Algorithm.PHASH256).value
    listed = [signals(value), signals(value ^ 0b1111 << 60, value ^ 0b1), [], signals(value ^ 2**256 - 1)]
    skip = np.eye(4, dtype=bool)
    pairs = documents.pairs([signals(value), signals(value), signals(value ^ 0b11), []], listed, skip)
    assert (pairs.total, pairs.nearest) == (7, 0)
    assert pairs.nearest_pairs(1) == [(0, 1, 0)]
    assert pairs.within(1) == 3
    assert next(documents.nearest_pairs(pairs, 1.0)) == (1, 0)


def test_a_sparse_listed_page_counts_as_farther_away() -> None:
    listed = [[sparse(1)], [signal(1, Algorithm.PHASH256)]]
    pairs = documents.pairs([listed[1], [near(sparse(1), 4)]], listed, np.array([[True, True], [False, True]]))
    assert pairs.nearest == 4 + RADII[Algorithm.PHASH256] - SPARSE_RADIUS


def test_pages_of_translations_at_similar_places_count_as_the_same() -> None:
    german, french, guide = (_document(name, 20) for name in ("manual.de", "manual.fr", "guide.de"))
    assert documents.is_same(german, 3, french, 4)
    assert not documents.is_same(german, 3, french, 9)
    assert not documents.is_same(german, 3, guide, 3)
    assert documents.is_same(german, 3, _document("guide.en", 20, words_of=german.name), 3)


def test_each_alteration_gives_a_different_picture() -> None:
    random, drawn = np.random.default_rng(0), Image.fromarray(np.asarray(page(4).convert("RGB")))
    assert len({alter(drawn, random) for alter in ALTERATIONS.values()}) == len(ALTERATIONS)


def _document(name: str, count: int, words_of: str | None = None) -> Document:
    document = Document(name, b"", HashedDocument((), count, 0), 0.0)
    texts = [prose(sum(map(ord, f"{words_of or name} {number}")) * 100 + number, 60) for number in range(count)]
    document.__dict__["texts"] = texts
    return document
