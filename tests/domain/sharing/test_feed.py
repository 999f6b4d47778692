"""Changes as values: what a member's own copy makes of them."""

from __future__ import annotations

from hashdb.domain.sharing.feed import Change, Changes, Gone


def test_a_page_of_the_feed_is_a_value() -> None:
    page = Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert page == Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert hash(page.changes[0]) == hash(Change(4, Gone(17, "withdrawn")))
