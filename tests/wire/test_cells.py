"""Cells of CSV: no spreadsheet reads one as a formula, and each is restored when it is read back."""

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
@pytest.mark.parametrize("prefix", ["", " ", "  ", "\u3000", "\u00a0", "\ufeff", "\u200b", "\x00", "'", "'' "])
def test_a_cell_that_starts_like_a_formula_gets_a_quote_in_front(sign: str, prefix: str) -> None:
    assert guarded(f"{prefix}{sign}1") == f"'{prefix}{sign}1"


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", "\n\n=1", "\tx", "\rx", "\nx"])
def test_a_cell_that_starts_with_a_tab_or_line_break_gets_a_quote(text: str) -> None:
    assert guarded(text).startswith("'")


@pytest.mark.parametrize("text", ["x\n=1", "x\r\n =1", "x\t\uff1d1", "x;@1"])
def test_a_line_inside_a_cell_that_starts_like_a_formula_gets_a_quote(text: str) -> None:
    assert re.search(r"[\t\n;]'", guarded(text))


@pytest.mark.parametrize("text", ["", "case 7", "1-1", "a=b", "x'=y", "it's", "2026-11-20T12:00:00Z", "pdq:f8"])
def test_an_ordinary_cell_is_unchanged(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


@given(TEXTS)
@example("'\t=1")
@example("''\n'=1;='")
def test_unguarding_restores_the_text(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(TEXTS)
def test_no_part_of_a_guarded_cell_starts_like_a_formula(text: str) -> None:
    for part in re.split(r"[\t\r\n;]", guarded(text)):
        visible = part.lstrip("".join(map(chr, range(33))) + "\u3000\u00a0\ufeff\u200b").lstrip()
        assert unicodedata.normalize("NFKC", visible[:1]) not in ("=", "+", "-", "@", "−")


@given(st.lists(TEXTS.filter(lambda text: "\x00" not in text), min_size=2))
def test_a_csv_line_is_read_back_unchanged_and_numbers_are_not_guarded(cells: list[str]) -> None:
    text = csv_line([*cells, -1, None])
    (row,) = csv.reader(StringIO(text, newline=""), strict=True)
    assert [*map(unguarded, row)] == [*cells, "-1", ""]
    assert row[-2:] == ["-1", ""]
