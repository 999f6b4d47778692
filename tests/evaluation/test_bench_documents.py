"""What the benchmark of documents is made of: pages typeset again, altered pages, and pairs of pages."""

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


def test_a_text_that_is_set_anew_has_the_same_words_on_its_pages() -> None:
    lines = bench_documents._WRAP(pieces(TEXT), Random(0), ()).split("\n")
    hashed = documents.as_query(documents.typeset(lines, on_a_page=5))
    assert hashed.pages is not None and hashed.pages > 1
    assert hashed.words == len(split_words(TEXT))


def test_pairs_have_the_least_distance_and_leave_out_what_is_skipped() -> None:
    def of(*values: int) -> list[Signal]:
        return [Signal(Algorithm.PHASH256, value) for value in values]

    one = signal(1, Algorithm.PHASH256).value
    listed = [of(one), of(one ^ 0b1111 << 60, one ^ 0b1), [], of(one ^ 2**256 - 1)]
    skip = np.eye(4, dtype=bool)
    found = documents.pairs([of(one), of(one), of(one ^ 0b11), []], listed, skip)
    assert (found.total, found.nearest) == (7, 0)
    assert found.nearest_pairs(1) == [(0, 1, 0)]
    assert found.within(1) == 3
    assert next(documents.nearest(found, 1.0)) == (1, 0)


def test_a_sparse_listed_page_counts_as_further_away() -> None:
    listed = [[sparse(1)], [signal(1, Algorithm.PHASH256)]]
    found = documents.pairs([listed[1], [near(sparse(1), 4)]], listed, np.array([[True, True], [False, True]]))
    assert found.nearest == 4 + RADII[Algorithm.PHASH256] - SPARSE_RADIUS


def test_pages_of_translations_at_about_the_same_place_are_the_same() -> None:
    one, other, third = (_document(name, 20) for name in ("manual.de", "manual.fr", "guide.de"))
    assert documents.is_same(one, 3, other, 4)
    assert not documents.is_same(one, 3, other, 9)
    assert not documents.is_same(one, 3, third, 3)
    assert documents.is_same(one, 3, _document("guide.en", 20, words_of=one.name), 3)


def test_each_alteration_is_a_picture_that_differs() -> None:
    random, drawn = np.random.default_rng(0), Image.fromarray(np.asarray(page(4).convert("RGB")))
    assert len({alter(drawn, random) for alter in ALTERATIONS.values()}) == len(ALTERATIONS)


def _document(name: str, count: int, words_of: str | None = None) -> Document:
    found = Document(name, b"", HashedDocument((), count, 0), 0.0)
    texts = [prose(sum(map(ord, f"{words_of or name} {number}")) * 100 + number, 60) for number in range(count)]
    found.__dict__["texts"] = texts
    return found
