"""Searches of the log with names and numbers as people write them."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.ledger import searches
from hashdb.service.ledger.events import SeqRange
from hashdb.service.ledger.searches import LogSearch
from tests.builders import contributed, draft, member_with

ALL = SeqRange()


@pytest.fixture
def people(db: HashDB) -> dict[str, int]:
    """The ids by name of a member with two keys, a member with one key, and a user."""
    ids = {}
    for name, keys in (("Palaver", 2), ("Palisade", 1)):
        member = members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
        ids[name] = member.id
        for _ in range(keys):
            members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset(Scope)))
    ids["rosa"] = users.add(db, COMMAND_LINE, UserDraft("rosa", Role.REVIEWER)).user.id
    return ids


def test_an_actor_can_be_written_in_several_forms(db: HashDB, people: dict[str, int]) -> None:
    def read(text: str) -> tuple[str, ...]:
        return searches.read_actors(db, COMMAND_LINE, text)

    keys = read(f"member:{people['Palaver']}")
    assert keys[0] == f"member:{people['Palaver']}" and len(keys) == 3
    for text in ("Palaver", "palaver", f"member {people['Palaver']}", f"Member #{people['Palaver']}"):
        assert read(text) == keys
    assert read("rosa") == read(f"user:{people['rosa']}") == (f"user:{people['rosa']}",)
    assert read(keys[1]) == (keys[1],)
    assert read("cli") == read("system:cli") == (str(COMMAND_LINE),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pal", "matches 2 names: choose one$"),
        ("palavr", "is not the name of a member or user.*; did you mean 'Palaver'"),
        ("17", "must name one of member, user, key with its number"),
        ("contribution 1", "must name one of member, user, key with its number"),
        ("key:999", "key 999 does not exist"),
    ],
)
def test_an_unknown_or_ambiguous_actor_is_rejected(db: HashDB, people: dict[str, int], text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as raised:
        searches.read_actors(db, COMMAND_LINE, text)
    assert [fault.at for fault in raised.value.faults] == ["actor"]


def test_a_subject_can_be_written_in_several_forms(db: HashDB, people: dict[str, int]) -> None:
    for text in ("contribution:17", "contribution 17", "Contribution #17", "/console/contributions/17"):
        assert searches.read_subjects(db, COMMAND_LINE, text) == (("contribution", 17),)
    assert searches.read_subjects(db, COMMAND_LINE, "benign entry 2") == (("benign", 2),)
    assert {("case", 17), ("user", 17)} <= set(searches.read_subjects(db, COMMAND_LINE, "#17"))
    assert searches.read_subjects(db, COMMAND_LINE, "rosa") == (("user", people["rosa"]),)
    with pytest.raises(InvalidInput, match="subject: is not the name"):
        searches.read_subjects(db, COMMAND_LINE, "nobody at all")


def test_a_combined_search_returns_ordered_pages_in_both_directions(db: HashDB, actor: Actor) -> None:
    ids = [added.id for added in contributed(db, actor, *[draft(seed) for seed in range(6)])]
    assert actor.member is not None
    actors = searches.read_actors(db, COMMAND_LINE, f"member:{actor.member.id}")
    search = LogSearch(actors, "contribution.added", tuple(("contribution", id) for id in ids[1:]))
    seen: list[int] = []
    before = None
    while True:
        page = searches.latest(db, COMMAND_LINE, search, SeqRange(0, before), 2)
        seen += [event.id for event in page.events]
        before = page.before
        if before is None:
            break
    assert seen == ids[:0:-1]
    backwards, after = [], 0
    while True:
        page = searches.latest(db, COMMAND_LINE, search, SeqRange(after), 2, oldest=True)
        backwards.append([event.id for event in page.events])
        if page.after is None:
            break
        after = page.after
    assert [id for page_ids in reversed(backwards) for id in page_ids] == seen


def test_a_search_reads_a_limited_number_of_events(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    contributed(db, actor, *[draft(seed) for seed in range(9)])
    monkeypatch.setattr(searches, "SEARCHED", 4)
    page = searches.latest(db, COMMAND_LINE, LogSearch(action="member.added"), ALL, 5)
    assert page.events == () and page.before == page.head + 1 - 4
    page = searches.latest(db, COMMAND_LINE, LogSearch(action="contribution.added"), SeqRange(1), 50, oldest=True)
    assert (page.after, page.before) == (5, None)
    # An index of the database finds the events of one actor at any distance.
    assert searches.latest(db, COMMAND_LINE, LogSearch((str(COMMAND_LINE),)), ALL, 5).events


def test_the_filter_that_excludes_all_events_is_reported(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    search = LogSearch((str(COMMAND_LINE),), "contribution.added", (("contribution", contribution.id),))
    assert searches.excluding_parts(db, COMMAND_LINE, search, ALL) == ("actor",)
    days = SeqRange(db.store.head().seq)
    assert searches.excluding_parts(db, COMMAND_LINE, LogSearch((str(actor),)), days) == ("days",)


def test_only_an_auditor_can_search_the_log(db: HashDB) -> None:
    other = member_with(db, Scope.CONTRIBUTE)
    with pytest.raises(ScopeMissing):
        searches.latest(db, other, LogSearch(), ALL, 5)
    with pytest.raises(ScopeMissing):
        searches.read_actors(db, other, "cli")
