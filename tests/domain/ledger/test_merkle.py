"""The tree: Certificate Transparency's reference vectors, and RFC 9162's own recursive definition."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.merkle import Subtree
from tests.builders import tree_root

ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [hashlib.sha256(b"\x00" + bytes.fromhex(entry)).digest() for entry in ENTRIES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (1, 1): [],
}
leaves = st.lists(st.integers(0, 9), min_size=1, max_size=70).map(lambda ns: [bytes([n]) * 32 for n in ns])
every_size = pytest.mark.parametrize("size", range(1, 34))


def tree_head(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, over the hashes of leaves."""
    if len(entries) == 1:
        return entries[0]
    half = _half(len(entries))
    return hashlib.sha256(b"\x01" + tree_head(entries[:half]) + tree_head(entries[half:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1."""
    if len(entries) == 1:
        return []
    half = _half(len(entries))
    if index < half:
        return [*path(index, entries[:half]), tree_head(entries[half:])]
    return [*path(index - half, entries[half:]), tree_head(entries[:half])]


def subproof(first: int, entries: Sequence[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162, 2.1.4.1."""
    if first == len(entries):
        return [] if known else [tree_head(entries)]
    half = _half(len(entries))
    if first <= half:
        return [*subproof(first, entries[:half], known), tree_head(entries[half:])]
    return [*subproof(first - half, entries[half:], False), tree_head(entries[:half])]


def _half(count: int) -> int:
    half = 1
    while half * 2 < count:
        half *= 2
    return half


def build_proof(spans: Sequence[merkle.Span], entries: Sequence[bytes]) -> list[bytes]:
    """The proof of these spans, read from nodes as they are stored."""
    inner, _ = merkle.grow(0, (), entries)
    numbered = zip(merkle.inner_subtrees(0, len(entries)), inner, strict=True)
    hashes = {Subtree(0, index): leaf for index, leaf in enumerate(entries)}
    hashes |= {place: node.hash for place, node in numbered}
    return list(merkle.proof(spans, hashes))


def _from_hex(hashes: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in hashes]


@pytest.mark.parametrize("size", range(9))
def test_roots_equal_the_reference_vectors(size: int) -> None:
    assert tree_root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_equal_the_reference_vectors(index: int, size: int) -> None:
    expected = _from_hex(INCLUSION[index, size])
    assert build_proof(merkle.inclusion(index, size), LEAVES) == expected
    assert merkle.includes(index, size, LEAVES[index], expected, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_equal_the_reference_vectors(first: int, second: int) -> None:
    expected = _from_hex(CONSISTENCY[first, second])
    assert build_proof(merkle.consistency(first, second), LEAVES) == expected
    assert merkle.extends(first, second, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]), expected)


@every_size
def test_every_proof_equals_that_of_rfc_9162_and_verifies(size: int) -> None:
    entries = [hashlib.sha256(bytes([number])).digest() for number in range(size)]
    root = tree_head(entries)
    assert tree_root(entries) == root
    for number in range(size):
        included = build_proof(merkle.inclusion(number, size), entries)
        assert included == path(number, entries)
        assert merkle.includes(number, size, entries[number], included, root)
        consistent = build_proof(merkle.consistency(number + 1, size), entries)
        assert consistent == subproof(number + 1, entries, True)
        assert merkle.extends(number + 1, size, tree_head(entries[: number + 1]), root, consistent)


@given(leaves, st.data())
def test_a_tree_grown_in_two_steps_equals_one_grown_at_once(entries: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries)))
    first, edge = merkle.grow(0, (), entries[:at])
    more, edge = merkle.grow(at, edge, entries[at:])
    assert (first + more, edge) == merkle.grow(0, (), entries)
    assert merkle.fold(edge) == tree_head(entries)
    assert len(first) == merkle.count_inner_nodes(at)
    places = list(merkle.inner_subtrees(0, len(entries)))
    assert [place.number for place in places] == list(range(1, merkle.count_inner_nodes(len(entries)) + 1))
    for place, node in zip(places, [*first, *more], strict=True):
        assert node.hash == tree_head(entries[place.begin : place.end])
        assert node.left == (entries[place.begin] if place.level == 1 else None)


@given(st.integers(1, 2**40), st.data())
def test_a_proof_needs_at_most_a_logarithmic_number_of_reads(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    for spans in (merkle.inclusion(index, size), merkle.consistency(index + 1, size)):
        assert sum(len(merkle.subtrees_of_span(span)) for span in spans) <= 2 * size.bit_length()
    assert [place.end for place in merkle.peaks(size)][-1] == size


@given(leaves, st.data())
def test_an_altered_proof_does_not_verify(entries: list[bytes], data: st.DataObject) -> None:
    size, root = len(entries), tree_head(entries)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.binary(min_size=32, max_size=32).filter(lambda octets: octets not in entries))
    included, consistent = path(index, entries), subproof(index + 1, entries, True)
    old = tree_head(entries[: index + 1])
    assert not merkle.includes(index, size, other, included, root)
    assert not merkle.includes(index, size, entries[index], included, other)
    assert not merkle.includes(index, size, entries[index], [*included, other], root)
    assert not merkle.includes(size, size, entries[index], included, root)
    assert not merkle.includes(-1, size, entries[index], included, root)
    assert not merkle.extends(index + 1, size, other, root, consistent)
    assert not merkle.extends(index + 1, size, old, other, consistent)
    assert not merkle.extends(index + 1, size, old, root, [*consistent, other])
    assert not merkle.extends(size + 1, size, root, root, consistent)
    for position in range(len(included)):
        assert not merkle.includes(index, size, entries[index], included[:position], root)
        changed = [*included[:position], other, *included[position + 1 :]]
        assert not merkle.includes(index, size, entries[index], changed, root)
    for position in range(len(consistent)):
        assert not merkle.extends(index + 1, size, old, root, consistent[:position])
        changed = [*consistent[:position], other, *consistent[position + 1 :]]
        assert not merkle.extends(index + 1, size, old, root, changed)


def test_an_empty_tree_needs_no_consistency_proof() -> None:
    root = bytes.fromhex(ROOTS[8])
    assert merkle.consistency(0, 8) == ()
    assert merkle.extends(0, 8, merkle.EMPTY_ROOT, root, [])
    assert not merkle.extends(0, 8, root, root, [])
    assert not merkle.extends(0, 8, merkle.EMPTY_ROOT, root, [root])
    assert not merkle.extends(-1, 8, merkle.EMPTY_ROOT, root, [])
