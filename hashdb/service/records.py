"""Records: the tables beside the log, held against what the log says that they must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from hashdb.domain.records import FIELDS, UNSAID, Records
from hashdb.store import Transaction

_LONGEST = 80
"""Characters that are told of what somebody put into a table."""


def unlike_log(tx: Transaction, records: Records, now: datetime, advance: Callable[[int], object]) -> Iterator[str]:
    """What does not hold of the tables, which `tx` sees as they were after the last event that `records` took.

    A sentence on the first row of each kind for each thing that is wrong, with how many more there are.
    `advance` is told 0 again and again: no events are read, but it goes on.
    """
    for kind in FIELDS:
        yield from _told(_differences(tx, records, kind, max(now, tx.audit.head().at), advance))


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
    tx: Transaction, records: Records, kind: str, now: datetime, advance: Callable[[int], object]
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


def _shown(value: object) -> str:
    """As short plain text, whatever somebody put there."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:_LONGEST] if text.isprintable() else ascii(text[:_LONGEST])
