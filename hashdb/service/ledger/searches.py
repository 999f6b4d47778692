"""Searches of the log with what people type: the name of a member or user, a number in any form, a kind, days."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Event
from hashdb.domain.listings import read_all
from hashdb.domain.spelling import did_you_mean, rank_by_name, read_id
from hashdb.errors import InvalidInput, NotFound
from hashdb.service import HashDB
from hashdb.service.ledger.events import SeqRange
from hashdb.store import Transaction

SEARCHED = 200_000
"""Events that one search reads at most if no index has its conditions together."""
_PAGE = 1_000
_SYSTEMS = {"cli": COMMAND_LINE, "system:cli": COMMAND_LINE, "hashdb": SYSTEM, "system:hashdb": SYSTEM}
_KINDS = (
    "backup", "benign", "case", "contribution", "day", "incident", "key", "listing", "log", "member", "opinion",
    "proposal", "report", "retention", "seed", "service", "signer", "upstream", "user", "verification", "webhook",
)  # fmt: skip
_ACTORS, _SUBJECTS = "member:9, user:3, key:4", "contribution 17, case:4, #17"
"""Examples of what `read_actors` and `read_subjects` read."""
_OTHER_WORDS = {"entry": "benign"}
"""Words that people use for a kind, with the kind that the log has."""


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Which events to find: by one of these actors, of an action, on one of these subjects. None is any."""

    actors: tuple[str, ...] | None = None
    action: str | None = None
    subjects: tuple[tuple[str, int], ...] | None = None


class Named(NamedTuple):
    """A member or a user whose name fits a text: its code in the log, such as `member:2`, and its name."""

    code: str
    name: str


class LogPage(NamedTuple):
    """Events of a range, newest first."""

    events: tuple[Event, ...]
    before: int | None
    """The range continues with events before this seq; None if there are none."""
    after: int | None
    """The range continues with events after this seq, if the oldest ones were read; None if there are none."""
    head: int
    """The seq of the last event of the log."""


def read_actors(db: HashDB, actor: Actor, text: str) -> tuple[str, ...]:
    """The codes of the actors that a text names; for a member, its own and those of all its keys.

    The text is `cli`, a number with its kind (`member:9`, `user 3`, `key #4`), or a member's or user's name or a part
    of it. Raises InvalidInput, at `actor`, which says what fits.
    """
    actor.require(Scope.AUDIT)
    system = _SYSTEMS.get(text.casefold())
    if system is not None:
        return (str(system),)
    kind, id = read_id(text) or (None, 0)
    with db.store.read() as tx:
        if id:
            _require_actor(tx, kind, id)
        else:
            kind, id = _by_name(tx, "actor", text, _ACTORS)
        if kind != "member":
            return (f"{kind}:{id}",)
        return (f"member:{id}", *(f"key:{key.id}" for key in tx.members.keys(id, 0, _PAGE)))


def read_subjects(db: HashDB, actor: Actor, text: str) -> tuple[tuple[str, int], ...]:
    """The subjects that a text names: a number of one kind (`contribution 17`) or of any (`#17`), or a name.

    Raises InvalidInput, at `subject`.
    """
    actor.require(Scope.AUDIT)
    kind, id = read_id(text) or (None, 0)
    kind = kind and _OTHER_WORDS.get(kind, kind)
    if id and kind is None:
        return tuple((of_kind, id) for of_kind in _KINDS)
    if id and kind in _KINDS:
        return ((str(kind), id),)
    if id:
        raise _needs_kind("subject", _KINDS, _SUBJECTS)
    with db.store.read() as tx:
        return (_by_name(tx, "subject", text, _SUBJECTS),)


def fitting(db: HashDB, actor: Actor, text: str) -> tuple[Named, ...]:
    """The members and users whose names fit a text, the best first; if it is the whole name of some, only those."""
    with db.read(actor, Scope.AUDIT) as tx:
        return _fitting(text, _people(tx))


