"""Following: read what is new of upstreams, contribute it as their members, and send opinions back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from hashdb.domain.accounts.members import SYSTEM, Member, MemberStatus
from hashdb.domain.contributions import Amendment, Contribution, Draft, Recorded, Standing, Status
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import (
    LEASE,
    PAGE_SIZE,
    REQUEST_PERIOD,
    Upstream,
    UpstreamChange,
    UpstreamPage,
    UpstreamTrouble,
    pause_before,
    standing_from_upstream,
)
from hashdb.domain.signals import Signal
from hashdb.errors import FeedRestarted, NotFound
from hashdb.service import HashDB
from hashdb.service.contributions.additions import Added, store_added
from hashdb.service.contributions.contributions import amendment_details
from hashdb.service.contributions.expiry import amend_with_expiry, expiry_of
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.contributions.recording import Allowance, added_entry
from hashdb.service.contributions.reuploads import hold_reuploads
from hashdb.service.ledger import checkpoints
from hashdb.service.review.cases import settle
from hashdb.service.sharing.remotes import CannotFollow, Connect, Remote, ask, ask_to_read
from hashdb.service.sharing.sent_opinions import send_opinions
from hashdb.service.sharing.upstreams import columns_to_reread, end_contributions, log_name_of
from hashdb.service.views import IntakeRules, NearSignals
from hashdb.store import Transaction
from hashdb.store.sharing.upstreams import ClaimedUpstream, UpstreamPath

_BATCH = 500
"""Contributions that one transaction ends."""
_PAGES = 50
"""Pages of an upstream that are read before the other upstreams have their turn."""
_SOON = timedelta(hours=1)
"""A contribution that expired at its upstream, and expires here within this time, is left to expire."""


def look(db: HashDB, connect: Connect) -> int:
    """Read what is new of each upstream that is due, and send opinions back; return how many were due.

    Any number of processes may call it: only one at a time follows an upstream. If it is killed, the next call
    continues.
    """
    with db.store.read() as tx:
        due = tx.upstreams.due(db.now())
    for id in due:
        if db.stopping():
            break
        with db.store.begin() as tx:
            now = db.now()
            claim = tx.upstreams.claim(id, now, now + LEASE)
        if claim is not None:
            # It may be removed meanwhile.
            with suppress(NotFound):
                _follow(db, claim, connect)
    return len(due)


def _follow(db: HashDB, claim: ClaimedUpstream, connect: Connect) -> None:
    """Read one upstream and send opinions back, and record the outcome and when it is due again."""
    upstream = claim.upstream
    try:
        remote = ask(lambda: connect(upstream.url, claim.key))
        with closing(remote):
            try:
                has_caught_up = _read(db, upstream, remote)
            except CannotFollow as error:
                if error.trouble is UpstreamTrouble.DAY_LIMIT:
                    send_opinions(db, upstream.id, remote)
                raise
            send_opinions(db, upstream.id, remote)
    except CannotFollow as error:
        now, failures = db.now(), upstream.failures + 1
        wait = pause_before(failures) if error.seconds is None else timedelta(seconds=error.seconds)
        values: dict[str, object] = {"trouble": str(error.trouble), "failures": failures, "next_at": now + wait}
        values["failing_since"] = upstream.failing_since or now
    else:
        now = db.now()
        values = {"trouble": None, "failures": 0, "failing_since": None, "next_at": now}
        if has_caught_up:
            values |= {"next_at": now + REQUEST_PERIOD, "caught_up_at": now}
    with db.store.begin() as tx:
        tx.upstreams.set(upstream.id, **values)


def _read(db: HashDB, upstream: Upstream, remote: Remote) -> bool:
    """Apply the feed of an upstream page by page; return whether its end is reached. Raises CannotFollow."""
    for _ in range(_PAGES):
        if db.stopping():
            return False
        # The epoch is not known yet if the list is read from its beginning.
        begins = upstream.epoch is None
        if begins and ask_to_read(lambda: log_name_of(remote.log())) != upstream.log:
            raise CannotFollow(UpstreamTrouble.OTHER_LOG)
        try:
            page = ask_to_read(partial(remote.page, upstream.seq, upstream.epoch, PAGE_SIZE))
            if upstream.epoch not in (None, page.epoch):
                raise FeedRestarted(page.epoch)
        except FeedRestarted:
            if begins:
                raise CannotFollow(UpstreamTrouble.NOT_HASHDB) from None
            with db.store.begin() as tx:
                tx.upstreams.set(upstream.id, **columns_to_reread(upstream))
                upstream = tx.upstreams.one(upstream.id)
            continue
        if not _goes_on(upstream.seq, page):
            raise CannotFollow(UpstreamTrouble.NOT_HASHDB)
        # A page without news is not written.
        if page == UpstreamPage((), upstream.seq, more=False, epoch=upstream.epoch or ""):
            return not upstream.rereading or _end_round(db, upstream)
        applied = apply(db, upstream, page)
        if any(change.gone for change in page.changes):
            db.store.scrub()  # What was erased leaves SQLite's journal, too.
        if applied is None:
            return False
        upstream = applied
        # Only a part of the page was applied: the member may contribute no more today.
        if upstream.seq < page.checkpoint:
            raise CannotFollow(UpstreamTrouble.DAY_LIMIT)
        if not page.more:
            return not upstream.rereading or _end_round(db, upstream)
    return False


def _goes_on(seq: int, page: UpstreamPage) -> bool:
    """Whether a page continues after the event `seq`, in order. Otherwise an upstream could keep this process busy."""
    seqs = [change.seq for change in page.changes]
    in_order = all(seq < number <= page.checkpoint for number in seqs)
    return len(seqs) <= PAGE_SIZE and in_order and page.checkpoint >= seq + page.more


def _end_round(db: HashDB, upstream: Upstream) -> bool:
    """Withdraw what an upstream no longer has, once its list was read from its beginning to its end.

    Returns whether all of it was withdrawn.
    """
    while not db.stopping():
        with db.store.begin() as tx:
            if not _is_current(upstream, tx.upstreams.one(upstream.id, lock=True)):
                return False
            left = tx.origins.unread_paths(upstream.id, upstream.round, _BATCH)
            end_contributions(db, tx, SYSTEM, [path.contribution for path in left], "other")
            if len(left) < _BATCH:
                tx.upstreams.set(upstream.id, rereading=False)
        if len(left) < _BATCH:
            db.store.scrub()
            return True
    return False


def _is_current(read: Upstream, stored: Upstream) -> bool:
    """Whether an upstream that was read earlier is as it is stored: nobody paused it or read further pages."""
    return not stored.paused and (read.seq, read.epoch, read.round) == (stored.seq, stored.epoch, stored.round)


def apply(db: HashDB, upstream: Upstream, page: UpstreamPage) -> Upstream | None:
    """Apply a page in one transaction with the position that is reached, and return the upstream as it is then.

    Each change is applied once, also if the process is killed. The position is before the page's `checkpoint` if the
    member may contribute no more today. Returns None, and changes nothing, if another process has read further pages,
    if the upstream is paused, or if its member is suspended.
    """
    own_log = log_name_of(checkpoints.log(db))
    drafts = [change.draft for change in page.changes if change.draft is not None]

    def write(rules: IntakeRules, seq: int) -> Upstream | None:
        near = db.retired.near(signal for draft in drafts for signal in draft.every_signal())
        suppressed = rules.close_to_benign(
            signal for draft in drafts for frame in draft.frames for signal in frame.signals
        )
        with db.store.begin() as tx:
            # As a new contribution: its member first, so that two transactions cannot deadlock.
            member = tx.members.lock([upstream.member])[upstream.member]
            current = tx.upstreams.one(upstream.id, lock=True)
            if not _is_current(upstream, current) or member.status is MemberStatus.SUSPENDED:
                return None
            now = db.now()
            step = _Step(db, tx, member, current, rules, near, suppressed, own_log, now=now, reached=current.seq)
            entries = step.run(page)
            append_checked(tx, now, SYSTEM, entries, seq)
            values: dict[str, object] = {"seq": step.reached, "epoch": page.epoch, "next_at": db.now() + LEASE}
            if step.refused:
                values["refused"] = dict(sorted((Counter(current.refused) + step.refused).items()))
            tx.upstreams.set(upstream.id, **values)
            return tx.upstreams.one(upstream.id)

    return with_intake(db, write)


@dataclass(slots=True)
class _Step:
    """One page of an upstream in one transaction."""

    db: HashDB
    tx: Transaction
    member: Member
    upstream: Upstream
    rules: IntakeRules
    near: NearSignals
    """For signals of the drafts, the stored signals near them that a case was about."""
    suppressed: Mapping[Signal, int]
    """The signals of frames that are close to a benign entry, each with the id of the entry."""
    own_log: str
    """The name of the log of this service."""
    now: datetime
    reached: int
    """The event of the upstream up to which the page was applied."""
    refused: Counter[str] = field(default_factory=Counter)
    entries: list[LogEntry] = field(default_factory=list)
    ending: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The contributions that are withdrawn, by reason."""
    upstream_standings: dict[int, Standing] = field(default_factory=dict)
    """The standing that the upstream sets, by contribution."""
    new: list[UpstreamChange] = field(default_factory=list)
    """What is to be contributed here."""

    def run(self, page: UpstreamPage) -> list[LogEntry]:
        """Apply as much of a page as the limit of the member allows; return the events, which the caller appends."""
        # Of several changes of a contribution, the last one.
        last_changes = {change.contribution: change for change in page.changes}
        changes = sorted(last_changes.values(), key=lambda change: change.seq)
        # By the id at the upstream: the id here, and the standing and the fingerprint that the upstream had.
        paths = self.tx.origins.paths(self.upstream.id, last_changes)
        self._refuse(changes)
        within = self._within_limit(changes, paths)
        if len(within) == len(changes):
            self.reached = page.checkpoint
        elif within:
            self.reached = within[-1].seq
        ids = [paths[change.contribution].contribution for change in within if change.contribution in paths]
        self.tx.contributions.lock(ids)
        contributions, stored = self.tx.contributions.get(ids, self.now), self.tx.shadows.signals_by_place(ids)
        for change in within:
            path = paths.get(change.contribution)
            if path is not None:
                self._apply(change, path, contributions[path.contribution], stored[path.contribution])
            elif self._is_new(change):
                self.new.append(change)
        self._settle(contributions, {path.contribution: path.standing for path in paths.values()})
        for reason, ended in self.ending.items():
            end_contributions(self.db, self.tx, SYSTEM, ended, reason)
        self._add()
        return self.entries

    def _is_new(self, change: UpstreamChange) -> bool:
        """Whether to contribute a change that is not here yet: it has a draft, and did not come from this service."""
        return change.draft is not None and (change.origin is None or change.origin.log != self.own_log)

    def _refuse(self, changes: list[UpstreamChange]) -> None:
        """Replace the drafts that the benign list or an incident refuses by faults, and count all refused changes."""
        places = [place for place, change in enumerate(changes) if change.draft is not None]
        drafts = [draft for change in changes if (draft := change.draft) is not None]
        for position, fault in self.rules.faults(drafts, self.now):
            place = places[position]
            # The field of `signals[3]`. The benign list refuses signals, and an incident its own field.
            name = fault.at.partition("[")[0]
            changes[place] = changes[place]._replace(draft=None, faults=("benign" if name == "signals" else name,))
        for change in changes:
            self.refused.update(change.faults)

    def _within_limit(
        self, changes: Sequence[UpstreamChange], paths: Mapping[int, UpstreamPath]
    ) -> Sequence[UpstreamChange]:
        """The first changes, with as many new contributions as the member may still make today."""
        left = Allowance(self.tx, self.member, self.now).left
        places = [
            place for place, change in enumerate(changes) if change.contribution not in paths and self._is_new(change)
        ]
        return changes if left is None or len(places) <= left else changes[: places[left]]

    def _apply(
        self, change: UpstreamChange, path: UpstreamPath, contribution: Contribution, stored: Mapping[int, Signal]
    ) -> None:
        """Give a contribution that came from the upstream the state that it has there now.

        `path` is what is known of it from the upstream, `stored` are its signals by place.
        """
        id = contribution.id
        self.upstream_standings[id] = path.standing
        if change.gone == "withdrawn":
            reason = change.withdrawal_reason or "other"
            known = self.db.rules.vocabulary.fault("reason", reason) is None
            self.ending[reason if known else "other"].append(id)
        elif change.gone == "expired":
            expires = contribution.expires_at
            if contribution.status is not Status.EXPIRED and (expires is None or expires > self.now + _SOON):
                self.ending["other"].append(id)
        elif change.gone is not None:  # Quarantined, retired, suspended, or without signals.
            self.upstream_standings[id] = Standing.QUARANTINED
        elif change.draft is not None and contribution.status is not Status.WITHDRAWN:
            self.upstream_standings[id] = standing_from_upstream(change.standing)
            if contribution.status is Status.EXPIRED:
                # It expired by the expiry that it had at the upstream, which has changed.
                if self.tx.retention.own_expiry(id) not in (None, change.draft.expires_at):
                    self._replace(change, id)
            elif self._is_same(change.draft, contribution, path, stored):
                self._amend(change.draft, contribution)
                self._add_signals(change.draft, contribution, stored)
            elif self.upstream.rereading or contribution.standing.matches or not path.standing.matches:
                self._replace(change, id)
            # Otherwise it is quarantined or retired here, and only lacks signals that are suppressed there: it stays.

    def _replace(self, change: UpstreamChange, id: int) -> None:
        """End a contribution, and contribute what the upstream has now in its place."""
        self.ending["other"].append(id)
        self.new.append(change)

    def _is_same(
        self, draft: Draft, contribution: Contribution, path: UpstreamPath, stored: Mapping[int, Signal]
    ) -> bool:
        """Whether the upstream has all that is stored of it: after a restore, an id may mean another contribution."""
        if draft.frames or contribution.frame_count:
            return path.fingerprint == draft.fingerprint()
        return {signal for signal in stored.values() if self.db.rules.accepts(signal)} <= set(draft.signals)

    def _amend(self, draft: Draft, contribution: Contribution) -> None:
        names = ("labels", "severity", "basis", "context", "incident", "expires_at")
        if all(getattr(draft, name) == getattr(contribution, name) for name in names):
            return
        change = Amendment(**{name: getattr(draft, name) for name in names})
        amended, fields = amend_with_expiry(self.db, self.tx, contribution, change, self.now, self.rules)
        if fields:
            details = amendment_details(amended, fields)
            self.entries.append(LogEntry(Action.CONTRIBUTION_AMENDED, "contribution", contribution.id, details))

    def _add_signals(self, draft: Draft, contribution: Contribution, stored: Mapping[int, Signal]) -> None:
        """Add what was added there, as a member adds signals to its own contribution."""
        if contribution.frame_count:
            return
        added = Added.from_sent(contribution, stored, draft.signals, draft.signatures)
        if added.changes:
            sets = {(contribution.id, draft.fingerprint())} if added.new_signals else set()
            _, entries = store_added(self.db, self.tx, [added], sets, self.near, self.now)
            self.entries += entries

    def _settle(self, contributions: Mapping[int, Contribution], before: Mapping[int, Standing]) -> None:
        """Store the standings that the upstream sets now, and update those contributions for which they changed.

        `before` is what the upstream set before, by contribution.
        """
        self.tx.origins.mark_read(self.upstream_standings, self.upstream.round)
        changed = [contributions[id] for id, after in self.upstream_standings.items() if after is not before[id]]
        self.entries += settle(self.tx, changed, more_details=self._upstream_details(changed))

    def _upstream_details(self, contributions: Iterable[Contribution]) -> dict[int, Details]:
        """The details of the events of changed standings, by contribution: they name the upstream."""
        return {contribution.id: {"upstream": self.upstream.id} for contribution in contributions}

    def _add(self) -> None:
        """Contribute what is new, with its origin."""
        if not self.new:
            return
        upstream, drafts = self.upstream, [change.draft for change in self.new if change.draft is not None]
        expiries = [expiry_of(self.db, draft, self.now, self.rules) for draft in drafts]
        added = self.tx.contributions.add(self.member, drafts, self.now, expiries, suppressed=self.suppressed)
        rows = [_row(upstream, change, contribution.id) for change, contribution in zip(self.new, added, strict=True)]
        self.tx.origins.add(rows)
        fresh = [Recorded(contribution, known=False) for contribution in added]
        recorded, case_entries = hold_reuploads(self.db, self.tx, fresh, self.near, self.now)
        self.entries += [added_entry(self.member, contribution) for contribution in added]
        self.entries += case_entries
        disputed = [
            item.contribution
            for item, row in zip(recorded, rows, strict=True)
            if row["standing"] != str(Standing.UNREVIEWED)
        ]
        self.entries += settle(self.tx, disputed, more_details=self._upstream_details(disputed))


def _row(upstream: Upstream, change: UpstreamChange, id: int) -> dict[str, object]:
    """The row of the origin of a new contribution."""
    origin = change.origin
    if origin is None or origin.log == upstream.log:
        origin = Origin(upstream.log, change.contribution, change.member)
    return {
        "contribution_id": id,
        "upstream_id": upstream.id,
        "remote_id": change.contribution,
        "log": origin.log,
        "number": origin.contribution,
        "member": origin.member,
        "standing": str(standing_from_upstream(change.standing)),
        "round": upstream.round,
    }
