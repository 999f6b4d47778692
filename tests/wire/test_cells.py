"""Cells of CSV: no spreadsheet takes one for a formula, and each is read back as it was."""

from __future__ import annotations

import csv
import re
import unicodedata
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashdb.wire.cells import csv_line, guarded, unguarded

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
TEXTS = st.text() | st.text(alphabet=f"'a; \t\r\n\u3000\u00a0\ufeff\u200b{SIGNS}", max_size=12)


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "  ", "\u3000", "\u00a0", "\ufeff", "\u200b", "\x00", "'", "'' "])
def test_a_cell_that_begins_like_a_formula_is_guarded(sign: str, before: str) -> None:
    assert guarded(f"{before}{sign}1") == f"'{before}{sign}1"


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", "\n\n=1", "\tx", "\rx", "\nx"])
def test_a_cell_that_begins_with_a_control_is_guarded(text: str) -> None:
    assert guarded(text).startswith("'")


@pytest.mark.parametrize("text", ["x\n=1", "x\r\n =1", "x\t\uff1d1", "x;@1"])
def test_a_line_or_part_within_a_cell_that_begins_like_a_formula_is_guarded(text: str) -> None:
    assert re.search(r"[\t\n;]'", guarded(text))


@pytest.mark.parametrize("text", ["", "case 7", "1-1", "a=b", "x'=y", "it's", "2026-11-20T12:00:00Z", "pdq:f8"])
def test_an_ordinary_cell_stays_as_it_is(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


@given(TEXTS)
@example("'\t=1")
@example("''\n'=1;='")
def test_what_is_guarded_is_read_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(TEXTS)
def test_no_part_of_a_guarded_cell_begins_like_a_formula(text: str) -> None:
    for part in re.split(r"[\t\r\n;]", guarded(text)):
        seen = part.lstrip("".join(map(chr, range(33))) + "\u3000\u00a0\ufeff\u200b").lstrip()
        assert unicodedata.normalize("NFKC", seen[:1]) not in ("=", "+", "-", "@", "−")


@given(st.lists(TEXTS.filter(lambda text: "\x00" not in text), min_size=2))
def test_a_line_is_read_back_and_numbers_stay_numbers(cells: list[str]) -> None:
    text = csv_line([*cells, -1, None])
    (read,) = csv.reader(StringIO(text, newline=""), strict=True)
    assert [*map(unguarded, read)] == [*cells, "-1", ""]
    assert read[-2:] == ["-1", ""]
