"""The search for the members, labels and other things that a text names."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberDraft, MemberKind
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.finding import find


def test_any_part_of_a_name_finds_it_and_the_best_matches_come_first(db: HashDB) -> None:
    for name in ("Not Alpha", "Gralpha", "Alpha-Two", "alpha", "Beta"):
        members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
    results = find(db, COMMAND_LINE, "Alpha").members
    assert [(result.row.name, result.exact) for result in results] == [
        ("alpha", True),
        ("Alpha-Two", False),
        ("Not Alpha", False),
        ("Gralpha", False),
    ]


def test_a_text_without_a_result_gets_the_most_similar_name(db: HashDB) -> None:
    members.add(db, COMMAND_LINE, MemberDraft("Gamma Social", MemberKind.PLATFORM))
    result = find(db, COMMAND_LINE, "gama social")
    assert (result.members, result.similar) == ((), "Gamma Social")
    assert find(db, COMMAND_LINE, "glorificaton").similar == "glorification"
    assert find(db, COMMAND_LINE, "!").similar is None


def test_a_member_cannot_search_names(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        find(db, actor, "Alpha")
