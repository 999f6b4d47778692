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
    """A witness or an organisation of a policy, and what it signed last.

    `seq` is the size of a checkpoint, or the event of a root; 0 if it signed nothing. A root has the time of its event.
    """

    name: str
    key: WitnessKey
    asked: bool
    """Whether the service asks it, which takes a URL in the policy."""
    seq: int = 0
    at: datetime | None = None
    trouble: str | None = None
    failing_since: datetime | None = None
    refused: bool = False
    """Whether it refuses the log, because a later tree did not begin with the one that it signed before."""


@dataclass(frozen=True, slots=True)
class QuorumStatus:
    """The signers of a policy, the least number that makes the quorum, and what that signed last (None: nothing)."""

    least: int
    signers: tuple[SignerStatus, ...]
    seq: int | None

    @property
    def refused(self) -> bool:
        """Whether any refuses the log."""
        return any(signer.refused for signer in self.signers)

    def signed(self, seq: int) -> int:
        """How many signed the checkpoint or root of `seq`, or a newer one."""
        return sum(signer.seq >= seq for signer in self.signers)


@dataclass(frozen=True, slots=True)
class Publication:
    """The newest stored checkpoint and root; of their signers, None where the service has no policy of them."""

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
    states, cosigned = tx.witness_states.by_name(), witnesses.newest(tx, policy)
    signers = []
    for witness in policy.witnesses:
        state = states.get(witness.key.named_id, WitnessState())
        outcome = state.size, state.at, state.trouble, state.failing_since, state.refused
        signers.append(SignerStatus(witness.name, witness.key, witness.url is not None, *outcome))
    return QuorumStatus(policy.min_witnesses, tuple(signers), None if cosigned is None else cosigned.size)


def _organisations(db: HashDB, tx: Transaction, policy: Policy) -> QuorumStatus:
    last = dict[str, int]()
    for seq, names in tx.active_set.signers(active_set.SIGNATURES).items():
        for name in names:
            last.setdefault(name, seq)
    signers = (
        SignerStatus(organisation.name, organisation.key, asked=False, seq=last.get(organisation.key.named_id, 0))
        for organisation in policy.witnesses
    )
    signed = active_set.newest_signed(db, tx)
    return QuorumStatus(policy.min_witnesses, tuple(signers), None if signed is None else signed.seq)
