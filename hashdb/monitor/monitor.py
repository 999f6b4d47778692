"""The monitor: checks again and again that the log, the feed, the active set and the contributions agree."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hashdb.domain.ledger import active_set
from hashdb.domain.ledger.active_set import EMPTY_HASH, ServedTree, differences
from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.events import Event
from hashdb.domain.ledger.notes import Verifier
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, BadSetting, FeedRestarted, HashDBError, ServiceError
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.monitor.organisations import Organisations
from hashdb.monitor.replay import NotTheLogError, Replay, WrongEvents, event_line
from hashdb.monitor.rereading import Rereading, describe_altered
from hashdb.monitor.tables import ALL_SIGNALS, MonitorTables
from hashdb.monitor.witnessing import FirstSeen, Witnessing

if TYPE_CHECKING:
    from hashdb.client import Client

MONITOR_FILE = "monitor.sqlite"
_MOST_OF_A_KIND = 20
"""The most alarms of a kind in a check."""
_NAMED = 10
"""The most contributions that an alarm names."""
_FORGIVEN_EVERY = timedelta(hours=1)
"""After an outage of the service, what is awaited (a feed entry, a root, a cosignature) gets its whole time again.

This happens at most once within this time.
"""
_FED_WITHIN = timedelta(seconds=30)
"""An event must be in the feed at most this long after it was seen in the log."""


class CheckTooLongError(Exception):
    """A check was cut off: the service may answer without an end, or an octet at a time.

    The caller of `Monitor.check` limits its time, and raises this in it by a signal, wherever the check is.
    """

    def __init__(self, limit: timedelta) -> None:
        """`limit` is how long it lasted."""
        minutes = int(limit.total_seconds()) // 60
        super().__init__(
            f"a check did not finish within {minutes} minutes: the service answers slowly, or its answers do not end"
        )


@dataclass(frozen=True, slots=True)
class MonitorPlan:
    """What a monitor requires: policies, and how long the log and the signatures may take."""

    witnesses: Policy | None = None
    organisations: Policy | None = None
    signer: Cosigner | None = None
    late_after: timedelta = timedelta(seconds=90)
    """How long the witnesses may take to cosign an event, the log to record its change in a root of the active set, and
    the organisations to sign the root."""
    round_period: timedelta = timedelta(seconds=20)
    """The least time from the beginning of a round of all contributions to the next."""
    reading_seconds: float = 2.5
    """For how many seconds of a check contributions are read."""


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What is checked: the first `size` events, the active set of `count` contributions, the root in event `root_seq`.

    `uncommitted` of the contributions have no commitment. `clean_round_began`: when the last complete round in which no
    contribution differed began.
    """

    size: int
    count: int
    root_seq: int
    uncommitted: int
    clean_round_began: datetime | None


_OTHER_STATE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's codes for a file without the tables of the monitor. Others mean a disk that is full or cannot be read."""


