"""The template filters: durations, times, numbers and actions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashdb.domain.ledger.events import Action
from hashdb.web.console import filters


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_659, "1 h"),
        (90_061, "1 d 1 h"),
        (86_400 * 400, "400 d"),
        (-61, "1 min 1 s"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: int, text: str) -> None:
    assert filters.duration(timedelta(seconds=seconds)) == filters.seconds_as_duration(seconds) == text


def test_times_are_readable_for_people_and_programs() -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    element = '<time datetime="2026-11-20T12:00:00.000000Z">2026-11-20 12:00:00 <small>UTC</small></time>'
    assert filters.instant(at) == element
    assert 'title="2026-11-20 12:00:00 UTC"' in filters.day(at)
    assert "2026-11-20</time>" in filters.day(at)
    assert (filters.instant(None), filters.day(None, "never")) == ("–", "never")


def test_a_copied_number_has_only_digits() -> None:
    elements = {number: str(filters.counted_on_page(number, "row")) for number in (1, 6012, 60_120, 2_000_000)}
    assert elements[6012] == "6012 rows"
    assert elements[60_120] == '60<span class="digits">120</span> rows'
    assert {number: re.sub("<[^>]+>", "", text) for number, text in elements.items()} == {
        number: filters.counted(number, "row") for number in elements
    }


def test_every_action_has_a_wording() -> None:
    assert all(filters.past_tense(str(action))[0].isupper() for action in Action)
    assert filters.past_tense("user.signed-in") == "Signed in"


def test_no_template_writes_a_time_itself() -> None:
    templates = Path(filters.__file__).parents[1] / "templates"
    # times.js converts times to the user's zone, and needs the format that the filters write.
    assert [page.name for page in templates.rglob("*.html") if "<time" in page.read_text("utf-8")] == []
