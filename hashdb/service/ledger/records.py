"""Records: the tables beside the log, held against what the log says that they must hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from hashdb.domain.ledger.events import tag
from hashdb.domain.ledger.records import FIELDS, UNSAID, ExpectedRecords
from hashdb.store import Transaction

_LONGEST = 80
"""Characters that are told of what somebody put into a table."""


def unlike_log(
    tx: Transaction, records: ExpectedRecords, now: datetime, advance: Callable[[int], object]
) -> Iterator[str]:
    """What does not hold of the tables, which `tx` sees as they were after the last event that `records` took.

    A sentence on the first row of each kind for each thing that is wrong, with how many more there are.
    `advance` is told 0 again and again: no events are read, but it goes on.
    """
    for kind in FIELDS:
        yield from _told(_differences(tx, records, kind, max(now, tx.audit.head().at), advance))
    yield from _told(_unlike_sessions(tx, records))
    yield from _told(_unlike_answers(tx, records))


def _told(differences: Iterator[tuple[str, str]]) -> Iterator[str]:
    firsts: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for what, sentence in differences:
        firsts.setdefault(what, sentence)
        counted[what] += 1
    for what, sentence in firsts.items():
        more = counted[what] - 1
        yield f"{sentence} (and {more:,} more like it)" if more else sentence


def _differences(
    tx: Transaction, records: ExpectedRecords, kind: str, now: datetime, advance: Callable[[int], object]
) -> Iterator[tuple[str, str]]:
    """What is wrong with each row, and a sentence on it, in the order of the ids."""
    due = records.ids(kind)
    awaited = next(due, None)
    for page in tx.records.pages(kind, now):
        advance(0)
        for id, row in page:
            while awaited is not None and awaited < id:
                yield _missing(kind, awaited)
                awaited = next(due, None)
            if awaited != id:
                yield "added", f"{kind} {id}: it is in the table, and no event says that it should be"
                continue
            awaited = next(due, None)
            record = records.of(kind, id)
            # Nearly every row is as it should be: that is asked at once.
            if record != row:
                yield from _differing(kind, id, record, row)
    while awaited is not None:
        yield _missing(kind, awaited)
        awaited = next(due, None)


def _missing(kind: str, id: int) -> tuple[str, str]:
    return "missing", f"{kind} {id}: the log says that it was added, the table does not have it"


def _differing(kind: str, id: int, record: tuple[object, ...], row: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    for field, said, held in zip(FIELDS[kind], record, row, strict=True):
        if said is not UNSAID and said != held:
            yield field, f"{kind} {id}, {field}: the log says {_shown(said)}, the table {_shown(held)}"


def _unlike_sessions(tx: Transaction, records: ExpectedRecords) -> Iterator[tuple[str, str]]:
    """Each session that opens the console and that no sign-in began, or that was ended."""
    for id, user, digest, complete, created_at in tx.records.sessions():
        begun = records.sessions.begun_at(user, tag(digest)) if isinstance(digest, bytes) else None
        which = f"session {id} of user {_shown(user)}"
        if begun is None and complete:
            yield (
                "sessions",
                f"{which}: no event says that the user began it, or one says that it ended: disable the user",
            )
        elif begun is not None and not complete:
            yield "sessions.complete", f"{which}, complete: the log says yes, the table no"
        elif begun is not None and not (isinstance(created_at, int) and created_at <= begun):
            yield "sessions.created_at", f"{which}, created_at: it is later than the sign-in that began it"


def _unlike_answers(tx: Transaction, records: ExpectedRecords) -> Iterator[tuple[str, str]]:
    """Each answer to a repeated request that a member was not given."""
    head = tx.audit.head().seq
    for member, text in tx.records.answers():
        try:
            named = tuple(_named(text, head))
        except (TypeError, ValueError, RecursionError):
            named = (("answer", 0),)
        for kind, id in named:
            record = records.of(kind, id) if kind in _MEMBER_OF else ()
            if not record or record[_MEMBER_OF[kind]] not in (member, UNSAID):
                what = f"{kind} {id}, which is not the member's" if kind in _MEMBER_OF else "what no service answers"
                which = f"a kept answer to a request of member {_shown(member)}"
                yield "requests", f"{which}: it names {what}: delete the row from the table requests"
                break


def _named(text: object, head: int) -> Iterator[tuple[str, int]]:
    """What an answer names: kinds and ids. Raises TypeError, ValueError for what no service writes."""
    if not isinstance(text, str) or not isinstance(told := json.loads(text), dict):
        raise TypeError
    if told.keys() == {"opinion"}:
        yield "opinion", int(told["opinion"])
    elif told.keys() == {"contributions", "checkpoint"} and 0 <= told["checkpoint"] <= head:
        yield from (("contribution", int(id)) for id, _ in told["contributions"])
    else:
        raise ValueError


_MEMBER_OF = {kind: FIELDS[kind].index("member") for kind in ("contribution", "opinion")}


def _shown(value: object) -> str:
    """As short plain text, whatever somebody put there."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:_LONGEST] if text.isprintable() else ascii(text[:_LONGEST])
