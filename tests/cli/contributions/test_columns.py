"""Column names as members spell them, and the fields that they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.cli.contributions.columns import COLUMN_NAMES, FIELDS, HASHES, Columns, normalize


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, name) for name in (*FIELDS, *HASHES)),
        ("Label", "labels"),
        (" Removed At ", "removed_at"),
        ("removedAt", "removed_at"),
        ("removal-date", "removed_at"),
        ("Expiry Date", "expires_at"),
        ("PDQ Hash", "pdq"),
        ("HASH_PDQ", "pdq"),
        ("ImagePDQ", "pdq"),
        ("VideoMD5", "video_md5"),
        ("HASH_VIDEO_VPDQ", "vpdq"),
        ("hash_value", "hash"),
        ("hashValue", "hash"),
        ("value", "hash"),
        ("type", None),
        ("tags", None),
        ("date", None),
        ("", None),
    ],
)
def test_a_column_name_is_mapped_to_its_field(name: str, target: str | None) -> None:
    assert Columns().plan([name]).targets == (target,)


def test_a_column_type_is_the_algorithm_only_beside_a_column_hash() -> None:
    assert Columns().plan(["type", "hash"]).targets == ("algorithm", "hash")
    assert Columns().plan(["type", "signal_type", "hash"]).targets == (None, "algorithm", "hash")
    assert Columns().plan(["type", "pdq"]).targets == (None, "pdq")


def test_the_options_of_the_member_override_the_known_names() -> None:
    columns = Columns({"Kategorie": "labels", "label": "reference"}, ["type", "nothing"])
    plan = columns.plan(["kategorie", "label", "Type", "hash", "colour", "taste"])
    assert plan.targets == ("labels", "reference", None, "hash", None, None)
    assert plan.unused == ("colour", "taste")
    assert list(columns.unused) == ["Type", "colour", "taste"]
    assert [fault.at for fault in columns.missing()] == ["`nothing`"]
    assert columns.plan(["kategorie", "colour", "smell"]).unused == ("smell",)
    assert Columns(ignore_rest=True).plan(["hash", "colour"]).unused == ()


def test_an_ignored_column_is_found_behind_a_thousand_others_and_by_a_mark_alone() -> None:
    columns = Columns(ignored=["last", "#", "absent"])
    columns.plan(["#", *(f"colour {number}" for number in range(1_001)), "Last"])
    assert [fault.at for fault in columns.missing()] == ["`absent`"]


def test_two_columns_for_one_field_are_an_error_until_one_is_ignored() -> None:
    names = ["Labels", "label", "Category"]
    (fault,) = Columns().plan(names).faults
    assert (fault.at, "`Labels`, `label`" in fault.reason) == ("labels", True)
    assert Columns(ignored=["label"]).plan(names).faults == Columns(ignored=["LABELS"]).plan(names).faults == ()


def test_an_error_does_not_repeat_a_column_name_that_is_a_hash() -> None:
    (name,) = Columns().plan(["0f" * 32]).unused
    assert "0f0f" not in Columns().unused_fault([name], "column").reason


@given(st.lists(st.text(max_size=12) | st.sampled_from([*COLUMN_NAMES, "type", "value"]), max_size=9))
def test_every_column_name_is_used_reported_or_has_no_letter(names: list[str]) -> None:
    plan = Columns().plan(names)
    assert len(plan.targets) == len(names)
    for name, target in zip(names, plan.targets, strict=True):
        assert target in COLUMN_NAMES or name in plan.unused or not normalize(name)
    used = [target for target in plan.targets if target]
    assert (len(used) > len(set(used))) == bool(plan.faults)
