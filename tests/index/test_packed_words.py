"""Values as arrays of 64-bit words: conversions, distinct values, membership, and memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.index.vectors import allocate, copy_columns, distinct, from_octets, is_among, pack, to_octets, unpack
from tests.index.samples import for_every_length


@for_every_length
@given(data=st.data())
def test_values_round_trip_through_words_and_bytes(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1)))
    words = pack(values, bits)
    assert words.shape == (len(values), bits // 64)
    assert words.dtype == np.uint64
    assert unpack(words) == values
    octets = to_octets(words)
    assert octets == [value.to_bytes(bits // 8) for value in values]
    assert np.array_equal(from_octets(b"".join(octets), bits), words)


def test_the_most_significant_word_comes_first() -> None:
    assert pack([1 << 192 | 2 << 128 | 3 << 64 | 4], 256).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("rows", [0, 3, 2_000_000])
def test_an_allocated_array_of_any_size_can_be_filled(rows: int) -> None:
    array = allocate((rows, 2), np.uint32)
    assert array.shape == (rows, 2)
    assert array.dtype == np.uint32
    array[:] = 7
    assert array.sum(dtype=np.uint64) == 14 * rows


def test_changing_copied_columns_does_not_change_the_original() -> None:
    words = pack([1, 2, 3], 256)
    copy = copy_columns(words[:, 2:])
    assert copy.flags.c_contiguous
    copy[:] = 0
    assert unpack(words) == [1, 2, 3]


@for_every_length
def test_a_value_with_too_many_bits_or_below_zero_is_rejected(bits: int) -> None:
    for value in (2**bits, -1):
        with pytest.raises(OverflowError):
            pack([0, value], bits)


@for_every_length
@given(data=st.data())
def test_distinct_returns_each_value_once_and_sorted(bits: int, data: st.DataObject) -> None:
    # Only four different words, so that many values are equal or differ only in their last word.
    word = st.sampled_from([0, 1, 2**63, 2**64 - 1])
    rows = data.draw(st.lists(st.lists(word, min_size=bits // 64, max_size=bits // 64)))
    words = np.array(rows, np.uint64).reshape(-1, bits // 64)
    assert unpack(distinct(words)) == sorted(set(unpack(words)))


@for_every_length
@given(data=st.data())
def test_is_among_marks_the_values_that_are_in_both_arrays(bits: int, data: st.DataObject) -> None:
    word = st.sampled_from([0, 1, 2**63, 2**64 - 1])
    rows = st.lists(st.lists(word, min_size=bits // 64, max_size=bits // 64))
    words, others = (distinct(np.array(data.draw(rows), np.uint64).reshape(-1, bits // 64)) for _ in range(2))
    known = set(unpack(others))
    assert is_among(words, others).tolist() == [value in known for value in unpack(words)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the test needs malloc of glibc")
def test_freed_memory_is_kept_for_the_next_search() -> None:
    output = subprocess.run(
        [sys.executable, "-c", _PAGE_FAULTS], capture_output=True, text=True, check=True
    ).stdout.split()
    before, after = map(int, output)
    assert before > 10_000
    assert after < 5_000


_PAGE_FAULTS = """
import resource
import numpy as np
from hashdb.index.vectors import keep_memory

def page_faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones(3_000_000, np.uint8) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = page_faults()
keep_memory()
print(before, page_faults())
"""
