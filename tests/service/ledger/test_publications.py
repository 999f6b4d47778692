"""The publications of the log: the witnesses and organisations of the policies, and what each signed last."""

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
    """A service with a witness and an organisation that signed its newest checkpoint and root."""
    published = publish(tmp_path / "home", tmp_path, database_url)
    values = {name.removeprefix("HASHDB_").lower(): value for name, value in published.items()}
    settings = Settings(home=tmp_path / "home", **values)  # type: ignore[arg-type]
    db = open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))
    yield db
    db.close()


def test_every_signer_signed_the_newest_checkpoint_and_root(db: HashDB) -> None:
    shown = published(db, COMMAND_LINE)
    assert shown.checkpoint and shown.root and shown.witnesses and shown.organisations
    assert shown.checkpoint.size == shown.root.seq == db.store.head().seq
    for quorum, seq in ((shown.witnesses, shown.checkpoint.size), (shown.organisations, shown.root.seq)):
        (signer,) = quorum.signers
        assert (quorum.least, quorum.seq, quorum.count_signed(seq), signer.seq, quorum.refused) == (
            1,
            seq,
            1,
            seq,
            False,
        )
    assert shown.witnesses.signers[0].at


def test_the_last_quorum_is_shown_while_the_newest_is_not_signed(db: HashDB) -> None:
    before = published(db, COMMAND_LINE)
    contributed(db, member_with(db), draft(77))
    active_set.keep(db, at_once=True)
    checkpoints.keep(db, at_once=True)
    after = published(db, COMMAND_LINE)
    assert before.checkpoint and before.root
    assert after.checkpoint and after.root and after.witnesses and after.organisations
    assert after.witnesses.count_signed(after.checkpoint.size) == after.organisations.count_signed(after.root.seq) == 0
    assert (after.witnesses.seq, after.organisations.seq) == (before.checkpoint.size, before.root.seq)


def test_the_error_of_a_witness_is_reported(db: HashDB) -> None:
    witnesses = db.rules.witnesses
    assert witnesses
    name, now = witnesses.keys[0].named_id, db.now()
    with db.store.begin() as tx:
        tx.witness_states.set(name, WitnessState(3, now, now, now, "the log was restored to an earlier state", True))
    shown = published(db, COMMAND_LINE).witnesses
    assert shown and shown.refused
    (signer,) = shown.signers
    assert (signer.seq, signer.trouble, signer.failing_since, signer.asked) == (
        3,
        "the log was restored to an earlier state",
        now,
        False,
    )


def test_a_service_without_policies_has_no_signers(db: HashDB) -> None:
    db.rules = replace(db.rules, witnesses=None, organisations=None)
    shown = published(db, COMMAND_LINE)
    assert shown.witnesses is shown.organisations is None


def test_only_an_auditor_can_read_the_publications(db: HashDB) -> None:
    assert published(db, member_with(db, Scope.AUDIT)).checkpoint
    with pytest.raises(ScopeMissing):
        published(db, member_with(db, Scope.MATCH))
