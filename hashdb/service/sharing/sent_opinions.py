"""Opinions that are sent back: what this service says of a contribution goes to the upstream that it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.review.cases import Case, Decision, Opinion, OpinionDraft, Stance, ruling
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.upstreams import LEASE, Upstream, UpstreamTrouble
from hashdb.errors import Conflict, InvalidInput, NotFound, OwnContribution
from hashdb.service import HashDB
from hashdb.service.sharing.remotes import CannotFollow, Remote, ask
from hashdb.store import Transaction

_JUDGING = (Action.OPINION_GIVEN, Action.CASE_DECIDED)
"""The actions of events after which there may be an opinion to send."""
_BATCH = 200
"""Events that are read at a time."""
_SLACK = 1_000
"""How many events without an opinion the position may be behind before it is advanced."""


class _Outgoing(NamedTuple):
    """An opinion to send to the upstream."""

    seq: int
    """The own event that it follows from."""
    remote_id: int
    """The contribution, by its id at the upstream."""
    draft: OpinionDraft
    key: str
    """The idempotency key of the request."""


def send_opinions(db: HashDB, id: int, remote: Remote) -> None:
    """Send back what this service says of contributions that came from an upstream, once for each new event on them.

    They are derived from the log, so none is lost. One that was sent, but whose answer did not arrive, is sent again
    with the same idempotency key. `upstream.judged` is the last event whose opinion was sent; `upstream.judges` is
    whether the key may give opinions there. Raises CannotFollow.
    """
    more = True
    while more and not db.stopping():
        with db.store.read() as tx:
            upstream, head = tx.upstreams.one(id), tx.audit.head()
            if upstream.paused or not upstream.judges:
                return
            events = tx.audit.since(upstream.judged, _BATCH, _JUDGING)
            outgoing = [
                opinion for event in events if (opinion := _outgoing(tx, db.rules, upstream, event, head.epoch))
            ]
        more = len(events) == _BATCH
        for opinion in outgoing:
            _send(db, upstream, remote, opinion)
        reached = events[-1].seq if more else head.seq
        if outgoing or more or reached - upstream.judged >= _SLACK:
            with db.store.begin() as tx:
                tx.upstreams.set(id, judged=reached)


def _send(db: HashDB, upstream: Upstream, remote: Remote, outgoing: _Outgoing) -> None:
    """Send one opinion, and record that it was sent or refused. Raises CannotFollow."""
    refused = False
    try:
        ask(lambda: remote.give_opinion(outgoing.remote_id, outgoing.draft, idempotency_key=outgoing.key))
    except CannotFollow as error:
        if error.trouble is not UpstreamTrouble.SCOPE_MISSING:
            raise
        with db.store.begin() as tx:
            tx.upstreams.set(upstream.id, judges=False)
        raise
    except (NotFound, Conflict, InvalidInput, OwnContribution):
        # The contribution is gone there, or that service does not know the reason: sending it again would not help.
        refused = True
    with db.store.begin() as tx:
        # Until `next_at`, no other process takes over the upstream.
        values: dict[str, object] = {"judged": outgoing.seq, "next_at": db.now() + LEASE}
        if refused:
            refusals = Counter(tx.upstreams.one(upstream.id, lock=True).refused) + Counter(["opinion"])
            values["refused"] = dict(sorted(refusals.items()))
        tx.upstreams.set(upstream.id, **values)


def _outgoing(tx: Transaction, rules: Rules, upstream: Upstream, event: Event, epoch: str) -> _Outgoing | None:
    """What to send to an upstream after an event; None if nothing."""
    contribution = event.details["contribution"]
    assert isinstance(contribution, int)
    path = tx.origins.path(contribution)
    if path is None or path.upstream != upstream.id:
        return None
    opinions = tx.opinions.current([contribution]).get(contribution, ())
    draft = draft_opinion(opinions, tx.cases.on_contribution(contribution), rules)
    if draft is None:
        return None
    return _Outgoing(event.seq, path.remote_id, draft, f"{epoch[:8]}.{event.seq}.{draft.stance}.{draft.reason}")


def draft_opinion(opinions: Sequence[Opinion], cases: Sequence[Case], rules: Rules) -> OpinionDraft | None:
    """The opinion of a service as a whole, which it gives at another one as a member there; None if it has none.

    A decision overrides opinions, and a dispute overrides confirmations. Notes are not sent: they are for the parties
    here.
    """
    disputes = [opinion.reason for opinion in opinions if opinion.counts and opinion.stance is Stance.DISPUTES]
    decided = [case for case in cases if case.decision is not None]
    if ruling(cases) in (Standing.QUARANTINED, Standing.RETIRED):
        disputes = [case.reason for case in decided[-1:]]
    if disputes:
        reason = disputes[0] or ""
        return OpinionDraft(Stance.DISPUTES, reason if rules.vocabulary.fault("reason", reason) is None else "other")
    upheld = bool(decided) and decided[-1].decision is Decision.UPHOLD
    confirmed = any(opinion.counts and opinion.stance is Stance.CONFIRMS for opinion in opinions)
    return OpinionDraft(Stance.CONFIRMS) if upheld or confirmed else None
