"""What is published of the log: the witnesses and organisations of the policies, and what each signed last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hashdb.cli.home import configured_signing
from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, open_hashdb
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.publications import published
from hashdb.settings import Settings
from hashdb.store.ledger.witnesses import WitnessState
from tests.builders import contributed, draft, member_with
from tests.published import publish


@pytest.fixture
def db(tmp_path: Path, database_url: str) -> Iterator[HashDB]:
    """A service with a witness and an organisation, which signed what was published."""
    published = publish(tmp_path / "home", tmp_path, database_url)
    given = {name.removeprefix("HASHDB_").lower(): value for name, value in published.items()}
    settings = Settings(home=tmp_path / "home", **given)  # type: ignore[arg-type]
    db = open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))
    yield db
    db.close()


def test_all_signed_what_is_newest(db: HashDB) -> None:
    now = published(db, COMMAND_LINE)
    assert now.checkpoint and now.root and now.witnesses and now.organisations
    assert now.checkpoint.size == now.root.seq == db.store.head().seq
    for quorum, seq in ((now.witnesses, now.checkpoint.size), (now.organisations, now.root.seq)):
        (signer,) = quorum.signers
        assert (quorum.least, quorum.seq, quorum.signed(seq), signer.seq, quorum.refused) == (1, seq, 1, seq, False)
    assert now.witnesses.signers[0].at


def test_what_nobody_signed_yet_has_no_quorum_and_the_older_one_is_known(db: HashDB) -> None:
    before = published(db, COMMAND_LINE)
    contributed(db, member_with(db), draft(77))
    active_set.keep(db, at_once=True)
    checkpoints.keep(db, at_once=True)
    now = published(db, COMMAND_LINE)
    assert before.checkpoint and before.root and now.checkpoint and now.root and now.witnesses and now.organisations
    assert now.witnesses.signed(now.checkpoint.size) == now.organisations.signed(now.root.seq) == 0
    assert (now.witnesses.seq, now.organisations.seq) == (before.checkpoint.size, before.root.seq)


def test_the_trouble_of_a_witness_is_told(db: HashDB) -> None:
    witnesses = db.rules.witnesses
    assert witnesses
    name, now = witnesses.keys[0].named_id, db.now()
    with db.store.begin() as tx:
        tx.witness_states.set(name, WitnessState(3, now, now, now, "it was set back", True))
    found = published(db, COMMAND_LINE).witnesses
    assert found and found.refused
    (signer,) = found.signers
    assert (signer.seq, signer.trouble, signer.failing_since, signer.asked) == (3, "it was set back", now, False)


def test_a_service_without_policies_has_no_signers(db: HashDB) -> None:
    db.rules = replace(db.rules, witnesses=None, organisations=None)
    now = published(db, COMMAND_LINE)
    assert now.witnesses is now.organisations is None


def test_an_auditor_may_see_it(db: HashDB) -> None:
    assert published(db, member_with(db, Scope.AUDIT)).checkpoint
    with pytest.raises(ScopeMissing):
        published(db, member_with(db, Scope.MATCH))
