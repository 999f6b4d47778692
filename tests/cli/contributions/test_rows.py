"""Rows of lists, in every format and spelling."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.cli.contributions.columns import FIELDS, Columns
from hashdb.cli.contributions.rows import Format, read_rows
from hashdb.cli.contributions.values import Row, Values
from hashdb.domain.signals import Algorithm
from hashdb.errors import Fault
from hashdb.wire.cells import csv_line

HASH = "f8f8f0cee0f4a84f" * 4
NOT_TEXT = Fault("", "is not UTF-8: save the file as UTF-8, or pass --encoding")


def rows(
    text: str,
    form: Format,
    algorithm: Algorithm | None = None,
    columns: Columns | None = None,
    *,
    is_labelled: bool = True,
) -> list[Row]:
    values, lines = Values(algorithm=algorithm), StringIO(text, newline="")
    return list(read_rows(lines, form, values, columns or Columns(), is_labelled=is_labelled))


def test_csv_has_the_fields_of_a_draft_and_its_lists_are_split_at_spaces() -> None:
    heading = "\ufeffsignals,labels,quality,reference,context\r\n"
    text = heading + '"pdq:aa phash:bb",a b,97,"two\nlines",\r\n\r\npdq:cc,,x,,\r\n'
    first, second = rows(text, Format.CSV)
    assert first == Row(
        2, {"signals": ["pdq:aa", "phash:bb"], "labels": ["a", "b"], "quality": 97, "reference": "two\nlines"}
    )
    assert second == Row(5, {"signals": ["pdq:cc"], "quality": "x"})


UNUSED_HINT = "pass --map THEIRS=FIELD to use one, --ignore-columns to leave out all"


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("signals,colour\npdq:aa,red\n", 1, Fault("", f"this column is not used: `colour`; {UNUSED_HINT}")),
        ("md5,file,no\naa,red,1\n", 1, Fault("", f"these columns are not used: `file`, `no`; {UNUSED_HINT}")),
        ("md5,lable\naa,red\n", 1, Fault("", f"this column is not used: `lable` (is it `labels`?); {UNUSED_HINT}")),
        ("signals,labels\npdq:aa\n", 2, Fault("", "has 1 cells, but the first line names 2 columns")),
        ("signals,,\npdq:aa,,x\n", 2,
         Fault("", "column 3 has a value, but no name: name it, or pass --ignore-columns")),
        ("signals,labels,signals\npdq:aa,a,pdq:bb\n", 1,
         Fault("signals", "is in more than one column: `signals`, `signals`; leave one out (--ignore-column NAME)")),
        ("hash,value,algorithm\naa,bb,pdq\n", 1, Fault("", f"this column is not used: `value`; {UNUSED_HINT}")),
        (f"pdq,{HASH}\n", 1,
         Fault("", "has a hash where columns are named: add a line that names them, or pass --format text for lines "
                   "of hashes alone")),
        ("signals,reference\npdq:aa,caf\udce9\n", 2, NOT_TEXT),
        ("signals,caf\udce9\npdq:aa,x\n", 1, NOT_TEXT),
        ('signals\n"pdq:aa\n', 2, Fault("", "is not CSV: unexpected end of data")),
    ],
)  # fmt: skip
def test_an_invalid_csv_row_is_reported(text: str, line: int, fault: Fault) -> None:
    (invalid,) = [row for row in rows(text, Format.CSV) if row.faults]
    assert (invalid.line, invalid.faults) == (line, (fault,))


def test_a_table_without_hashes_or_labels_is_rejected_as_a_whole() -> None:
    (unused, hashes) = rows("a,b\n1,2\n", Format.CSV)
    assert {unused.faults[0].reason.partition(":")[0], hashes.faults[0].reason.partition(":")[0]} == {
        "these columns are not used",
        "no column has hashes",
    }
    for text, form in (("pdq\naa\n", Format.CSV), ("pdq aa\n", Format.TEXT), ("0,90,aa,0.0\n", Format.VPDQ)):
        (row,) = rows(text, form, is_labelled=False)
        assert (row.whole, row.faults[0].at, row.fields) == (True, "labels", {})
    (row,) = rows("pdq,label\naa,\n", Format.CSV, is_labelled=False)
    assert (row.whole, row.fields) == (False, {"signals": ["pdq:aa"]})


@pytest.mark.parametrize(
    "heading", ["pdq,label,\n{0},manifesto,\n", "sep=;\r\n PDQ ;Label;;\r\n{0};manifesto;;\r\n",
                "\ufeffpdq\tlabels\t\r\n\r\n{0}\tmanifesto\t\t\r\n\t\r\n", 'labels|"pdq"\nmanifesto|"{0}"\n']
)  # fmt: skip
def test_the_first_line_sets_the_separator_of_a_table(heading: str) -> None:
    (row,) = rows(heading.format(HASH), Format.CSV)
    assert (row.fields, row.faults) == ({"signals": [f"pdq:{HASH}"], "labels": ["manifesto"]}, ())


@pytest.mark.parametrize(
    ("suffix", "beginning", "form"),
    [
        (".CSV", "", Format.CSV),
        (".tsv", "pdq aa", Format.TSV),
        (".json", "", Format.JSONL),
        (".txt", "\n\nPDQ\tLabel\n", Format.CSV),
        ("", '\n {"signals": []}\n', Format.JSONL),
        ("", f"pdq,{HASH}\n", Format.TEXT),
        (".txt", f"{HASH}\n", Format.TEXT),
        ("", "pdq\n", Format.CSV),
        ("", "", Format.TEXT),
    ],
)
def test_the_format_is_detected_from_the_suffix_or_the_first_line(suffix: str, beginning: str, form: Format) -> None:
    assert Format.detect(suffix, beginning) is form


@pytest.mark.parametrize(
    ("names", "cells", "signals"),
    [
        ("algorithm,hash,quality,source", f"pdq,{HASH.upper()},80,them", [f"pdq:{HASH}"]),
        ("signal_type,signal_value,x", f"HASH_PDQ,{HASH},1", [f"pdq:{HASH}"]),
        ("hash_digest,algorithm", f"{HASH},PDQ", [f"pdq:{HASH}"]),
        ("signalType,hashValue", f"StopNCIISignalType.ImagePDQ,{HASH}", [f"pdq:{HASH}"]),
        ("type,value,md5", f"PDQ,{HASH},bb", [f"pdq:{HASH}", "md5:bb"]),
    ],
)
def test_a_foreign_list_with_one_hash_per_row_is_read(names: str, cells: str, signals: list[str]) -> None:
    columns = Columns(ignore_rest=True)
    (row,) = rows(f"{names}\n{cells}\n", Format.CSV, columns=columns)
    assert row.fields["signals"] == signals
    assert set(row.fields) <= {"signals", "quality"}
    assert {*columns.used, *columns.unused} == set(names.split(","))


VPDQ = [f"{HASH},90,0.0", f"{HASH},40,1.0"]
FRAMES = [{"at": at, "quality": quality, "signals": [f"pdq:{HASH}"]} for at, quality in ((0.0, 90), (1.0, 40))]
VIDEO = {"frames": FRAMES, "duration": 2.0, "media": "video"}


@pytest.mark.parametrize(
    ("names", "cells", "fields"),
    [
        ("video_md5,VideoSHA256", "AA,BB", {"signals": ["md5:aa", "sha256:bb"], "media": "video"}),
        ("md5,sha256,media", "aa,bb,document", {"signals": ["md5:aa", "sha256:bb"], "media": "document"}),
        ("signals,md5", "md5:aa,bb", {"signals": ["md5:aa", "md5:bb"]}),
        ("vpdq,md5", [json.dumps(VPDQ), "aa"], {**VIDEO, "signals": ["md5:aa"]}),
        ("vpdq,duration", [f"0,90,{HASH},0.0\n30,40,{HASH},1.0\n", "9.5"], {**VIDEO, "duration": 9.5, "signals": []}),
        ("frames,duration", [json.dumps(FRAMES), "2.0"], {**VIDEO, "signals": []}),
        ("signal_type,signal_value", ["HASH_VIDEO_VPDQ", json.dumps(VPDQ)], {**VIDEO, "signals": []}),
        ("type,value", "HASH_VIDEO_MD5,AA", {"signals": ["md5:aa"], "media": "video"}),
        ("type,value", "HASH_SHA256,AA", {"signals": ["sha256:aa"]}),
    ],
)  # fmt: skip
def test_the_columns_of_videos_are_read(names: str, cells: str | list[str], fields: dict[str, object]) -> None:
    csv = csv_line(names.split(",")) + csv_line(cells.split(",") if isinstance(cells, str) else cells)
    (row,) = rows(csv, Format.CSV)
    assert (row.fields, row.faults) == (fields, ())


def test_json_lines_have_vpdq_as_json_or_text() -> None:
    text = "\n".join(json.dumps({"vpdq": value, "VideoMD5": "AA"}) for value in (VPDQ, json.dumps(VPDQ)))
    assert [row.fields for row in rows(text, Format.JSONL)] == [{**VIDEO, "signals": ["md5:aa"]}] * 2


@pytest.mark.parametrize(
    ("text", "form", "fault"),
    [
        ("vpdq\nx\n", Format.CSV, "vpdq"),
        ("frames,duration\n[,2.0\n", Format.CSV, "frames"),
        ('{"vpdq": 1}\n', Format.JSONL, "vpdq"),
        ("", Format.VPDQ, "vpdq"),
    ],
)
def test_an_invalid_video_is_reported(text: str, form: Format, fault: str) -> None:
    (row,) = rows(text, form)
    assert [error.at for error in row.faults] == [fault]


NAMES = st.sampled_from(["pdq", "Hash", "algorithm", "Label", "context", "Removed At", "quality", "vpdq", "colour", ""])
EMPTY_CELLS = {"", "null", "none", "nan", "n/a", "#n/a", "\\n"}
CELLS = st.sampled_from([HASH, "pdq", "Manifesto", "3.11.2026", "46329", "90", "[", "NULL", "=1"]) | st.text(max_size=5)


@given(st.lists(st.tuples(NAMES, CELLS, CELLS), min_size=1, max_size=6))
def test_a_row_of_any_table_is_read_or_invalid_and_no_label_is_invented(
    columns: list[tuple[str, str, str]],
) -> None:
    names, first, second = zip(*columns, strict=True)
    read = rows("".join(map(csv_line, (names, first, second))), Format.CSV)
    for row in read:
        assert not (row.faults and row.fields)
        assert "labels" not in row.fields or "Label" in names
        assert row.fields or row.faults or any(cell.strip().lower() in EMPTY_CELLS for cell in (*first, *second))
    if "colour" in names:
        assert any(row.whole for row in read)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'; "), min_size=1, max_size=200))
def test_a_reference_is_read_unchanged(reference: str) -> None:
    text = csv_line(FIELDS) + csv_line(reference if name == "reference" else None for name in FIELDS)
    (row,) = rows(text, Format.CSV)
    assert row.fields == {"reference": reference}


def test_json_lines_are_objects_and_each_unused_key_is_reported_once() -> None:
    text = (
        '{"signals": ["pdq:aa"], "labels": null}\n\n[1]\n{"Algorithm": "PDQ", "hash": "AA", "more": 1}\n{"a\n'
        '{"signals": {"pdq": "AA", "HASH_MD5": ["bb"]}, "more": 2, "colour": 3, "reference": 7}\n'
        '{"signals": ["pdq:aa"], "label": "a", "labels": ["b"]}\n'
    )
    first, second, more, third, fourth, colour, fifth, sixth = rows(text, Format.JSONL)
    assert first == Row(1, {"signals": ["pdq:aa"]})
    assert (second.line, second.faults) == (3, (Fault("", "must be an object"),))
    assert (more.line, more.whole) == (4, True)
    assert more.faults == (Fault("", f"this key is not used: `more`; {UNUSED_HINT}"),)
    assert third == Row(4, {"signals": ["pdq:aa"]})
    assert (fourth.line, fourth.faults) == (5, (Fault("", "is not JSON in UTF-8"),))
    assert (colour.whole, "`colour`" in colour.faults[0].reason, "`more`" in colour.faults[0].reason) == (
        True,
        True,
        False,
    )
    assert fifth == Row(6, {"signals": ["pdq:aa", "md5:bb"], "reference": "7"})
    assert (sixth.whole, [fault.at for fault in sixth.faults]) == (False, ["labels"])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('\ufeff{"signals": ["pdq:aa"], "reference": "caf\udce9"}\n', Format.JSONL),
        ("\ufeff# a caf\udce9\npdq:aa caf\udce9\n", Format.TEXT),
        ("\ufeffalgorithm,hash,reference\npdq,aa,caf\udce9\n", Format.CSV),
    ],
)
def test_a_row_that_is_not_utf_8_is_reported_as_invalid(text: str, form: Format) -> None:
    (row,) = rows(text, form)
    assert (row.fields, row.faults) == ({}, (NOT_TEXT,))


@pytest.mark.parametrize(
    ("text", "line"), [('[{"signals": ["pdq:aa"]}]\n', 1), ('\n [\n  {\n   "signals": []\n  }\n ]\n', 2)]
)
def test_a_json_array_is_reported_once_with_a_hint(text: str, line: int) -> None:
    reason = "begins an array: JSON Lines need one object per line; convert the file with `jq -c '.[]'`"
    assert rows(text, Format.JSONL) == [Row(line, {}, (Fault("", reason),), whole=True)]


def test_a_line_of_a_text_file_is_an_algorithm_and_a_hash() -> None:
    text = f"# a list\n\npdq {HASH}\nPDQ,{HASH.upper()},80\nphash\t00ff\npdq:{HASH}\n{HASH}\na b c\n"
    read = rows(text, Format.TEXT)
    assert [row.fields.get("signals") for row in read[:4]] == [
        [f"pdq:{HASH}"],
        [f"pdq:{HASH}"],
        ["phash:00ff"],
        [f"pdq:{HASH}"],
    ]
    assert read[1].fields["quality"] == 80
    assert [(row.line, len(row.faults)) for row in read[4:]] == [(7, 1), (8, 1)]
    (labelled,) = rows(f"{HASH},glorification\n", Format.TEXT, Algorithm.PDQ)
    assert "must be an algorithm and a hash" in labelled.faults[0].reason
    assert rows("VideoMD5 AA\n", Format.TEXT)[0].fields == {"signals": ["md5:aa"], "media": "video"}
    assert rows(f"{HASH}\n", Format.TEXT, Algorithm.PDQ) == [Row(1, {"signals": [f"pdq:{HASH}"]})]
