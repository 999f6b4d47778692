"""Fill a database with a year of data from a seed: members, contributions, events, opinions and cases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import create_engine, select, text, update

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, Member, MemberDraft, MemberKind, Scope
from hashdb.domain.contributions import Media, Standing, Status
from hashdb.domain.ledger.events import Action, Details, LogEntry, canonical, leaf
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.rules import Rules
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY_ALGORITHM, Cell, CountKind, Hit, QueryOutcome
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts, overviews
from hashdb.store import Store
from hashdb.store.ledger.tree import grow
from hashdb.store.repositories import insert_rows
from hashdb.store.tables import contributions as rows_of
from hashdb.store.tables import events as events_of
from hashdb.store.tables import log
from hashdb.store.tables import signals as signals_of
from scripts.benchmarks import data

_BATCH = 10_000
_YEAR = 365
_NAMES = (
    "Northwind Video", "Palaver", "Lumen Photos", "Kestrel Social", "Harbour Chat", "Meridian Cloud", "Tidepool",
    "Fernweh Forums", "Quill Press", "Saltmarsh Live", "Ostrava Hosting", "Brightwater", "Cobalt Share", "Driftwood",
    "Internet Referral Desk", "Civil Watch", "Evergreen Board", "Juniper Clips", "Larkspur", "Mosaic Messenger",
    "Nightjar Streams", "Observatory for Online Harms", "Pinegrove", "Riverbend",
)  # fmt: skip
_KINDS = {"Internet Referral Desk": MemberKind.AUTHORITY, "Civil Watch": MemberKind.TRUSTED_FLAGGER}
_REFERENCES = ("tkt", "case", "rm", "q")
_CONTEXTS = ((), (), (), ("contains_victim",), ("edsa_copies_known",), ("synthetic",))
_REASONS = ("edsa_context", "not_terrorist_content", "false_match", "wrong_label")
_NOTES = (
    "The same frame stands in a news broadcast that we keep up.",
    "This is a museum's page about the period; the picture is shown with its history.",
    "We see this as a stock photograph on several hundred unrelated accounts.",
    "Our reviewers do not read the banner as the label says.",
    "The uploader appealed, and we put it back.",
)


@dataclass(frozen=True, slots=True)
class Year:
    """The amounts of data."""

    contributions: int
    opinions: int = 1_200
    decided: int = 180
    near: float = 0.04
    """The share of contributions that are near an earlier one."""


def fill(url: str, rules: Rules, size: Year, end: datetime) -> None:
    """Fill an empty database with the year up to `end`."""
    store = Store(url)
    if store.embedded:
        store.migrate()
    clock = _Clock(end - timedelta(days=_YEAR + 1))
    db = HashDB(store, rules, clock)
    everyone = [_member(db, name) for name in _NAMES]
    rng = np.random.default_rng(data.SEED)
    for batch in _contributions(rng, [actor.member for actor in everyone if actor.member], size, end):
        _write(url, store, batch)
    _finish(url, store, size.contributions)
    clock.at = end - timedelta(hours=90)
    reviewed = _review(db, everyone, size, clock, end, rng)
    clock.at = end
    _add_counts(store, [_id(actor) for actor in everyone], reviewed, end, rng)
    _record_feed_reads(store, everyone, end)
    counts.seal(db)
    while contributions.emit_pending(db) or opinions.recount(db):
        pass
    while overviews.follow(db) == overviews.BLOCK:
        pass
    db.close()


class _Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def _member(db: HashDB, name: str) -> Actor:
    kind = _KINDS.get(name, MemberKind.PLATFORM)
    member = members.add(db, COMMAND_LINE, MemberDraft(name, kind, f"trust@{name.lower().replace(' ', '-')}.example"))
    scopes = frozenset({Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED})
    return members.authenticate(db, members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(scopes)).secret)


def _id(actor: Actor) -> int:
    assert actor.member is not None
    return actor.member.id


@dataclass(slots=True)
class _Batch:
    rows: list[dict[str, object]]
    signals: list[dict[str, object]]
    events: list[tuple[datetime, Actor, LogEntry]]


def _arrival_times(rng: np.random.Generator, size: int, end: datetime) -> np.ndarray:
    """Times of arrival in order, in seconds since 1970: more each month, fewer on weekends, and three busy days."""
    first = (end - timedelta(days=_YEAR)).timestamp()
    weights = np.linspace(0.6, 1.4, _YEAR) * rng.uniform(0.8, 1.2, _YEAR)
    weekday = (np.arange(_YEAR) + (end - timedelta(days=_YEAR)).weekday()) % 7
    weights[weekday >= 5] *= 0.55
    weights[[71, 214, 338]] *= 4.5
    days = rng.choice(_YEAR, size, p=weights / weights.sum())
    seconds = first + days * 86_400 + rng.uniform(0, 86_400, size)
    return np.sort(np.minimum(seconds, end.timestamp() - 60))


def _contributions(rng: np.random.Generator, everyone: Sequence[Member], size: Year, end: datetime) -> Iterator[_Batch]:
    count = size.contributions
    at = _arrival_times(rng, count, end)
    share = rng.pareto(1.1, len(everyone)) + 0.15
    whose = rng.choice(len(everyone), count, p=share / share.sum())
    delays = np.exp(rng.normal(6.9, 1.5, count)) * np.where(rng.random(count) < 0.03, 60, 1)
    pdq = rng.integers(0, 2**64, (count, 4), np.uint64, endpoint=False)
    phash = rng.integers(0, 2**64, (count, 1), np.uint64, endpoint=False)
    _make_some_near(rng, pdq, size.near)
    for start in range(0, count, _BATCH):
        batch = _Batch([], [], [])
        for place in range(start, min(start + _BATCH, count)):
            _add_contribution(batch, rng, place, everyone[int(whose[place])], float(at[place]), float(delays[place]))
            _add_signals(batch, place + 1, pdq[place], phash[place], place % 3)
        yield batch


def _make_some_near(rng: np.random.Generator, words: np.ndarray, share: float) -> None:
    """Replace a share of the values by values near an earlier one."""
    near = np.flatnonzero(rng.random(len(words)) < share)
    near = near[near > 0]
    earlier = (near * rng.random(len(near))).astype(np.int64)
    words[near] = words[earlier] ^ data.flip_masks(rng, rng.integers(0, 24, len(near)), 256)


_LABELS = ("glorification", "branded_propaganda", "incitement", "graphic_violence", "recruitment", "manifesto",
           "perpetrator_produced", "instruction", "material_support", "imminent_threat")  # fmt: skip
_ODDS = np.array([34, 24, 12, 10, 7, 5, 4, 2, 1.5, 0.5]) / 100


def _add_contribution(
    batch: _Batch, rng: np.random.Generator, place: int, member: Member, at: float, delay: float
) -> None:
    id, received = place + 1, datetime.fromtimestamp(at, UTC)
    removed = None if place % 41 == 0 else received - timedelta(seconds=min(delay, 40 * 86_400))
    first, second = rng.choice(len(_LABELS), 2, p=_ODDS)
    labels = tuple(dict.fromkeys((_LABELS[first], *((_LABELS[second],) if place % 4 == 0 else ()))))
    severity = (None, 1, 2, 2, 2, 3, 2, 1, 3, 4)[int(rng.integers(10))] if place % 5 else 2
    row: dict[str, object] = {
        "id": id,
        "member_id": member.id,
        "received_at": received,
        "removed_at": removed,
        "notified_at": None,
        "labels": labels,
        "quality": int(rng.integers(60, 101)),
        "media": Media.VIDEO_FRAME if place % 6 == 0 else Media.IMAGE,
        "severity": severity,
        "basis": ("terms", "own_detection", "terms", "referral", "user_report", "removal_order")[place % 6],
        "tco_ground": "2.7.a" if place % 6 == 5 else None,
        "entity": None,
        "incident": f"CIP:{('harbour', 'station', 'market')[place % 3]}-2026" if place % 97 == 0 else None,
        "context": _CONTEXTS[place % len(_CONTEXTS)],
        "reference": None if place % 3 == 0 else f"{_REFERENCES[member.id % 4]}-{1_000_000 + place * 7}",
        "fingerprint": hashlib.sha256(str(id).encode()).digest(),
        "standing": Standing.UNREVIEWED,
        "announced": Status.ACTIVE,
        "expires_at": received + timedelta(days=368) if place % 5 == 0 else None,
    }
    batch.rows.append(row)
    details: Details = {
        "member": member.id,
        "kind": str(member.kind),
        "labels": list(labels),
        "algorithms": ["pdq", "phash"] if place % 3 else ["pdq"],
        "media": str(row["media"]),
        "basis": str(row["basis"]),
        "severity": severity,
        "seconds_to_share": None if removed is None else int((received - removed).total_seconds()),
        "seconds_to_remove": None,
    }
    entry = LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, details)
    batch.events.append((received, Actor(f"key:{member.id}", frozenset()), entry))


def _add_signals(batch: _Batch, id: int, pdq: np.ndarray, phash: np.ndarray, how: int) -> None:
    values = [(Algorithm.PDQ, pdq), *([(Algorithm.PHASH, phash)] if how else [])]
    for position, (algorithm, words) in enumerate(values):
        octets = words.astype(">u8").tobytes()
        batch.signals.append(
            {"contribution_id": id, "position": position, "algorithm": str(algorithm), "value": octets}
        )


def _write(url: str, store: Store, batch: _Batch) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        if store.embedded:
            connection.exec_driver_sql("PRAGMA cache_size = -400000")
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
        insert_rows(connection, rows_of, batch.rows)
        insert_rows(connection, signals_of, batch.signals)
        # Append the events as the store does, but each with a different time.
        head = connection.execute(select(log)).one()
        rows = [_event(head.seq + place, *event) for place, event in enumerate(batch.events, 1)]
        insert_rows(connection, events_of, rows)
        peaks = grow(connection, head.seq, head.peaks, [row["leaf"] for row in rows])
        connection.execute(update(log).values(seq=head.seq + len(rows), at=rows[-1]["at"], peaks=peaks))
    engine.dispose()


def _event(seq: int, at: datetime, actor: Actor, entry: LogEntry) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": at,
        "actor": str(actor),
        "action": str(entry.action),
        "subject_kind": entry.kind,
        "subject_id": entry.id,
        "details": entry.details,
        "leaf": leaf(seq, at, str(actor), entry.action, entry.subject, canonical(entry.details)),
    }


def _finish(url: str, store: Store, count: int) -> None:
    if store.embedded:
        return
    engine = create_engine(url)
    with engine.begin() as connection:
        last = {"last": count}
        connection.execute(text("SELECT setval(pg_get_serial_sequence('contributions', 'id'), :last)"), last)
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _add_counts(store: Store, ids: list[int], reviewed: list[int], end: datetime, rng: np.random.Generator) -> None:
    """Record the number of queries of members on each day, and the contributions that matched."""
    busy = rng.pareto(1.2, len(ids)) + 0.2
    for day in (end.date() - timedelta(days=back) for back in range(_YEAR, -1, -1)):
        numbers: dict[Cell, int] = {}
        for id, share in zip(ids, busy, strict=True):
            queries = int(40_000 * share * rng.uniform(0.7, 1.3) * (0.7 if day.weekday() >= 5 else 1))
            matched = int(queries * rng.uniform(0.0004, 0.0012))
            numbers[Cell(CountKind.QUERY, id, ANY_ALGORITHM, QueryOutcome.NONE)] = queries - matched
            numbers[Cell(CountKind.QUERY, id, ANY_ALGORITHM, QueryOutcome.HIT)] = matched
            numbers[Cell(CountKind.HIT, id, ANY_ALGORITHM, QueryOutcome.OTHERS)] = matched
        with store.begin() as tx:
            tx.counts.add(day, {cell: times for cell, times in numbers.items() if times})
    with store.begin() as tx:
        tx.hits.add([_hit(rng, ids, reviewed, end, place) for place in range(4_000)])


def _record_feed_reads(store: Store, everyone: list[Actor], end: datetime) -> None:
    """Record that most members read the feed today."""
    with store.begin() as tx:
        for actor in everyone[2:]:
            if actor.key is not None:
                tx.members.record_feed_read(actor.key.id, end.date().isoformat())


def _hit(rng: np.random.Generator, ids: list[int], reviewed: list[int], end: datetime, place: int) -> Hit:
    at = end - timedelta(seconds=float(rng.uniform(3_600, 60 * 86_400)))
    contribution = reviewed[int(rng.integers(len(reviewed)))]
    member = ids[place % len(ids)]
    times = int(rng.integers(1, 9))
    return Hit(at.date(), member, contribution, at, at, 1, times, {"pdq": int(rng.integers(0, 32))})


def _review(
    db: HashDB, everyone: list[Actor], size: Year, clock: _Clock, end: datetime, rng: np.random.Generator
) -> list[int]:
    """Give opinions and decide cases in the last days, through the services; return the contributions."""
    step = (end - clock.at) / (size.opinions + size.decided + 1)
    chosen = rng.choice(np.arange(1, size.contributions + 1), min(size.opinions, size.contributions), replace=False)
    for place, id in enumerate(chosen):
        clock.at += step
        contribution = contributions.get(db, COMMAND_LINE, int(id))
        others = everyone[place % len(everyone) :] + everyone
        other = next(actor for actor in others if _id(actor) != contribution.member)
        disputes = place % 5 == 4
        reason = _REASONS[place % len(_REASONS)] if disputes else None
        note = _NOTES[place % len(_NOTES)] if disputes else None
        stance = Stance.DISPUTES if disputes else Stance.CONFIRMS
        opinions.give(db, other, contribution.id, OpinionDraft(stance, reason, note))
    decisions = (Decision.UPHOLD, Decision.UPHOLD, Decision.QUARANTINE, Decision.RETIRE)
    for place in range(size.decided):
        clock.at += step
        cases.decide(db, COMMAND_LINE, place + 1, decisions[place % 4], "Looked at by two reviewers.")
    for id in chosen[: size.opinions // 8]:
        contribution = contributions.get(db, COMMAND_LINE, int(id))
        if contribution.status is Status.ACTIVE and int(id) % 3 == 0:
            with db.store.begin() as tx:
                tx.contributions.withdraw(contribution.id, "removal_reversed", db.now())
                details: Details = {"reason": "removal_reversed", "before": "active"}
                actor = Actor(f"key:{contribution.member}", frozenset())
                entry = LogEntry(Action.CONTRIBUTION_WITHDRAWN, "contribution", contribution.id, details)
                tx.audit.append(db.now(), actor, [entry])
    return [int(id) for id in chosen]
