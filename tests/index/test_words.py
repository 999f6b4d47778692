"""Values as words: there and back, and each once."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.index.vectors import allocate, copy_columns, distinct, from_octets, is_among, pack, to_octets, unpack

of_every_length = pytest.mark.parametrize("bits", [64, 256])


@of_every_length
@given(data=st.data())
def test_values_come_back_from_words_and_from_octets(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1)))
    words = pack(values, bits)
    assert words.shape == (len(values), bits // 64)
    assert words.dtype == np.uint64
    assert unpack(words) == values
    octets = to_octets(words)
    assert octets == [value.to_bytes(bits // 8) for value in values]
    assert np.array_equal(from_octets(b"".join(octets), bits), words)


def test_the_most_significant_word_stands_first() -> None:
    assert pack([1 << 192 | 2 << 128 | 3 << 64 | 4], 256).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("rows", [0, 3, 2_000_000])
def test_room_for_few_or_many_is_an_array_to_be_filled(rows: int) -> None:
    array = allocate((rows, 2), np.uint32)
    assert array.shape == (rows, 2)
    assert array.dtype == np.uint32
    array[:] = 7
    assert array.sum(dtype=np.uint64) == 14 * rows


def test_copied_columns_are_apart_from_what_they_are_of() -> None:
    words = pack([1, 2, 3], 256)
    own = copy_columns(words[:, 2:])
    assert own.flags.c_contiguous
    own[:] = 0
    assert unpack(words) == [1, 2, 3]


@of_every_length
def test_a_value_that_is_too_long_or_negative_is_refused(bits: int) -> None:
    for value in (2**bits, -1):
        with pytest.raises(OverflowError):
            pack([0, value], bits)


@of_every_length
@given(data=st.data())
def test_distinct_values_are_each_there_once(bits: int, data: st.DataObject) -> None:
    # Of few words, so that many values are equal, or differ in their last word only.
    word = st.sampled_from([0, 1, 2**63, 2**64 - 1])
    rows = data.draw(st.lists(st.lists(word, min_size=bits // 64, max_size=bits // 64)))
    words = np.array(rows, np.uint64).reshape(-1, bits // 64)
    assert unpack(distinct(words)) == sorted(set(unpack(words)))


@of_every_length
@given(data=st.data())
def test_which_values_are_among_others(bits: int, data: st.DataObject) -> None:
    word = st.sampled_from([0, 1, 2**63, 2**64 - 1])
    rows = st.lists(st.lists(word, min_size=bits // 64, max_size=bits // 64))
    words, others = (distinct(np.array(data.draw(rows), np.uint64).reshape(-1, bits // 64)) for _ in range(2))
    known = set(unpack(others))
    assert is_among(words, others).tolist() == [value in known for value in unpack(words)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc that is told")
def test_memory_is_kept_from_one_search_to_the_next() -> None:
    taken = subprocess.run([sys.executable, "-c", _TAKEN], capture_output=True, text=True, check=True).stdout.split()
    before, after = map(int, taken)
    assert before > 10_000
    assert after < 5_000


_TAKEN = """
import resource
import numpy as np
from hashdb.index.vectors import keep_memory

def pages():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones(3_000_000, np.uint8) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun

before = pages()
keep_memory()
print(before, pages())
"""
