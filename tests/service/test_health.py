"""Readiness: the database answers, and the index is caught up with the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.domain.signals import Algorithm
from hashdb.errors import StoreBusy
from hashdb.service import HashDB
from hashdb.service.health import require_ready
from hashdb.store import Store
from tests.builders import RULES, contributed, draft


def test_a_ready_service_is_caught_up_with_the_log(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    with db.store.read() as tx:
        assert require_ready(db) == tx.audit.head().seq
    assert len(db.index.index(Algorithm.PDQ)) == 1


def test_a_service_without_its_database_is_not_ready(tmp_path: Path) -> None:
    db = HashDB(Store(f"sqlite:///{tmp_path}/absent/hashdb.sqlite"), RULES)
    with pytest.raises(StoreBusy):
        require_ready(db)
