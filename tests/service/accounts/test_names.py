# ruff: noqa: RUF001
"""Names: a name that looks or reads like an existing one is rejected; existing similar names stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberDraft, MemberKind
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.errors import NameTaken
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.accounts.names import require_distinct
from tests.builders import NOON

SIMILAR_NAMES = [
    ("Alpha", "alpha"),
    ("Alpha", "ALPHA"),
    ("Alpha", "Ａｌｐｈａ"),
    ("Alpha", "Alphа"),
    ("Alpha", "Αlpha"),
    ("Alpha", "АLРНА"),
    ("Alpha", "AIpha"),
    ("Alpha", "A1pha"),
    ("Alpha", "Al\u034fpha"),
    ("Alpha", "Alpha\ufe0f"),
    ("META", "МЕТА"),
    ("scope", "ѕсоре"),
    ("Meta", "rneta"),
    ("Straße", "STRASSE"),
    ("Vidéo", "Vide\u0301o"),
    ("Alpha Video", "Alpha  video"),
    ("Google", "G00gle"),
]  # fmt: skip


def add_member(db: HashDB, name: str) -> int:
    return members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM)).id


def add_user(db: HashDB, name: str) -> int:
    return users.add(db, COMMAND_LINE, UserDraft(name, Role.AUDITOR), local=False).user.id


@pytest.mark.parametrize("pair", SIMILAR_NAMES)
@pytest.mark.parametrize("kind", ["member", "user"])
def test_names_that_look_or_read_the_same_are_rejected(pair: tuple[str, str], kind: str) -> None:
    for name, other in (pair, pair[::-1]):
        with pytest.raises(NameTaken) as caught:
            require_distinct(name, ["Beta", other], kind)
        assert str(caught.value) == f"{name} looks like the name of the {kind} {other}: choose another name"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Alpha", "Beta"),
        ("Alpha 1", "Alpha 2"),
        ("日本", "日立"),
        ("Почта", "Портал"),
        ("Ola", "Öla"),
        ("Alpha Video", "alpha-video"),
    ],
)
def test_names_that_differ_are_accepted(name: str, other: str) -> None:
    require_distinct(name, [other], "user")


@pytest.mark.parametrize(("name", "other"), [("Alpha Video", "alpha-video"), ("Vidéo", "Video"), ("A & B", "A, B")])
def test_members_whose_banks_would_have_the_same_name_are_rejected(name: str, other: str) -> None:
    with pytest.raises(NameTaken):
        require_distinct(name, [other], "member")


def test_a_member_cannot_get_a_name_similar_to_another_one(db: HashDB) -> None:
    add_member(db, "Alpha")
    beta = add_member(db, "Beta")
    before = db.store.head()
    with pytest.raises(NameTaken):
        add_member(db, "Alphа")
    with pytest.raises(NameTaken):
        members.change(db, COMMAND_LINE, beta, MemberChange(name="ALPHA"))
    assert db.store.head() == before
    assert members.get(db, COMMAND_LINE, beta).name == "Beta"
    members.change(db, COMMAND_LINE, beta, MemberChange(name="BETA"))


def test_a_user_cannot_get_a_name_similar_to_another_one(db: HashDB) -> None:
    add_user(db, "ada")
    for name in ("Ada", "аda"):
        with pytest.raises(NameTaken):
            add_user(db, name)
    assert [user.name for user in users.page(db, COMMAND_LINE, 0, 9)] == ["ada"]


def test_only_one_of_several_similar_names_added_concurrently_is_accepted(db: HashDB) -> None:
    def add(name: str) -> bool:
        try:
            add_member(db, name)
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(add, ("Alpha", "alpha", "ALPHA", "Alphа")))
    assert added.count(True) == 1


def test_members_that_already_have_similar_names_can_still_be_changed(db: HashDB) -> None:
    with db.store.begin() as tx:
        first, second = (tx.members.add(MemberDraft(name, MemberKind.PLATFORM), NOON) for name in ("Alpha", "alpha"))
    assert members.change(db, COMMAND_LINE, second.id, MemberChange(contact="x@example.org")) != second
    assert members.change(db, COMMAND_LINE, first.id, MemberChange(name="Alpha", kind=MemberKind.AUTHORITY)) != first
    assert members.named(db, COMMAND_LINE, "alpha").id == second.id