def latest(db: HashDB, actor: Actor, chosen: LogSearch, seqs: SeqRange, limit: int, *, oldest: bool = False) -> LogPage:
    """The newest events of a range that a search finds, at most `limit`; with `oldest` the oldest ones.

    Either way they are returned newest first. No index has actions, or actors together with subjects: a search for
    these reads at most 200,000 events of the range.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        head = tx.audit.head().seq
        before = head + 1 if seqs.before is None else min(head + 1, seqs.before)
        without_index = chosen.action is not None or (chosen.actors is not None and chosen.subjects is not None)
        first, end = seqs.after, before
        if without_index and oldest:
            end = min(before, first + 1 + SEARCHED)
        elif without_index:
            first = max(first, before - 1 - SEARCHED)
        events: dict[int, Event] = {}
        # An index has each part in order, so that only its first events are read.
        for actors, subject in _parts(chosen):
            part = tx.audit.between(first, end, limit + 1, actors, chosen.action, subject, oldest=oldest)
            events.update((event.seq, event) for event in part)
    listed = sorted(events, reverse=not oldest)[:limit]
    page = tuple(events[seq] for seq in sorted(listed, reverse=True))
    more = len(events) > limit
    # The range continues after the last event that is listed, or else where the search stopped reading.
    if oldest:
        after = listed[-1] if more else end - 1 if end < before else None
        return LogPage(page, before=None, after=after, head=head)
    before_next = listed[-1] if more else first + 1 if first > seqs.after else None
    return LogPage(page, before=before_next, after=None, head=head)


def excluding_parts(db: HashDB, actor: Actor, chosen: LogSearch, seqs: SeqRange) -> tuple[str, ...]:
    """The parts of a search that finds nothing without which it would find events.

    They are among `actor`, `action`, `subject` and `days`.
    """
    without = {
        "actor": (replace(chosen, actors=None), seqs),
        "action": (replace(chosen, action=None), seqs),
        "subject": (replace(chosen, subjects=None), seqs),
        "days": (chosen, SeqRange()),
    }
    return tuple(
        part
        for part, (other, other_seqs) in without.items()
        if (other, other_seqs) != (chosen, seqs) and latest(db, actor, other, other_seqs, limit=1).events
    )


def _parts(chosen: LogSearch) -> Iterable[tuple[tuple[str, ...] | None, tuple[str, int] | None]]:
    """The actors and the subject of each read that one index serves; None is any."""
    if chosen.subjects is not None:
        return [(chosen.actors, subject) for subject in chosen.subjects]
    return [(None, None)] if chosen.actors is None else [((actor,), None) for actor in chosen.actors]


def _require_actor(tx: Transaction, kind: str | None, id: int) -> None:
    """Raise InvalidInput, at `actor`, unless there is a member, user or key of this number."""
    readers: dict[str, Callable[[int], object]]
    readers = {"member": tx.members.get, "user": tx.users.get, "key": tx.members.key}
    if kind is None or kind not in readers:
        raise _needs_kind("actor", readers, _ACTORS)
    try:
        readers[kind](id)
    except NotFound as error:
        raise InvalidInput.at_field("actor", str(error)) from None


def _needs_kind(at: str, kinds: Iterable[str], example: str) -> InvalidInput:
    return InvalidInput.at_field(at, f"must name one of {', '.join(kinds)} with its number, for example {example}")


def _by_name(tx: Transaction, at: str, text: str, example: str) -> tuple[str, int]:
    """The kind and the number of the member or user that a text names. Raises InvalidInput at `at`."""
    people = _people(tx)
    named = _fitting(text, people)
    if len(named) == 1:
        kind, _, number = named[0].code.partition(":")
        return kind, int(number)
    if named:
        raise InvalidInput.at_field(at, f"matches {len(named)} names: choose one")
    meant = did_you_mean(text, [person.name for person in people])
    raise InvalidInput.at_field(at, f"is not the name of a member or user, nor a form like {example}{meant}")


def _people(tx: Transaction) -> list[Named]:
    people = [Named(f"member:{member.id}", member.name) for member in read_all(tx.members.page)]
    return people + [Named(f"user:{user.id}", user.name) for user in read_all(tx.users.page)]


def _fitting(text: str, people: Iterable[Named]) -> tuple[Named, ...]:
    ranked = rank_by_name(text, people, lambda person: person.name)
    # Rank 0: the text is the whole name.
    exact = tuple(person for rank, person in ranked if rank == 0)
    return exact or tuple(person for _, person in ranked)