class Monitor:
    """Checks one service, with its tables in a folder."""

    def __init__(self, folder: Path, client: Client, plan: MonitorPlan, now: Callable[[], datetime]) -> None:
        """Continues where the folder's tables are. Raises BadSetting."""
        try:
            self._tables = MonitorTables(folder / MONITOR_FILE)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _OTHER_STATE:
                raise BadSetting("--folder", f"the state in {folder} cannot be used: {error}") from None
            reason = f"{folder} has no state of this version ({error}): move the folder away to begin again"
            raise BadSetting("--folder", reason) from None
        self._folder, self._client, self._plan, self._now = folder, client, plan, now
        self._replay = Replay(self._tables)
        self._rereading = Rereading(self._tables, client, now)
        # When each size of the log was first seen, for what must follow it: a feed entry, a root of the active set.
        self._fed, self._recording = FirstSeen(self._tables, "fed"), FirstSeen(self._tables, "recording")
        self._witnessing: Witnessing | None = None
        if plan.witnesses is not None:
            self._witnessing = Witnessing(plan.witnesses, self._tables, client, self._replay, plan.late_after)
        self._organisations = Organisations(
            plan.organisations, plan.signer, self._tables, client, self._replay, plan.late_after
        )

    def close(self) -> None:
        """Close the tables."""
        self._tables.close()

    @property
    def state(self) -> MonitorState:
        """What is checked so far."""
        tables = self._tables
        count, uncommitted = tables.number("count"), tables.uncommitted()
        replay, round_began = self._replay, self._rereading.clean_round_began
        return MonitorState(replay.size, count, replay.set_seq, uncommitted, round_began)

    @property
    def is_settled(self) -> bool:
        """Whether no contribution that was read waits for later events."""
        return self._rereading.is_settled

    def check(self, *, whole: bool = False) -> list[Alarm]:
        """Read what is new, compare all of it, and return what does not hold; sign the active set's root if all does.

        `whole`: read all contributions. There are 20 alarms of a kind at most. Raises the errors of the client, and
        BadSetting if the tables cannot be used.
        """
        try:
            return self._check(whole)
        except HashDBError:
            self._tables.put(unanswered=1)
            raise
        except OverflowError:
            # SQLite takes no integer of more than 64 bits.
            raise ServiceError(200, "an answer has an invalid number") from None
        except sqlite3.Error as error:
            raise BadSetting("--folder", f"the state in {self._folder} cannot be used: {error}") from None

    def _check(self, whole: bool) -> list[Alarm]:
        # In this order, since the log grows meanwhile: the checkpoint is read last, so it covers all events of what the
        # feed and the witnesses showed.
        altered = self._read_feed()
        log, origin = self._client.log(), self._tables.text("origin")
        notes = self._witnessing.read(origin or log.origin) if self._witnessing else None
        note = self._client.checkpoint()
        verifiers = self._trusted_keys(log.verifiers)
        try:
            checkpoint, verifier = read_checkpoint(note, verifiers)
        except BadNote as error:
            what = f"the checkpoint of the service does not verify: {error}"
            return [Alarm(AlarmKind.UNKNOWN_KEY, what, since=self._all_right_at, evidence={"checkpoint.txt": note})]
        if not origin:
            self._tables.put(origin=checkpoint.origin)
        wrong = self._follow(checkpoint, note)
        if isinstance(wrong, Alarm):
            return [wrong]
        self._note_answer()
        alarms = [*altered, *self._unknown_key(verifier, note), *self._recommitted(wrong)]
        alarms += [*self._unlike_feed(note), *self._late_feed(note), *self._unlike_roots(wrong)]
        try:
            if self._witnessing and notes:
                alarms += self._witnessing.judge(notes, note, verifiers, self._now())
            # First `judge`: it is about what was read at earlier checks. What is read now may have changed with events
            # after the checkpoint, which the next check replays.
            alarms += [*self._late_root(), *self._rereading.judge()]
            if whole:
                self._rereading.read_some(seconds=None)
            else:
                self._rereading.read_some(self._plan.reading_seconds, every=self._plan.round_period)
            alarms += self._organisations.judge(verifiers, self._now(), sign=not alarms and self.is_settled)
        except (HashDBError, OverflowError, CheckTooLongError):
            # Alarms that were found are kept even if the service then stops answering, or answers nonsense.
            if not alarms:
                raise
        if not alarms:
            self._tables.put(held_at=self._now())
        return _first_of_each_kind(alarms)

    def _note_answer(self) -> None:
        """Note that the service answers. If it did not for long, what waits for it is late only from now on."""
        now, answered, since = self._now(), self._tables.time("answered_at"), self._tables.time("answers_since")
        with self._tables.writing():
            if self._tables.number("unanswered") and answered and now - answered > self._plan.late_after:
                # Seldom: else a service could be late for ever by not answering now and then.
                if not since or now - since > _FORGIVEN_EVERY:
                    self._tables.put(answers_since=now)
            self._tables.put(answered_at=now, unanswered=0)

    def _trusted_keys(self, verifiers: Collection[Verifier]) -> Collection[Verifier]:
        """The keys that may sign: those of a policy, else those that the service names."""
        for policy in (self._plan.witnesses, self._plan.organisations):
            if policy is not None and policy.logs:
                return policy.logs
        return verifiers

    @property
    def _all_right_at(self) -> datetime | None:
        """When a check last found nothing; None: never."""
        return self._tables.time("held_at")

    def _follow(self, checkpoint: Checkpoint, note: str) -> WrongEvents | Alarm:
        """Replay the events up to a checkpoint; the alarm if they are not of the log that was replayed before."""
        size, last_note = self._replay.size, self._tables.text("note")
        evidence = {"checkpoint.txt": note, "kept.txt": last_note}
        if checkpoint.origin != self._tables.text("origin"):
            what = f"the service signs the log {checkpoint.origin}, but signed {self._tables.text('origin')} before"
            return Alarm(AlarmKind.LOG_REWRITTEN, what, since=self._all_right_at, evidence=evidence)
        if checkpoint.size < size:
            what = f"the log has {checkpoint.size} events, but had {size}: the log was restored to an earlier state"
            return Alarm(AlarmKind.LOG_SHORTENED, what, since=self._all_right_at, evidence=evidence)
        try:
            wrong = self._replay.take(self._pages(size), checkpoint.size, checkpoint.root)
        except NotTheLogError as error:
            what = f"the log of {checkpoint.size} events does not continue the {size} that were checked: {error}"
            texts = {"event.json": event_line(error.event)} if error.event else {}
            return Alarm(AlarmKind.LOG_REWRITTEN, what, since=self._all_right_at, evidence=evidence | texts)
        self._tables.put(note=note)
        return wrong

    def _pages(self, after: int) -> Iterator[Sequence[Event]]:
        while page := self._client.events(after):
            yield page
            after = page[-1].seq

    def _unknown_key(self, verifier: Verifier, note: str) -> list[Alarm]:
        if str(verifier) in self._replay.signers:
            return []
        what = f"the checkpoint is signed by the key {verifier}, which no event of the log added"
        return [Alarm(AlarmKind.UNKNOWN_KEY, what, since=self._all_right_at, evidence={"checkpoint.txt": note})]

    def _read_feed(self) -> list[Alarm]:
        """Read the feed's new changes; the alarms of those that are not what they are committed to."""
        seq, epoch = self._tables.number("feed_seq"), self._tables.text("feed_epoch") or None
        try:
            return self._read_feed_after(seq, epoch)
        except FeedRestarted:
            with self._tables.writing():
                self._tables.forget_shown()
                self._tables.put(feed_seq=0)
            return self._read_feed_after(0, epoch=None)

    def _read_feed_after(self, seq: int, epoch: str | None) -> list[Alarm]:
        alarms: list[Alarm] = []
        for page in self._client.stream(seq, epoch=epoch):
            with self._tables.writing():
                self._tables.show(dict(map(_shown_leaf, page.steps)))
                self._tables.put(feed_seq=page.checkpoint)
                if page.epoch:
                    self._tables.put(feed_epoch=page.epoch)
            for step in page.steps:
                if len(alarms) > _MOST_OF_A_KIND:
                    break
                if isinstance(step.what, CopiedContribution) and not step.what.fits_commitment:
                    name, evidence = f"contribution {step.what.id}", {"feed.txt": f"{step.what}\n"}
                    what = describe_altered(step.what.id)
                    alarms.append(Alarm(AlarmKind.SIGNALS_ALTERED, what, name, self._all_right_at, evidence))
        return alarms

    def _recommitted(self, wrong: WrongEvents) -> list[Alarm]:
        """The alarms of events that commit to other signals than a member contributed."""
        # The `id` of an event is that of its subject, here of a contribution.
        return [
            Alarm(
                AlarmKind.SIGNALS_ALTERED,
                f"event {event.seq} commits to other signals of contribution {event.id}, but no member added any",
                f"contribution {event.id}",
                self._all_right_at,
                {"event.json": event_line(event)},
            )
            for event in wrong.recommitted[:_NAMED]
        ]

    def _unlike_feed(self, note: str) -> list[Alarm]:
        """The alarms of contributions that the feed does not show as the log has them."""
        alarms: list[Alarm] = []
        for id, by_log, by_feed in self._tables.unlike(min(self._tables.number("feed_seq"), self._replay.size)):
            name = f"contribution {id}"
            if not by_feed:
                what = f"{name} matches by the log, but the feed does not show it to you"
            elif not by_log:
                what = f"the feed shows {name}, which does not match by the log"
            else:
                what = f"the feed shows {name} with other signals or another standing than the log has"
            alarms.append(Alarm(AlarmKind.FEED_DIFFERS, what, name, self._all_right_at, {"checkpoint.txt": note}))
        for id in self._tables.oversealed(min(self._tables.number("feed_seq"), self._replay.size)):
            what = f"the feed suppresses more signals of contribution {id} than events say"
            alarms.append(Alarm(AlarmKind.SIGNALS_HIDDEN, what, f"contribution {id}", self._all_right_at))
        return alarms

    def _unlike_roots(self, wrong: WrongEvents) -> list[Alarm]:
        """The alarms of recorded roots of the active set that the events before them do not give."""
        # The event with the first of the wrong roots in a row up to the newest one; 0 if the newest root is right.
        first_wrong = self._tables.number("set_wrong")
        if first_wrong:
            newest_event = self._tables.text("set_text")
            evidence = {"event.json": newest_event}
            is_newest = first_wrong == self._replay.set_seq
            roots = (
                f"event {first_wrong} records" if is_newest else f"event {first_wrong} and all roots after it record"
            )
            what = f"{roots} another root of the active set than the earlier events give{self._differing()}"
            return [Alarm(AlarmKind.SET_DIFFERS, what, since=self._all_right_at, evidence=evidence)]
        return [
            Alarm(
                AlarmKind.SET_DIFFERS,
                f"event {recorded.event.seq} recorded another root of the active set than the earlier events give; the"
                " newest root is right again",
                f"event {recorded.event.seq}",
                self._all_right_at,
                {"event.json": event_line(recorded.event)},
            )
            for recorded in wrong.roots[:_NAMED]
        ]

    def _differing(self) -> str:
        """Which contributions are not in the service's tree as they are by the log."""
        try:
            served = self._client.set_root()
            if served.seq != self._replay.set_seq:
                return ""
            theirs = ServedTree(served.root, lambda level, number: self._client.set_blocks(level, number).hashes)
            ids = list(islice(differences(self._tables.block, theirs), _NAMED + 1))
        except HashDBError as error:
            return f"; which contributions differ is not known: {error}"
        more = " and more" if len(ids) > _NAMED else ""
        return f": contributions {', '.join(map(str, ids[:_NAMED]))}{more} differ" if ids else ""

    def _late_feed(self, note: str) -> list[Alarm]:
        """The alarm if the feed ends before the log does: what matches since then is not in it."""
        size, end, now = self._replay.size, self._tables.number("feed_seq"), self._now()
        self._fed.note(size, now)
        waiting = self._fed.time_first_above(end)
        if waiting is None or self._tables.waited_while_answering(waiting, now) <= _FED_WITHIN:
            return []
        seen = format_instant(waiting)
        what = f"the feed ends at event {end}, but the log has {size} events; a later event was seen at {seen}"
        return [Alarm(AlarmKind.FEED_DIFFERS, what, since=self._all_right_at, evidence={"checkpoint.txt": note})]

    def _late_root(self) -> list[Alarm]:
        """The alarm if a change of the active set has waited too long for a root that covers it.

        A newer root that leaves the change out does not count.
        """
        size, now, pending = self._replay.size, self._now(), self._tables.first_pending()
        self._recording.note(size, now)
        if pending is None or not self._tables.is_unrecorded():
            # No change up to this event waits for a root: a root covers it, or a later change undid it. So the wait of
            # a later change is counted from after this event.
            self._tables.put(recorded_to=size)
            return []
        since = self._recording.time_first_above(max(pending - 1, self._tables.number("recorded_to")))
        if since is None or self._tables.waited_while_answering(since, now) <= self._plan.late_after:
            return []
        what = f"the active set changed with event {pending}, but the log has recorded no root since"
        return [Alarm(AlarmKind.SET_LATE, f"{what} {format_instant(since)}", since=self._all_right_at)]


def _first_of_each_kind(alarms: Sequence[Alarm]) -> list[Alarm]:
    """The first alarms of each kind: many of one kind do not hide another."""
    counts, first = Counter[AlarmKind](), list[Alarm]()
    for alarm in alarms:
        counts[alarm.kind] += 1
        if counts[alarm.kind] <= _MOST_OF_A_KIND:
            first.append(alarm)
    return first


def _shown_leaf(step: FeedStep) -> tuple[int, tuple[bytes | None, int]]:
    """A contribution, and by the feed its leaf (None if it is gone) and how many of its signals are suppressed."""
    what = step.what
    if isinstance(what, CopiedContribution):
        # What does not fit its commitment gets a leaf that no contribution has, so it differs from the log.
        leaf = active_set.leaf(what.id, what.standing, what.commitment) if what.fits_commitment else EMPTY_HASH
        return what.id, (leaf, len(what.undisclosed))
    if what.standing is None:
        return what.contribution, (None, 0)
    # It is masked: all its signals are suppressed, but it is still in the active set, with its leaf.
    return what.contribution, (active_set.leaf(what.contribution, what.standing, what.commitment), ALL_SIGNALS)
