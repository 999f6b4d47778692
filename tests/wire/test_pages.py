"""Query strings: numbers, filters, and what is unknown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hashdb.wire.pages import ChangesQuery, ContributionsQuery, EventsQuery, MatchesQuery, PageQuery
from tests.wire.strategies import TERMS


@pytest.mark.parametrize("text", ["-1", "1.0", "1e3", " 1", "+1", "", "x", "٣", "0x1", "9" * 17, "9" * 5000, "1_0"])
def test_a_number_is_ascii_digits(text: str) -> None:
    for name in ("after", "limit"):
        with pytest.raises(ValidationError):
            PageQuery.model_validate({name: text})


@pytest.mark.parametrize(("limit", "taken"), [("0", False), ("1", True), ("1000", True), ("1001", False)])
def test_a_limit_is_1_to_1000(limit: str, taken: bool) -> None:
    for model in (PageQuery, ChangesQuery):
        if taken:
            assert model.model_validate({"limit": limit}).limit == int(limit)
        else:
            with pytest.raises(ValidationError):
                model.model_validate({"limit": limit})


def test_a_page_is_of_100_unless_asked_otherwise() -> None:
    page, changes = PageQuery.model_validate({}), ChangesQuery.model_validate({})
    assert (page.limit, page.after, changes.limit, changes.after, changes.wait) == (100, 0, None, 0, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "gone"),
        ("standing", "sitting"),
        ("label", "nonsense"),
        ("member", "x"),
        ("since", "yesterday"),
        ("until", "2026-11-20T10:00:00"),
        ("colour", "red"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        ContributionsQuery.model_validate({name: value}, context=TERMS)


@pytest.mark.parametrize("subject", ["17", "contribution:", ":17", "contribution:x", "a:b:1", "\x00:1", "key:-1"])
def test_a_subject_is_a_kind_and_an_id(subject: str) -> None:
    assert EventsQuery.model_validate({"subject": "contribution:17"}).subject == ("contribution", 17)
    with pytest.raises(ValidationError):
        EventsQuery.model_validate({"subject": subject})


def test_a_reader_waits_30_seconds_at_most() -> None:
    assert ChangesQuery.model_validate({"wait": "30"}).wait == 30
    with pytest.raises(ValidationError):
        ChangesQuery.model_validate({"wait": "31"})


def test_only_quarantined_contributions_may_be_included() -> None:
    assert MatchesQuery.model_validate({"include": "quarantined"}).include == "quarantined"
    with pytest.raises(ValidationError):
        MatchesQuery.model_validate({"include": "all"})
