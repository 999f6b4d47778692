"""What the service publishes of its log: the newest checkpoint and the root of the active set, and who signed them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.cosignatures import WitnessKey
from hashdb.domain.ledger.events import Event
from hashdb.domain.ledger.policies import Policy
from hashdb.service import HashDB
from hashdb.service.ledger import active_set, witnesses
from hashdb.store import Transaction
from hashdb.store.ledger.tree import StoredCheckpoint
from hashdb.store.ledger.witnesses import WitnessState


@dataclass(frozen=True, slots=True)
class SignerStatus:
    """A witness or an organisation of a policy, and what it signed last."""

    name: str
    key: WitnessKey
    asked: bool
    """Whether the service asks it. It does if the policy has a URL for it."""
    seq: int = 0
    """For a witness, the size of the checkpoint; for an organisation, the event of the root.

    0: it signed nothing, or nothing among the newest signatures.
    """
    at: datetime | None = None
    """For a witness, when it cosigned last; None for an organisation."""
    trouble: str | None = None
    failing_since: datetime | None = None
    refused: bool = False
    """Whether it refuses the log, because a later tree did not begin with the one that it signed before."""


@dataclass(frozen=True, slots=True)
class QuorumStatus:
    """The signers of a policy, and what the quorum of them signed last."""

    least: int
    """The smallest number of signers that can be a quorum."""
    signers: tuple[SignerStatus, ...]
    seq: int | None
    """The size of the newest checkpoint, or the event of the newest root, that the quorum signed; None: of none."""

    @property
    def refused(self) -> bool:
        """Whether any signer refuses the log."""
        return any(signer.refused for signer in self.signers)

    def count_signed(self, seq: int) -> int:
        """How many signed the checkpoint or root of `seq`, or a newer one."""
        return sum(signer.seq >= seq for signer in self.signers)


@dataclass(frozen=True, slots=True)
class Publication:
    """The newest stored checkpoint and root, and their signers (None if the service has no policy for them)."""

    checkpoint: StoredCheckpoint | None
    witnesses: QuorumStatus | None
    root: Event | None
    organisations: QuorumStatus | None


def published(db: HashDB, actor: Actor) -> Publication:
    """What is published now."""
    rules = db.rules
    with db.read(actor, Scope.AUDIT) as tx:
        return Publication(
            tx.checkpoints.last(),
            None if rules.witnesses is None else _witnesses(tx, rules.witnesses),
            active_set.newest(tx),
            None if rules.organisations is None else _organisations(db, tx, rules.organisations),
        )


def _witnesses(tx: Transaction, policy: Policy) -> QuorumStatus:
    states, cosigned = tx.witness_states.by_named_id(), witnesses.newest_cosigned(tx, policy)
    signers = []
    for witness in policy.witnesses:
        state = states.get(witness.key.named_id, WitnessState())
        status = SignerStatus(
            witness.name,
            witness.key,
            asked=witness.url is not None,
            seq=state.size,
            at=state.at,
            trouble=state.trouble,
            failing_since=state.failing_since,
            refused=state.refused,
        )
        signers.append(status)
    return QuorumStatus(policy.min_witnesses, tuple(signers), None if cosigned is None else cosigned.size)


def _organisations(db: HashDB, tx: Transaction, policy: Policy) -> QuorumStatus:
    # By the `named_id` of an organisation's key, the event of the root that it signed last. `signers` reads a limited
    # number of signatures, those of the newest root first, so the first event of an organisation is its last one.
    last = dict[str, int]()
    for seq, named_ids in tx.active_set.signers(active_set.MOST_SIGNATURES_READ).items():
        for named_id in named_ids:
            last.setdefault(named_id, seq)
    # A policy of organisations has the form of one of witnesses: its witnesses are the organisations.
    signers = (
        SignerStatus(organisation.name, organisation.key, asked=False, seq=last.get(organisation.key.named_id, 0))
        for organisation in policy.witnesses
    )
    signed = active_set.newest_signed(db, tx)
    return QuorumStatus(policy.min_witnesses, tuple(signers), None if signed is None else signed.seq)
