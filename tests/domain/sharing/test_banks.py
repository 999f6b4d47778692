"""Banks: unique names that clients of HMA accept."""

from __future__ import annotations

from hashdb.domain.accounts.members import Member, MemberKind, MemberLimits, MemberStatus
from hashdb.domain.sharing.feed import bank_names
from tests.builders import NOON


def member(id: int, name: str) -> Member:
    return Member(id, name, MemberKind.PLATFORM, MemberStatus.ACTIVE, "", MemberLimits(), NOON)


def test_bank_names_are_unique_and_upper_case_with_underscores() -> None:
    members = [member(7, "alpha video"), member(3, "Alpha-Video"), member(4, "Überblick & Co."), member(5, "日本")]
    assert bank_names([member(1, "Alpha 3"), member(2, "Alpha"), member(3, "alpha")]) == {
        1: "ALPHA_3",
        2: "ALPHA",
        3: "ALPHA_3_3",
    }
    assert bank_names([member(4, "hashdb test")], "HASHDB_TEST") == {4: "HASHDB_TEST_4"}
    assert bank_names(members) == {3: "ALPHA_VIDEO", 4: "UBERBLICK_CO", 5: "MEMBER_5", 7: "ALPHA_VIDEO_7"}
