"""Wire models of query strings."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from hashdb.domain.contributions import Filter, Standing, Status
from hashdb.domain.listings import Listing, Place, Position, Sort
from hashdb.domain.review.queues import UNKNOWN_SEVERITY, Age, QueueOrder, QueueQuery
from hashdb.domain.signals import Algorithm
from hashdb.wire.pages import (
    DAYS,
    CasesPageQuery,
    ChangesQuery,
    ContributionsQuery,
    DecidedCasesQuery,
    EventsQuery,
    ListingQuery,
    MatchesQuery,
    OverviewQuery,
    PageQuery,
)
from tests.wire.strategies import CONTEXT


@pytest.mark.parametrize("text", ["-1", "1.0", "1e3", " 1", "+1", "", "x", "٣", "0x1", "9" * 17, "9" * 5000, "1_0"])
def test_a_number_has_ascii_digits_only(text: str) -> None:
    for name in ("after", "limit"):
        with pytest.raises(ValidationError):
            PageQuery.model_validate({name: text})


@pytest.mark.parametrize(("limit", "accepted"), [("0", False), ("1", True), ("1000", True), ("1001", False)])
def test_a_limit_is_1_to_1000(limit: str, accepted: bool) -> None:
    for model in (PageQuery, ChangesQuery):
        if accepted:
            assert model.model_validate({"limit": limit}).limit == int(limit)
        else:
            with pytest.raises(ValidationError):
                model.model_validate({"limit": limit})


def test_a_page_has_100_entries_by_default() -> None:
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
def test_an_invalid_filter_is_rejected(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        ContributionsQuery.model_validate({name: value}, context=CONTEXT)


@pytest.mark.parametrize("subject", ["17", "contribution:", ":17", "contribution:x", "a:b:1", "\x00:1", "key:-1"])
def test_a_subject_is_a_kind_and_an_id(subject: str) -> None:
    assert EventsQuery.model_validate({"subject": "contribution:17"}).subject == ("contribution", 17)
    with pytest.raises(ValidationError):
        EventsQuery.model_validate({"subject": subject})


def test_the_longest_wait_is_30_seconds() -> None:
    assert ChangesQuery.model_validate({"wait": "30"}).wait == 30
    with pytest.raises(ValidationError):
        ChangesQuery.model_validate({"wait": "31"})


def test_the_parameter_include_accepts_only_quarantined() -> None:
    assert MatchesQuery.model_validate({"include": "quarantined"}).include == "quarantined"
    with pytest.raises(ValidationError):
        MatchesQuery.model_validate({"include": "all"})


def test_all_filters_are_read_and_dates_include_whole_days() -> None:
    parameters = {
        "member": "3", "status": "active", "standing": "disputed", "label": "manifesto", "severity": "4",
        "algorithm": "pdq", "incident": "CIP:one", "reference": "t-1", "since": "2026-01-02", "until": "2026-01-03",
        "removed_since": "2026-01-01", "removed_until": "2026-01-01",
        "expires_until": "2026-01-03", "sort": "severity", "order": "up", "after": "4.7",
    }  # fmt: skip
    query = ListingQuery.model_validate(parameters, context=CONTEXT)
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 5)]
    first_fields = (3, Status.ACTIVE, Standing.DISPUTED, "manifesto", days[1], days[3])
    chosen = Filter(*first_fields, 4, Algorithm.PDQ, "CIP:one", "t-1", days[0], days[1], days[3])
    assert query.to_domain() == Listing(chosen, Sort.SEVERITY, False)
    assert query.after == Position(4, 7)


def test_without_parameters_everything_is_listed_newest_first() -> None:
    assert ListingQuery().to_domain() == Listing()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("member", "-1"), ("member", "x"), ("status", "gone"), ("standing", "good"), ("label", "nonsense"),
        ("severity", "5"), ("algorithm", "sha1"), ("since", "yesterday"), ("sort", "size"), ("order", "sideways"),
        ("after", "x"), ("limit", "0"), ("limit", "201"), ("colour", "red"), ("reference", "a\x00"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_of_a_listing_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as error:
        ListingQuery.model_validate({name: value}, context=CONTEXT)
    assert [fault["loc"][0] for fault in error.value.errors()] == [name]


def test_a_page_starts_after_or_ends_before_a_position() -> None:
    assert DecidedCasesQuery.model_validate({"state": "decided"}).place == Place()
    assert DecidedCasesQuery.model_validate({"after": "7.3"}).place == Place(Position(7, 3))
    assert DecidedCasesQuery.model_validate({"before": ".3"}).place == Place(Position(None, 3), back=True)


def test_open_cases_are_sorted_by_deadline_by_default() -> None:
    assert CasesPageQuery().to_domain() == QueueQuery(order=QueueOrder.CLOCK, reverse=False)
    parameters = {
        "sort": "severity",
        "order": "up",
        "severity": "unknown",
        "label": "recruitment",
        "age": "week",
        "pile": 3,
    }
    assert CasesPageQuery.model_validate(parameters).to_domain() == QueueQuery(
        label="recruitment", severity=UNKNOWN_SEVERITY, age=Age.WEEK, pile=3, order=QueueOrder.SEVERITY, reverse=True
    )
    for order, reverse in {"down": False, "up": True}.items():
        assert CasesPageQuery.model_validate({"sort": "severity", "order": order}).to_domain().reverse is reverse
        assert CasesPageQuery.model_validate({"sort": "clock", "order": order}).to_domain().reverse is not reverse


@pytest.mark.parametrize("parameters", [{"state": "x"}, {"order": "x"}, {"before": "x"}, {"pile": "x"}, {"more": "1"}])
def test_an_invalid_parameter_of_the_case_page_is_rejected(parameters: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CasesPageQuery.model_validate(parameters)


def test_an_overview_accepts_only_the_offered_periods() -> None:
    assert [OverviewQuery.model_validate({"days": str(days)}).days for days in DAYS] == list(DAYS)
    for invalid in ("0", "31", "x", ""):
        with pytest.raises(ValidationError):
            OverviewQuery.model_validate({"days": invalid})
