"""Rows of lists, however they are spelled."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.cli.contributions.rows import FIELDS, Format, Row, read_rows
from hashdb.domain.signals import Algorithm
from hashdb.errors import Fault
from hashdb.wire.cells import line

HASH = "f8f8f0cee0f4a84f" * 4


def rows(text: str, form: Format, algorithm: Algorithm | None = None) -> list[Row]:
    return list(read_rows(StringIO(text, newline=""), form, algorithm))


def test_csv_has_the_fields_of_a_draft_and_its_lists_are_separated_by_spaces() -> None:
    heading = "\ufeffsignals,labels,quality,reference,context\r\n"
    text = heading + '"pdq:aa phash:bb",a b,97,"two\nlines",\r\n\r\npdq:cc,,x,,\r\n'
    first, second = rows(text, Format.CSV)
    assert first == Row(
        2, {"signals": ["pdq:aa", "phash:bb"], "labels": ["a", "b"], "quality": 97, "reference": "two\nlines"}
    )
    assert second == Row(5, {"signals": ["pdq:cc"], "quality": "x"})


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("signals,colour\npdq:aa,red\n", 1, Fault("colour", "is not a field of a contribution")),
        ("md5,file\naa,red\n", 1, Fault("file", "is not a field of a contribution")),
        ("signals,labels\npdq:aa\n", 2, Fault("", "has 1 cells, but the first line names 2 columns")),
        (
            "a,b\n1,2\n",
            1,
            Fault("", "the first line must name the columns, with `signals`, or with `algorithm` and `hash`"),
        ),
        ("signals,labels,signals\npdq:aa,a,pdq:bb\n", 1, Fault("signals", "names more than one column")),
        ("signals,reference\npdq:aa,caf\udce9\n", 2, Fault("", "is not UTF-8")),
        ('signals\n"pdq:aa\n', 2, Fault("", "is not CSV: unexpected end of data")),
    ],
)
def test_what_is_no_row_of_csv_is_told(text: str, line: int, fault: Fault) -> None:
    assert [(row.line, row.fault) for row in rows(text, Format.CSV)] == [(line, fault)]


@pytest.mark.parametrize(
    ("names", "cells", "signal"),
    [
        ("algorithm,hash,quality,source", f"pdq,{HASH.upper()},80,them", f"pdq:{HASH}"),
        ("signal_type,signal_value,x", f"HASH_PDQ,{HASH},1", f"pdq:{HASH}"),
        ("hash_digest,algorithm", f"{HASH},PDQ", f"pdq:{HASH}"),
        ("type,value", "photodna,aGVsbG8=", "photodna:agvsbg8="),
    ],
)
def test_a_foreign_list_has_a_hash_a_row_and_columns_of_its_own(names: str, cells: str, signal: str) -> None:
    (row,) = rows(f"{names}\n{cells}\n", Format.CSV)
    assert row.fields["signals"] == [signal]
    assert set(row.fields) <= {"signals", "quality"}


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
        ("signal_type,signal_value,x", ["HASH_VIDEO_VPDQ", json.dumps(VPDQ), "1"], {**VIDEO, "signals": []}),
        ("type,value", "HASH_VIDEO_MD5,AA", {"signals": ["md5:aa"], "media": "video"}),
        ("type,value", "HASH_SHA256,AA", {"signals": ["sha256:aa"]}),
    ],
)  # fmt: skip
def test_videos_have_columns_of_their_own(names: str, cells: str | list[str], fields: dict[str, object]) -> None:
    csv = line(names.split(",")) + line(cells.split(",") if isinstance(cells, str) else cells)
    (row,) = rows(csv, Format.CSV)
    assert (row.fields, row.fault) == (fields, None)


def test_videos_in_json_lines_have_vpdq_as_json_or_text() -> None:
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
def test_what_is_no_video_is_told(text: str, form: Format, fault: str) -> None:
    (row,) = rows(text, form)
    assert row.fault is not None and row.fault.at == fault


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'; "), min_size=1, max_size=200))
def test_a_reference_is_read_as_it_was_written(reference: str) -> None:
    text = line(FIELDS) + line(reference if name == "reference" else None for name in FIELDS)
    (row,) = read_rows(StringIO(text, newline=""), Format.CSV, None)
    assert row.fields == {"reference": reference}


def test_json_lines_have_an_object_each() -> None:
    text = '{"signals": ["pdq:aa"], "labels": null}\n\n[1]\n{"algorithm": "PDQ", "hash": "AA", "more": 1}\n{"a\n'
    first, second, third, fourth = rows(text, Format.JSONL)
    assert first == Row(1, {"signals": ["pdq:aa"]})
    assert (second.line, second.fault) == (3, Fault("", "must be an object"))
    assert third == Row(4, {"signals": ["pdq:aa"]})
    assert (fourth.line, fourth.fault) == (5, Fault("", "is not JSON in UTF-8"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('\ufeff{"signals": ["pdq:aa"], "reference": "caf\udce9"}\n', Format.JSONL),
        ("\ufeff# a caf\udce9\npdq:aa caf\udce9\n", Format.TEXT),
        ("\ufeffalgorithm,hash,source,source\npdq,aa,caf\udce9,\n", Format.CSV),
    ],
)
def test_what_is_not_utf_8_is_a_faulty_row(text: str, form: Format) -> None:
    (row,) = rows(text, form)
    assert (row.fields, row.fault) == ({}, Fault("", "is not UTF-8"))


@pytest.mark.parametrize(
    ("text", "line"), [('[{"signals": ["pdq:aa"]}]\n', 1), ('\n [\n  {\n   "signals": []\n  }\n ]\n', 2)]
)
def test_an_array_is_told_once_with_what_to_do(text: str, line: int) -> None:
    reason = "begins an array: JSON Lines need one object per line; convert the file with `jq -c '.[]'`"
    assert rows(text, Format.JSONL) == [Row(line, {}, Fault("", reason))]


def test_a_text_has_an_algorithm_and_a_hash_a_line() -> None:
    text = f"# a list\n\npdq {HASH}\nPDQ,{HASH.upper()},80\nphash\t00ff\npdq:{HASH}\n{HASH}\na b c\n"
    found = rows(text, Format.TEXT)
    assert [row.fields.get("signals") for row in found[:4]] == [
        [f"pdq:{HASH}"],
        [f"pdq:{HASH}"],
        ["phash:00ff"],
        [f"pdq:{HASH}"],
    ]
    assert found[1].fields["quality"] == 80
    assert [(row.line, row.fault is not None) for row in found[4:]] == [(7, True), (8, True)]
    assert rows("VideoMD5 AA\n", Format.TEXT)[0].fields == {"signals": ["md5:aa"], "media": "video"}
    assert rows(f"{HASH}\n", Format.TEXT, Algorithm.PDQ) == [Row(1, {"signals": [f"pdq:{HASH}"]})]
