"""Records: compares the tables with the records that result from the events of the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from hashdb.domain.ledger.commitments import commit_lines
from hashdb.domain.ledger.events import secret_tag
from hashdb.domain.ledger.records import FIELDS, NOT_LOGGED, ExpectedRecords
from hashdb.store import Transaction

_LONGEST = 80
"""Characters of a value of a table that are shown."""


def wrong_tables(
    tx: Transaction, records: ExpectedRecords, now: datetime, advance: Callable[[int], object]
) -> Iterator[str]:
    """The differences between the tables and the log; `tx` sees the tables as of the last event that `records` has.

    For each kind of difference, a sentence on its first row, with how many more rows there are.
    `advance` is called with 0 repeatedly, so that a job can be stopped; no events are read.
    """
    # What has expired is decided by this time, which is never before the last event.
    now = max(now, tx.audit.head().at)
    for kind in FIELDS:
        yield from _summarised(_differences(tx, records, kind, now, advance))
    yield from _summarised(_wrong_sessions(tx, records))
    yield from _summarised(_wrong_answers(tx, records))


def wrong_commitments(tx: Transaction, advance: Callable[[int], object]) -> Iterator[str]:
    """The contributions whose signals are not those of their commitments, as `wrong_tables` reports differences."""
    yield from _summarised(_wrong_commitments(tx, advance))


def _wrong_commitments(tx: Transaction, advance: Callable[[int], object]) -> Iterator[tuple[str, str]]:
    """What is wrong with each contribution, and a sentence on it."""
    for page in tx.commitments.pages():
        advance(0)
        salted = [row.id for row in page if isinstance(row.salt, bytes) and not row.erased]
        lines = _lines(tx, salted)
        for id, salt, commitment, erased in page:
            which = f"contribution {id}"
            if erased:
                if salt is not None:
                    yield (
                        "kept salt",
                        f"{which}, salt: the contribution is erased but its salt is not; restart the service",
                    )
            elif not isinstance(salt, bytes):
                yield "salt", f"{which}, salt: missing; its signals cannot be checked against the log"
            elif id not in lines or commit_lines(salt, lines[id]) != commitment:
                yield "signals", f"{which}, signals: they do not match the commitment in the log"


def _lines(tx: Transaction, ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """The lines that commitments are made of, by contribution.

    Contributions whose rows have values that the service never writes are left out.
    """
    try:
        return tx.commitments.lines(ids)
    except (LookupError, TypeError, ValueError):
        if len(ids) == 1:
            return {}
        # One by one, so that only those with such values are left out.
        return {id: lines[id] for id in ids for lines in [_lines(tx, [id])] if id in lines}


def _summarised(differences: Iterator[tuple[str, str]]) -> Iterator[str]:
    """The first sentence of each kind of difference, with how many more there are, from pairs of kind and sentence."""
    firsts: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for what, sentence in differences:
        firsts.setdefault(what, sentence)
        counted[what] += 1
    for what, sentence in firsts.items():
        more = counted[what] - 1
        yield f"{sentence} (and {more} more like it)" if more else sentence


def _differences(
    tx: Transaction, records: ExpectedRecords, kind: str, now: datetime, advance: Callable[[int], object]
) -> Iterator[tuple[str, str]]:
    """What is wrong with each row, and a sentence on it, in order of the ids."""
    expected_ids = records.ids(kind)
    expected = next(expected_ids, None)
    for page in tx.records.pages(kind, now):
        advance(0)
        for id, row in page:
            while expected is not None and expected < id:
                yield _missing(kind, expected)
                expected = next(expected_ids, None)
            if expected != id:
                yield "added", f"{kind} {id}: it is in the table, but no event added it"
                continue
            expected = next(expected_ids, None)
            record = records.record(kind, id)
            # Nearly every row is right, so whole rows are compared first.
            if record != row:
                yield from _field_differences(kind, id, record, row)
    while expected is not None:
        yield _missing(kind, expected)
        expected = next(expected_ids, None)


def _missing(kind: str, id: int) -> tuple[str, str]:
    return "missing", f"{kind} {id}: the log says that it was added, but the table does not have it"


def _field_differences(
    kind: str, id: int, record: tuple[object, ...], row: tuple[object, ...]
) -> Iterator[tuple[str, str]]:
    for field, logged, stored in zip(FIELDS[kind], record, row, strict=True):
        if logged is not NOT_LOGGED and logged != stored:
            yield field, f"{kind} {id}, {field}: the log says {_printable(logged)}, the table {_printable(stored)}"


def _wrong_sessions(tx: Transaction, records: ExpectedRecords) -> Iterator[tuple[str, str]]:
    """What is wrong with each session that differs from its sign-in, has none, or was ended; and a sentence on it."""
    for id, user, digest, complete, created_at in tx.records.sessions():
        begun = records.sessions.begun_at(user, secret_tag(digest)) if isinstance(digest, bytes) else None
        which = f"session {id} of user {_printable(user)}"
        if begun is None and complete:
            yield (
                "sessions",
                f"{which}: no event began it, or an event ended it: disable the user",
            )
        elif begun is not None and not complete:
            yield "sessions.complete", f"{which}, complete: the log says yes, the table no"
        elif begun is not None and not (isinstance(created_at, int) and created_at <= begun):
            yield "sessions.created_at", f"{which}, created_at: it is later than the sign-in of the session"


def _wrong_answers(tx: Transaction, records: ExpectedRecords) -> Iterator[tuple[str, str]]:
    """The kind, and a sentence, for each kept answer to a request with an idempotency key that cannot be the member's.

    An answer names what the request made, which must belong to the member.
    """
    head = tx.audit.head().seq
    for member, text in tx.records.answers():
        try:
            named = tuple(_named(text, head))
        except (TypeError, ValueError, RecursionError):
            named = (("answer", 0),)
        for kind, id in named:
            record = records.record(kind, id) if kind in _MEMBER_OF else ()
            if not record or record[_MEMBER_OF[kind]] not in (member, NOT_LOGGED):
                what = (
                    f"{kind} {id}, which is not the member's"
                    if kind in _MEMBER_OF
                    else "something that the service never returns"
                )
                which = f"a kept answer to a request of member {_printable(member)}"
                yield "requests", f"{which}: it names {what}: delete the row from the table requests"
                break


def _named(text: object, head: int) -> Iterator[tuple[str, int]]:
    """The kinds and ids that an answer names. Raises TypeError, ValueError if no service writes such a text."""
    if not isinstance(text, str) or not isinstance(answer := json.loads(text), dict):
        raise TypeError
    if answer.keys() == {"opinion"}:
        yield "opinion", int(answer["opinion"])
    elif answer.keys() == {"contributions", "checkpoint"} and 0 <= answer["checkpoint"] <= head:
        yield from (("contribution", int(id)) for id, _ in answer["contributions"])
    else:
        raise ValueError


_MEMBER_OF = {kind: FIELDS[kind].index("member") for kind in ("contribution", "opinion")}
"""The position of the member among the fields of a record, for the kinds that an answer names."""


def _printable(value: object) -> str:
    """Any value of a table as short printable text."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:_LONGEST] if text.isprintable() else ascii(text[:_LONGEST])
