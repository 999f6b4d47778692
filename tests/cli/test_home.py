"""Helpers of the commands that run on the service's machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.cli.home import configured_engine, list_all
from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.accounts.users import Role, User, UserDraft
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.settings import Settings
from tests.builders import Clock, hashdb
from tests.index.samples import ENGINES


@pytest.fixture
def db(tmp_path: Path) -> Iterator[HashDB]:
    """An empty service."""
    db = hashdb(f"sqlite:///{tmp_path / 'hashdb.sqlite'}", Clock())
    yield db
    db.close()


def test_every_engine_of_the_setting_can_be_chosen() -> None:
    # Milvus needs a server and a package that the tests do not have.
    names = [name for name in ENGINES if name != "milvus"]
    assert len({configured_engine(Settings(index=name)) for name in names}) == len(names)  # type: ignore[arg-type]


def test_a_list_of_several_pages_is_read_completely(db: HashDB) -> None:
    names = ("amira", "jonas", "otto")
    for name in names:
        users.add(db, COMMAND_LINE, UserDraft(name, Role.AUDITOR))
    positions = []

    def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[User, ...]:
        positions.append(after)
        return users.page(db, actor, after, min(limit, 2))

    listed = list_all(db, page)
    assert tuple(user.name for user in listed) == names
    assert positions == [0, listed[1].id, listed[2].id]
